//! What the control API asks of the world. Each command carries where its answer goes.

use std::collections::BTreeMap;

use bytes::Bytes;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use whatsapp::signal::curve::PublicKey;

use super::call::{CallShown, CallTurn, NewCall};
use super::forms::Labels;
use super::group::{GroupChange, GroupShown, NewGroup};
use super::limits::{Cap, Restrict};
use super::person::PersonNews;
use super::phone_state::{CollectionShown, PhoneChange, Spoil};
use super::port::ConnId;
use super::properties::PropertyChange;
use super::rules::AccountAddressing;
use super::sealed::SentFile;
use super::sealed::{MediaChange, NewFile};
use super::trust::{Proofs, SaltChange};
use super::version::{Page, VersionChange, VersionInfo};
use crate::audit::{Report, ServerHalf};
use crate::crowd::{self, Has, Received, Sent};
use crate::fault::{Active, Fault};
use crate::number::Number;
use crate::passkey::{self, Rules, authenticator::Ask};
use crate::population::{Manners, Run};
use crate::refusal::Refusal;
use crate::sharing::Sharing;

/// What a contact does in a chat before it says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Writing {
    /// It writes a text.
    Composing,
    /// It records a voice note.
    Recording,
    /// Neither any more.
    Paused,
}

/// Who hears what somebody says.
#[derive(Clone, Debug)]
pub enum Audience {
    /// One other.
    Chat(Number),
    /// All in the group with this address.
    Group(String),
    /// These, of a status.
    Status(Vec<Number>),
}

/// What somebody says.
#[derive(Clone, Debug)]
pub enum Said {
    /// A text.
    Text(String),
    /// A message of any kind, encoded.
    Message(Bytes),
    /// That the message of this id is deleted for everyone: the speaker's own, or in a group that of this member. Nobody asks
    /// whether they may.
    Deletion(CompactString, Option<Number>),
    /// A vote in the poll of this id, which the speaker has got.
    Vote {
        /// The id of the poll's message.
        poll: CompactString,
        /// The texts of the options.
        options: Vec<String>,
    },
}

/// What a contact says of a message that it got.
#[derive(Clone, Debug)]
pub struct ReceiptWish {
    /// Who wrote it.
    pub to: Number,
    /// Its id.
    pub id: CompactString,
    /// What became of it.
    pub kind: ReceiptKind,
    /// The address of the group that it was in, if it was.
    pub group: Option<String>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptKind {
    /// It came.
    Delivery,
    /// It was read.
    Read,
    /// It was played.
    Played,
}

impl ReceiptKind {
    /// The type of the stanza.
    pub(super) const fn as_type(self) -> Option<&'static str> {
        match self {
            Self::Delivery => None,
            Self::Read => Some("read"),
            Self::Played => Some("played"),
        }
    }
}

/// Where an answer goes.
pub type Answer<T> = oneshot::Sender<Result<T, Refusal>>;

