//! What a phone hands to a companion that was just linked, as a test sets it.

use serde::Deserialize;

/// What a phone shares with its companions, and how. The defaults are what most do.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sharing {
    /// The keys of the app state.
    pub keys: KeySharing,
    /// How long after the companion is ready the keys leave; in halves, how long between them.
    pub keys_after_ms: u64,
    /// The history.
    pub history: HistorySharing,
    /// Whether the first state of a collection is a file rather than patches.
    pub snapshots: bool,
    /// Which way the salt goes.
    pub salt: SaltSharing,
    /// Chats in the history; each with a token of the contact.
    pub chats: Vec<SharedChat>,
    /// A past that is made up, in the place of those.
    pub past: Option<Past>,
}

/// A past that is made up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Past {
    /// The number of the contact of the first chat; the others count on from there.
    pub first: String,
    /// How many chats.
    pub chats: u32,
    /// How many messages of each are shared.
    pub messages: u32,
    /// How many more of each the phone has, for a companion that asks, or wants all.
    #[serde(default)]
    pub older: u32,
    /// How many messages go into one piece.
    #[serde(default = "chunk")]
    pub chunk: u32,
    /// When the newest message was sent, unix seconds; when this was set, if absent.
    #[serde(default)]
    pub newest: Option<u64>,
    /// Whether something was said about messages: each chat's newest has a reaction of its contact, and the one before is a poll
    /// in which the contact has voted.
    #[serde(default)]
    pub about: bool,
}

const fn chunk() -> u32 {
    2_000
}

/// Most messages of a past.
pub const MAX_PAST: u64 = 1_000_000;

/// How the keys go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySharing {
    /// By themselves.
    #[default]
    Unasked,
    /// When the companion asks for them.
    WhenAsked,
    /// Those of some collections first.
    InHalves,
}

/// How the history goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistorySharing {
    /// In the messages.
    #[default]
    Inline,
    /// As files of the media host.
    File,
    /// Not at all.
    Never,
}

/// Which way the salt goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SaltSharing {
    /// As a patch of the app state.
    #[default]
    AppState,
    /// With the history.
    History,
    /// Not at all.
    Never,
}

/// A chat of the history.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedChat {
    /// With whom.
    pub number: String,
    /// The token that the contact gave, in hexadecimal; the right one if there is none.
    #[serde(default)]
    pub token: Option<String>,
    /// When it gave it, unix seconds.
    #[serde(default)]
    pub token_t: Option<u64>,
    /// When the account gave its own, unix seconds.
    #[serde(default)]
    pub sender_t: Option<u64>,
}
