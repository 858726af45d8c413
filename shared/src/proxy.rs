//! The address of a proxy that a session is to leave by, as its owner names it.
//!
//! Checked here, so that every door refuses the same; who speaks to a proxy reads it again. It may hold a password: it is
//! shown without, and written as a whole by [`serialize_given`] and [`ProxyUrl::expose`] alone.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize as _, Serializer};
use thiserror::Error;
use zeroize::Zeroizing;

/// A proxy: `socks5://`, `socks5h://` or `http://`, with `user:password@` if it wants them.
///
/// [`fmt::Display`] and [`fmt::Debug`] show scheme, host and port alone.
#[derive(Clone, Eq, PartialEq)]
pub struct ProxyUrl {
    whole: Zeroizing<String>,
    shown: String,
}

/// A text is no address of a proxy. Never repeats it.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum BadProxyUrl {
    /// Another scheme, or none.
    #[error("must begin with socks5://, socks5h:// or http://")]
    Scheme,
    /// No host, or what is none.
    #[error("must name a host and nothing behind its port")]
    Host,
    /// A port that is none.
    #[error("must have a port of 1 to 65535")]
    Port,
    /// User or password that can't be sent.
    #[error("user and password must be at most 255 bytes each, with % and special characters as %XX")]
    Credentials,
    /// More than anybody needs.
    #[error("must be at most {URL_BYTES_MAX} bytes")]
    TooLong,
}

impl ProxyUrl {
    /// The whole of it, with user and password. Name a good reason where you call this.
    pub fn expose(&self) -> &str {
        &self.whole
    }
}

impl FromStr for ProxyUrl {
    type Err = BadProxyUrl;

    fn from_str(text: &str) -> Result<Self, BadProxyUrl> {
        if text.len() > URL_BYTES_MAX {
            return Err(BadProxyUrl::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BadProxyUrl::Scheme)?;
        let (scheme, default_port) = SCHEMES
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(scheme))
            .ok_or(BadProxyUrl::Scheme)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let address = match rest.rsplit_once('@') {
            Some((credentials, address)) => {
                check_credentials(credentials)?;
                address
            }
            None => rest,
        };
        let (host, port) = split_address(address)?;
        let port = match port {
            Some(text) => {
                let port = text.parse::<u16>().ok().filter(|port| *port > 0);
                port.ok_or(BadProxyUrl::Port)?
            }
            None => default_port,
        };
        Ok(Self {
            whole: Zeroizing::new(text.to_owned()),
            shown: format!("{scheme}://{host}:{port}"),
        })
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({})", self.shown)
    }
}

impl JsonSchema for ProxyUrl {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ProxyUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": URL_BYTES_MAX,
            "pattern": "^([sS][oO][cC][kK][sS]5[hH]?|[hH][tT][tT][pP])://.+$",
            "description": "`socks5://` (names are looked up by us), `socks5h://` or `http://` (by the proxy), with \
                            `user:password@` if it wants them, special characters as `%XX`.",
            "examples": ["socks5h://user:password@proxy.example:1080"],
        })
    }
}

/// Reads a [`ProxyUrl`] or null.
///
/// # Errors
/// Another value; the error says what it must be and never what it was.
pub fn deserialize<'de, D: Deserializer<'de>>(json: D) -> Result<Option<ProxyUrl>, D::Error> {
    let text = Option::<String>::deserialize(json)?.map(Zeroizing::new);
    text.map(|text| text.parse().map_err(D::Error::custom))
        .transpose()
}

/// Reads a [`ProxyUrl`] or null where null means something: it tells that from a field that is absent.
///
/// # Errors
/// As [`deserialize`].
pub fn deserialize_given<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Option<ProxyUrl>>, D::Error> {
    deserialize(json).map(Some)
}

/// Writes the whole of it, for who is to leave by it.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(proxy: &Option<ProxyUrl>, json: S) -> Result<S::Ok, S::Error> {
    proxy.as_ref().map(ProxyUrl::expose).serialize(json)
}

/// As [`serialize`]; what is absent is for the field to leave out.
///
/// # Errors
/// Those of the serializer.
pub fn serialize_given<S: Serializer>(proxy: &Option<Option<ProxyUrl>>, json: S) -> Result<S::Ok, S::Error> {
    match proxy {
        Some(proxy) => serialize(proxy, json),
        None => json.serialize_none(),
    }
}