/// A request of the control API.
pub enum Command {
    /// Make a phone, or rename it; answers its name.
    Phone(Number, Option<String>, Answer<String>),
    /// Say how an account addresses its chats.
    Addressing(Number, AccountAddressing, Answer<()>),
    /// Give a contact another hidden id; answers it.
    RenewLid(Number, Answer<String>),
    /// A contact registers anew: it has another identity.
    RegisterAnew(Number, Answer<()>),
    /// The first, a contact, is found under the second number too.
    Spell(Number, Number, Answer<()>),
    /// The phone scans a QR code.
    Scan(Number, String, Option<String>, Answer<Scanned>),
    /// Retire the code that a companion shows, with a notification that has this child.
    Refresh(String, String, Answer<()>),
    /// How many QR codes clients get that are to be linked from now on.
    Codes(usize, Answer<()>),
    /// Link with a phone only by passkey, or without again.
    Guard(Number, Option<Box<Rules>>, Answer<()>),
    /// Sign with a phone's passkey.
    Sign(Number, Box<Ask>, Answer<Value>),
    /// What was seen of the last exchange.
    Passkey(Number, Answer<passkey::Report>),
    /// What a companion said that waits for a code; answered when there is one.
    LinkHello(Number, Answer<LinkHello>),
    /// Send a companion the phone's half; the channel tells what it answers.
    PrimaryHello(ConnId, Vec<u8>, oneshot::Sender<LinkOutcome>),
    /// Link the companion with this secret.
    LinkWith(ConnId, [u8; 32], Answer<Scanned>),
    /// What a phone shares with companions from now on.
    Share(Number, Box<Sharing>, Answer<()>),
    /// The account gets another name.
    Rename(Number, String, NewsBy, Answer<()>),
    /// A contact changes something of itself.
    Person(Number, Box<PersonNews>, Answer<()>),
    /// A contact calls; answers the call's id.
    Call(Number, NewCall, Answer<String>),
    /// A call goes on.
    TurnCall(String, CallTurn, Answer<()>),
    /// What became of a call.
    ShowCall(String, Answer<CallShown>),
    /// A phone does something to a chat, a contact or a label.
    State(Number, PhoneChange, Option<Spoil>, Answer<()>),
    /// What is in the app state of an account.
    ShowState(Number, Answer<BTreeMap<String, CollectionShown>>),
    /// A contact writes, or not any more, in the chat with a phone.
    Writes(Number, Number, Writing, Answer<()>),
    /// What an account lets others know of it.
    Privacy(Number, String, String, Answer<()>),
    /// A file of the media host.
    File(String, Answer<Bytes>),
    /// A client uploads a file to the media host; its path there.
    Upload(NewFile, oneshot::Sender<Result<String, Refusal>>),
    /// Change the media host.
    Media(MediaChange, oneshot::Sender<()>),
    /// Unlink one device of a phone, or all.
    Unlink(Number, Option<u16>, Answer<usize>),
    /// What becomes of an account's tokens.
    Tokens(Number, TokenChange, Answer<Option<[u8; 32]>>),
    /// Whether how messages are labelled is judged.
    Labels(Labels, oneshot::Sender<()>),
    /// Set properties of an account.
    Properties(Number, PropertyChange, Answer<()>),
    /// Make contacts.
    Contacts(String, u64, Manners, Answer<Run>),
    /// Add a companion to a contact.
    ContactDevice(Number, Answer<u16>),
    /// Send all linked devices of a phone a stanza of the server's own; answers its id.
    Special(Number, Box<Special>, Answer<CompactString>),
    /// A phone or a contact sends a document.
    SendFile(Speaker, Number, Box<SentFile>, Answer<CompactString>),
    /// Make a group; answers its address.
    MakeGroup(NewGroup, Answer<String>),
    /// Do something to a group.
    ChangeGroup(String, Box<GroupChange>, Answer<()>),
    /// How a group stands.
    ShowGroup(String, Answer<GroupShown>),
    /// Whether a contact lets others add it to groups.
    GroupAdd(Number, bool, Answer<()>),
    /// A phone or a contact says something of any kind.
    Post(Speaker, Audience, Said, Answer<CompactString>),
    /// A contact says what became of a message.
    Receipt(Number, ReceiptWish, Answer<()>),
    /// What a phone or a contact got.
    Inbox(
        Speaker,
        u16,
        oneshot::Sender<Result<oneshot::Receiver<Vec<Received>>, Refusal>>,
    ),
    /// What a phone or a contact sent.
    Outbox(
        Speaker,
        oneshot::Sender<Result<oneshot::Receiver<Vec<Sent>>, Refusal>>,
    ),
    /// Begin a reach-out time lock of a phone's account, or end it.
    Restrict(Number, Option<Restrict>, Answer<()>),
    /// Cap the new chats of a phone's account, or end that.
    Cap(Number, Option<Cap>, Answer<()>),
    /// Refuse all messages of a phone's account for so many seconds.
    RateLimit(Number, u64, Answer<()>),
    /// Add a fault; answers its number and how many sessions it struck at once.
    AddFault(Box<Fault>, Answer<(Option<u64>, usize)>),
    /// End a fault, or all.
    EndFaults(Option<u64>, Answer<()>),
    /// The active faults.
    Faults(oneshot::Sender<Vec<Active>>),
    /// Change what versions are taken and published; answers how things stand.
    Version(VersionChange, oneshot::Sender<VersionInfo>),
    /// The page that names the current version.
    Page(oneshot::Sender<(Page, String)>),
    /// Announce the end of clients' versions, or take it back; answers to how many.
    Expiration(Option<String>, oneshot::Sender<usize>),
    /// The linked devices.
    Sessions(oneshot::Sender<Vec<SessionInfo>>),
    /// The audit; the first half is ready at once, the second when the shards have answered.
    Audit(oneshot::Sender<PendingReport>),
    /// Count no gap across this moment.
    MarkAudit(Answer<()>),
}

