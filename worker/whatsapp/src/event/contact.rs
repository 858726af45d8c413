//! What is told of people: that something of them has changed.

use std::fmt;

use crate::jid::Jid;

/// Something has changed of somebody.
///
/// [`fmt::Debug`] tells what kind of thing, and nothing of who or what.
#[derive(Clone, PartialEq, Eq)]
pub struct ContactNews {
    /// Who, without device, as the server names them.
    pub user: Jid,
    /// The same by their other name, if known.
    pub other: Option<Jid>,
    /// What.
    pub change: ContactChange,
}

/// What has changed of somebody.
#[derive(Clone, PartialEq, Eq)]
pub enum ContactChange {
    /// They have another picture.
    Picture {
        /// Its id, where the server tells it.
        id: Option<String>,
    },
    /// They have no picture any more.
    NoPicture,
    /// They say this about themselves; `None` for nothing.
    About(Option<String>),
    /// Their business goes by this name; `None` if they are none any more.
    Business(Option<String>),
    /// They had this number before, and maybe another hidden id. Sessions and devices are those of the new one now.
    Number {
        /// The number that they had.
        former: Jid,
        /// The hidden id that they had, if it was told.
        former_lid: Option<Jid>,
    },
}

/// How it showed that a device has another identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// The server said so.
    Notification,
    /// A message began a session under it.
    Message,
    /// The keys that were asked for to write to the device have it.
    Keys,
}

impl fmt::Debug for ContactNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.change {
            ContactChange::Picture { .. } => "Picture",
            ContactChange::NoPicture => "NoPicture",
            ContactChange::About(_) => "About",
            ContactChange::Business(_) => "Business",
            ContactChange::Number { .. } => "Number",
        };
        write!(f, "ContactNews({what})")
    }
}
