//! Addresses of WhatsApp: users, their devices, groups and the server itself.
//!
//! Owns the text form (`user:device@server`) and its parsing. The binary form belongs to [`crate::binary`].
//!
//! Facts: docs/PROTOCOL.md, "Addresses".

use std::fmt;
use std::str::FromStr;

use compact_str::{CompactString, ToCompactString as _};
use thiserror::Error;

/// Fewest digits of a phone number that we take.
pub const MIN_PHONE_DIGITS: usize = 5;
/// Most digits of a phone number (E.164).
pub const MAX_PHONE_DIGITS: usize = 15;
/// Longest user part of an address that is parsed from text.
const MAX_USER_BYTES: usize = 255;

/// The part of an address after the `@`: which name space the user part is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Server {
    /// `s.whatsapp.net`: users by phone number, and the server itself.
    User,
    /// `lid`: users by their hidden id.
    Lid,
    /// `g.us`
    Group,
    /// `broadcast`
    Broadcast,
    /// `newsletter`
    Newsletter,
    /// `hosted`: a business that is hosted by Meta, by phone number.
    Hosted,
    /// `hosted.lid`
    HostedLid,
    /// `msgr`: Messenger.
    Messenger,
    /// `interop`: users of other services.
    Interop,
    /// `bot`
    Bot,
    /// `c.us`: the old form of `s.whatsapp.net`.
    Legacy,
    /// `call`
    Call,
}

impl Server {
    /// Every server that is known.
    pub const ALL: [Self; 12] = [
        Self::User,
        Self::Lid,
        Self::Group,
        Self::Broadcast,
        Self::Newsletter,
        Self::Hosted,
        Self::HostedLid,
        Self::Messenger,
        Self::Interop,
        Self::Bot,
        Self::Legacy,
        Self::Call,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "s.whatsapp.net",
            Self::Lid => "lid",
            Self::Group => "g.us",
            Self::Broadcast => "broadcast",
            Self::Newsletter => "newsletter",
            Self::Hosted => "hosted",
            Self::HostedLid => "hosted.lid",
            Self::Messenger => "msgr",
            Self::Interop => "interop",
            Self::Bot => "bot",
            Self::Legacy => "c.us",
            Self::Call => "call",
        }
    }

    /// The server of this name, if it is a known one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|server| server.as_str() == name)
    }

    /// Whether users of this server have numbered devices.
    #[must_use]
    pub const fn has_devices(self) -> bool {
        matches!(
            self,
            Self::User | Self::Lid | Self::Hosted | Self::HostedLid | Self::Messenger | Self::Interop
        )
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JidError {
    /// Nothing follows an `@`, or what follows is no known server.
    #[error("address has no known server")]
    UnknownServer,
    /// The part after the colon is no device number.
    #[error("device of the address is no number from 0 to 65535")]
    BadDevice,
    /// The user part is too long or holds characters that can't be in one.
    #[error("user part of the address is not valid")]
    BadUser,
    /// Not 5 to 15 digits.
    #[error("phone number must be {MIN_PHONE_DIGITS} to {MAX_PHONE_DIGITS} digits")]
    BadPhone,
}

/// An address. Equal addresses are the same device, so compare users with [`Jid::same_user`].
///
/// [`fmt::Display`] is the wire form; [`fmt::Debug`] hides most of the number, so that it may be logged.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Jid {
    user: CompactString,
    server: Server,
    device: u16,
    /// Only of [`Server::Interop`], otherwise 0.
    integrator: u16,
}

impl Jid {
    /// The WhatsApp server itself: `@s.whatsapp.net`.
    pub const SERVER: Self = Self {
        user: CompactString::const_new(""),
        server: Server::User,
        device: 0,
        integrator: 0,
    };

    /// All groups: `@g.us`.
    pub const GROUPS: Self = Self {
        user: CompactString::const_new(""),
        server: Server::Group,
        device: 0,
        integrator: 0,
    };

    /// The address of a user (its first device), a group or another thing.
    pub fn new(user: impl Into<CompactString>, server: Server) -> Self {
        Self {
            user: user.into(),
            server,
            device: 0,
            integrator: 0,
        }
    }

