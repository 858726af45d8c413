//! The name a session is kept under.

use std::fmt;
use std::str::FromStr;

use crate::jid::{Jid, Server};

/// One device of one user, normalised so that equal devices have equal addresses.
///
/// Naming is local: no address enters a MAC. Once the hidden id (LID) of a user is known, all their devices' sessions
/// are kept under it. Display is the stored form, Debug hides most of the number.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Jid);

impl Address {
    /// The address of this device.
    pub fn new(jid: &Jid) -> Self {
        Self::from(jid.clone())
    }

    /// The device as an address of the wire.
    pub const fn jid(&self) -> &Jid {
        &self.0
    }

    /// Device number; 0 is the phone.
    pub const fn device(&self) -> u16 {
        self.0.device()
    }

    /// The same device number of the same person under the hidden id `lid` (the user part).
    #[must_use]
    pub fn with_lid(&self, lid: &str) -> Self {
        let server = match self.0.server() {
            Server::Hosted | Server::HostedLid => Server::HostedLid,
            _ => Server::Lid,
        };
        Self(Jid::new(lid, server).with_device(self.0.device()))
    }
}

impl From<Jid> for Address {
    fn from(jid: Jid) -> Self {
        match jid.server() {
            Server::Legacy => Self(Jid::new(jid.user(), Server::User).with_device(jid.device())),
            _ => Self(jid),
        }
    }
}

impl From<&Jid> for Address {
    fn from(jid: &Jid) -> Self {
        Self::new(jid)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Address {
    type Err = crate::jid::JidError;

    /// Reads the stored form.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<Jid>().map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_form_of_a_number_are_one_address() {
        let old: Address = "15550001@c.us".parse().unwrap();
        let new: Address = "15550001@s.whatsapp.net".parse().unwrap();
        assert_eq!(old, new);
        assert_ne!(new, "15550001:1@s.whatsapp.net".parse().unwrap());
        assert_ne!(new, "15550001@lid".parse().unwrap());
    }

    #[test]
    fn stored_form_is_read_back_and_debug_hides_it() {
        let address: Address = "15550001:3@s.whatsapp.net".parse().unwrap();
        assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        assert!(!format!("{address:?}").contains("15550001"));
        assert_eq!(address.with_lid("100").to_string(), "100:3@lid");
    }
}