/// How companions hear of a new name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewsBy {
    /// By the app state.
    #[default]
    AppState,
    /// By a notification alone.
    AccountSync,
}

/// What a test does to an account's tokens.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenChange {
    /// Which of its messages have to prove that they may be written.
    pub proofs: Option<Proofs>,
    /// What becomes of its salt.
    pub salt: Option<SaltChange>,
}

/// A stanza of the server's own; `from` and `to` are contacts.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Special {
    /// A channel publishes something.
    Newsletter {
        /// What.
        #[serde(default)]
        text: Option<String>,
    },
    /// A frame of so many bytes that are no stanza, to all connections.
    Rubbish {
        /// How many.
        bytes: usize,
    },
    /// A status that can't be decrypted.
    Status {
        /// Whose.
        from: String,
    },
    /// A status as a stanza of its own.
    StatusTag {
        /// Whose.
        from: String,
    },
    /// A message without a copy for companions.
    Unavailable {
        /// Who sent it.
        from: String,
        /// Why there is none.
        #[serde(default)]
        form: Form,
        /// What it says; the phone has it.
        #[serde(default)]
        text: Option<String>,
        /// What the phone answers when it is asked for it.
        #[serde(default)]
        answer: Has,
    },
    /// A message of the own phone that can't be read.
    OwnCopy {
        /// The chat.
        to: String,
    },
    /// The next upload of prekeys is taken, and not answered.
    LoseUpload,
    /// The server says that few prekeys are left.
    Count {
        /// How many it says.
        value: u32,
    },
}

/// Why a message has no copy for companions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The sender did not know them, or sent from an advertisement.
    #[default]
    Plain,
    /// It may be seen once.
    ViewOnce,
    /// It is on a device that Meta hosts.
    Hosted,
    /// It is the answer of a bot.
    Bot,
    /// There is one all the same: in the sender's next message.
    WithEnc,
}

/// Who speaks: the owner of a phone, or a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The owner of the account.
    Phone(Number),
    /// A contact.
    Contact(Number),
}

/// A device that was linked.
#[derive(Clone, Debug, Serialize)]
pub struct Linked {
    /// Its address by number.
    pub jid: String,
    /// Its address by hidden id.
    pub lid: String,
    /// Its number in the account.
    pub device: u16,
}

/// What came of a scan, or of a code that was typed.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Scanned {
    /// The phone links the companion, which has to accept yet.
    Linked(Linked),
    /// The companion is asked for something first: `passkey`, or `refresh` of its code.
    Asked {
        /// For what.
        asked: &'static str,
    },
}

/// What a companion sent that waits for a code.
pub struct LinkHello {
    /// Its connection.
    pub conn: ConnId,
    /// Its wrapped key.
    pub wrapped: Bytes,
}

/// What a companion answered to the phone's half.
pub enum LinkOutcome {
    /// The bundle, to be opened with the code.
    Finished {
        /// The encrypted bundle.
        bundle: Bytes,
        /// Whose it is.
        companion: PublicKey,
    },
    /// It is asked for a passkey first.
    Passkey,
    /// Its connection is gone.
    Gone,
}

/// A linked device, as `GET /sessions` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct SessionInfo {
    /// The account.
    pub number: String,
    /// Its name.
    pub name: String,
    /// The device.
    pub device: u16,
    /// Its address by number.
    pub jid: String,
    /// Its address by hidden id.
    pub lid: String,
    /// Whether it is connected.
    pub online: bool,
    /// Whether it takes stanzas.
    pub active: bool,
    /// Whether it said that it is available.
    pub available: bool,
    /// The name in its last presence, if it said one.
    pub presence_name: Option<String>,
    /// One-time prekeys that are left.
    pub one_time_prekeys: usize,
    /// Stanzas that it has not acknowledged.
    pub pending: usize,
    /// How often it logged in.
    pub logins: u64,
}

/// An audit whose second half is on its way.
pub struct PendingReport {
    pub(super) half: ServerHalf,
    pub(super) tallies: Vec<oneshot::Receiver<crowd::Tally>>,
}

impl PendingReport {
    /// Waits for the shards.
    pub async fn complete(self) -> Report {
        self.half.complete(crowd::sum(self.tallies).await)
    }
}