    /// The address of the account with this phone number: digits only, with country code.
    ///
    /// # Errors
    /// If it is not 5 to 15 digits.
    pub fn phone(digits: &str) -> Result<Self, JidError> {
        let fits = (MIN_PHONE_DIGITS..=MAX_PHONE_DIGITS).contains(&digits.len());
        if !fits || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(JidError::BadPhone);
        }
        Ok(Self::new(digits, Server::User))
    }

    /// Whether the text form names the same address: a peer may put anything into the parts of a binary one.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        let is_odd = |c: char| matches!(c, '@' | ':') || c.is_whitespace() || c.is_control();
        self.user.len() <= MAX_USER_BYTES && !self.user.contains(is_odd)
    }

    /// The same user's device of this number. A server that knows no devices keeps 0
    /// ([`Server::has_devices`]).
    #[must_use]
    pub fn with_device(mut self, device: u16) -> Self {
        self.device = if self.server.has_devices() { device } else { 0 };
        self
    }

    /// Sets the service that an interop user belongs to; nothing on other servers.
    #[must_use]
    pub(crate) fn with_integrator(mut self, integrator: u16) -> Self {
        self.integrator = if self.server == Server::Interop {
            integrator
        } else {
            0
        };
        self
    }

    /// The part before the `@` and the device; empty for a server.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The part after the `@`.
    pub const fn server(&self) -> Server {
        self.server
    }

    /// Device number; 0 is the phone.
    pub const fn device(&self) -> u16 {
        self.device
    }

    /// The service that an interop user belongs to.
    pub(crate) const fn integrator(&self) -> u16 {
        self.integrator
    }

    /// The same user without a device.
    #[must_use]
    pub fn to_bare(&self) -> Self {
        Self {
            device: 0,
            ..self.clone()
        }
    }

    /// A user by phone number (not the server).
    pub fn is_user(&self) -> bool {
        self.server == Server::User && !self.user.is_empty()
    }

    /// A user by hidden id.
    pub fn is_lid(&self) -> bool {
        self.server == Server::Lid
    }

    /// A group.
    pub fn is_group(&self) -> bool {
        self.server == Server::Group
    }

    /// The server itself, `@s.whatsapp.net`.
    pub fn is_server(&self) -> bool {
        self.server == Server::User && self.user.is_empty()
    }

    /// Appends the wire form, as [`fmt::Display`] has it, in a fraction of the time: a message to a group writes thousands.
    pub(crate) fn push_to(&self, out: &mut String) {
        if self.server == Server::Interop {
            push_number(self.integrator, out);
            out.push('-');
        }
        out.push_str(&self.user);
        if self.device != 0 {
            out.push(':');
            push_number(self.device, out);
        }
        out.push('@');
        out.push_str(self.server.as_str());
    }

    /// Whether both are devices of one user of one server.
    pub fn same_user(&self, other: &Self) -> bool {
        self.user == other.user && self.server == other.server && self.integrator == other.integrator
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.server == Server::Interop {
            write!(f, "{}-", self.integrator)?;
        }
        f.write_str(&self.user)?;
        if self.device != 0 {
            write!(f, ":{}", self.device)?;
        }
        write!(f, "@{}", self.server)
    }
}

impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = self
            .user
            .char_indices()
            .rev()
            .nth(3)
            .map_or("", |(at, _)| &self.user[at..]);
        write!(f, "Jid(")?;
        if !self.user.is_empty() {
            write!(f, "…{tail}")?;
        }
        if self.device != 0 {
            write!(f, ":{}", self.device)?;
        }
        write!(f, "@{})", self.server)
    }
}

impl FromStr for Jid {
    type Err = JidError;

    /// Takes `user@server`, `user:device@server` and a bare `server`.
    fn from_str(text: &str) -> Result<Self, JidError> {
        let (user, server) = text.rsplit_once('@').unwrap_or(("", text));
        let server = Server::from_name(server).ok_or(JidError::UnknownServer)?;
        let (user, device) = match user.rsplit_once(':') {
            Some((user, device)) if server.has_devices() => (user, parse_u16(device)?),
            _ => (user, 0),
        };
        let (user, integrator) = match user.split_once('-') {
            Some((integrator, user)) if server == Server::Interop => (user, parse_u16(integrator)?),
            _ => (user, 0),
        };
        if user.len() > MAX_USER_BYTES
            || user.contains(|c: char| c == '@' || c.is_whitespace() || c.is_control())
        {
            return Err(JidError::BadUser);
        }
        Ok(Self {
            user: user.into(),
            server,
            device,
            integrator,
        })
    }
}

fn push_number(number: u16, out: &mut String) {
    out.push_str(&number.to_compact_string());
}

fn parse_u16(text: &str) -> Result<u16, JidError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(JidError::BadDevice);
    }
    text.parse().map_err(|_| JidError::BadDevice)
}

#[cfg(test)]
mod tests;
