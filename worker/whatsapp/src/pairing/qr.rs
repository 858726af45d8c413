//! The text of a QR code: what a phone must know to link a device.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::device::{AdvSecret, Device};
use crate::signal::curve::PublicKey;

/// What a QR code says. [`fmt::Display`] is the text to draw, [`FromStr`] reads it as a phone does.
#[derive(Clone, Debug)]
pub struct QrCode {
    /// The server's name for the connection.
    pub reference: String,
    /// Static key of the companion's Noise handshake.
    pub noise: PublicKey,
    /// The companion's Signal identity.
    pub identity: PublicKey,
    /// Authenticates the phone's answer. Whoever sees the code knows it.
    pub adv_secret: AdvSecret,
    /// What the companion says it runs on; old codes don't say.
    pub platform: Option<PlatformId>,
}

impl QrCode {
    /// The code of a device for one reference.
    pub fn new(reference: impl Into<String>, device: &Device, platform: PlatformId) -> Self {
        Self {
            reference: reference.into(),
            noise: *device.noise.public(),
            identity: *device.identity.public(),
            adv_secret: device.adv_secret.clone(),
            platform: Some(platform),
        }
    }
}

impl fmt::Display for QrCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [noise, identity, secret] = [
            self.noise.as_bytes(),
            self.identity.as_bytes(),
            self.adv_secret.as_bytes(),
        ]
        .map(|key| STANDARD.encode(key));
        write!(f, "{PREFIX}#{},{noise},{identity},{secret}", self.reference)?;
        match self.platform {
            Some(platform) => write!(f, ",{platform}"),
            None => Ok(()),
        }
    }
}

/// A text is not that of a linking QR code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a QR code for linking: {0}")]
pub struct BadQrCode(&'static str);

impl FromStr for QrCode {
    type Err = BadQrCode;

    /// With or without the link in front, with or without a platform at the end.
    fn from_str(text: &str) -> Result<Self, BadQrCode> {
        let text = text.rsplit_once('#').map_or(text, |(_, fields)| fields);
        let mut fields = text.split(',');
        let mut next = |name| {
            fields
                .next()
                .filter(|field| !field.is_empty())
                .ok_or(BadQrCode(name))
        };
        Ok(Self {
            reference: next("reference")?.to_owned(),
            noise: PublicKey::new(key(next("noise key")?)?),
            identity: PublicKey::new(key(next("identity key")?)?),
            adv_secret: AdvSecret::new(key(next("secret")?)?),
            platform: next("platform").ok().and_then(PlatformId::parse),
        })
    }
}

/// The kind of companion, as QR codes and pairing codes name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlatformId(u8);

impl PlatformId {
    /// A browser that has no number of its own.
    pub const OTHER_WEB: Self = Self(b'9');

    /// The number of a browser on an operating system, such as `Chrome` on `Mac OS`.
    #[must_use]
    pub fn of(browser: &str, os: &str) -> Self {
        Self(match browser {
            "Chrome" => b'1',
            "Edge" => b'2',
            "Firefox" => b'3',
            "IE" => b'4',
            "Opera" => b'5',
            "Safari" => b'6',
            "Desktop" if os == "Windows" => b'8',
            "Desktop" => b'7',
            _ => return Self::OTHER_WEB,
        })
    }

    fn parse(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [byte] if byte.is_ascii_alphanumeric() => Some(Self(*byte)),
            _ => None,
        }
    }
}

impl fmt::Display for PlatformId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", char::from(self.0))
    }
}

const PREFIX: &str = "https://wa.me/settings/linked_devices";

fn key(text: &str) -> Result<[u8; 32], BadQrCode> {
    let bytes = STANDARD.decode(text).map_err(|_| BadQrCode("base64"))?;
    bytes.try_into().map_err(|_| BadQrCode("key length"))
}