/// The host, in brackets where it came in them, and its port if there is one.
fn split_address(text: &str) -> Result<(&str, Option<&str>), BadProxyUrl> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(BadProxyUrl::Host)?;
        let (host, rest) = text.split_at(end + 1);
        host[1..end].parse::<Ipv6Addr>().map_err(|_| BadProxyUrl::Host)?;
        return match (rest, rest.strip_prefix(':')) {
            ("", _) => Ok((host, None)),
            (_, Some(port)) => Ok((host, Some(port))),
            _ => Err(BadProxyUrl::Port),
        };
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_name = |char: char| char.is_ascii_alphanumeric() || "-._".contains(char);
    match host.is_empty() || host.len() > HOST_BYTES_MAX || !host.chars().all(is_name) {
        true => Err(BadProxyUrl::Host),
        false => Ok((host, port)),
    }
}

/// That user and password can be sent.
fn check_credentials(text: &str) -> Result<(), BadProxyUrl> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let (user, password) = (unescaped(user)?, unescaped(password)?);
    let fits = |text: &str| text.len() <= CREDENTIAL_BYTES_MAX;
    // SOCKS has no empty user; HTTP ends the user at a colon.
    match user.is_empty() || user.contains(':') || !fits(&user) || !fits(&password) {
        true => Err(BadProxyUrl::Credentials),
        false => Ok(()),
    }
}

fn unescaped(text: &str) -> Result<Zeroizing<String>, BadProxyUrl> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let byte = match byte {
            b'%' => {
                let value = digit().zip(digit()).map(|(high, low)| high * 16 + low);
                value.and_then(|value| u8::try_from(value).ok())
            }
            other => Some(other),
        };
        bytes.push(byte.ok_or(BadProxyUrl::Credentials)?);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| BadProxyUrl::Credentials)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The schemes there are, with the ports that they go by.
const SCHEMES: [(&str, u16); 3] = [("socks5", 1080), ("socks5h", 1080), ("http", 80)];
/// Longest URL: the longest host, and user and password with each byte as `%XX`.
const URL_BYTES_MAX: usize = 2_048;
/// Longest name of a host.
const HOST_BYTES_MAX: usize = 253;
/// Longest user and password: SOCKS gives their lengths a byte.
const CREDENTIAL_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_shown_without_user_and_password() {
        for (text, shown) in [
            ("socks5://10.0.0.1", "socks5://10.0.0.1:1080"),
            ("socks5h://proxy.example:9050/", "socks5h://proxy.example:9050"),
            (
                "http://user:p%40ss%3A@proxy.example:3128",
                "http://proxy.example:3128",
            ),
            ("HTTP://user@[2001:db8::1]:3128", "http://[2001:db8::1]:3128"),
            ("http://[::1]", "http://[::1]:80"),
        ] {
            let proxy: ProxyUrl = text.parse().unwrap();
            assert_eq!(proxy.to_string(), shown);
            assert_eq!(format!("{proxy:?}"), format!("ProxyUrl({shown})"));
            assert_eq!(proxy.expose(), text);
        }
    }

    #[test]
    fn what_is_no_proxy_says_what_is_wrong_and_not_what_it_was() {
        let long = format!("http://user:{}@proxy.example", "s".repeat(256));
        let longer = format!("http://user:{}@proxy.example", "s".repeat(2_048));
        for (text, wrong) in [
            ("proxy.example:1080", BadProxyUrl::Scheme),
            ("https://user:secret@proxy.example", BadProxyUrl::Scheme),
            ("socks5://", BadProxyUrl::Host),
            ("socks5://proxy.example/path", BadProxyUrl::Host),
            ("socks5://[::1", BadProxyUrl::Host),
            ("socks5://[proxy]:1", BadProxyUrl::Host),
            ("socks5://proxy.example:0", BadProxyUrl::Port),
            ("socks5://proxy.example:", BadProxyUrl::Port),
            ("socks5://[::1]1080", BadProxyUrl::Port),
            ("http://:secret@proxy.example", BadProxyUrl::Credentials),
            ("http://user:secret%zz@proxy.example", BadProxyUrl::Credentials),
            ("http://us%3Aer:secret@proxy.example", BadProxyUrl::Credentials),
            (&long, BadProxyUrl::Credentials),
            (&longer, BadProxyUrl::TooLong),
        ] {
            let error = text.parse::<ProxyUrl>().unwrap_err();
            assert_eq!(error, wrong, "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }
}
