//! The proxy that connections leave by: where it is, how it is spoken to, who we are to it.
//!
//! It sees the host that is asked for and encrypted bytes: TLS is inside of it. Never printed with its password.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use zeroize::Zeroizing;

/// A proxy, from `socks5://`, `socks5h://` or `http://`, with or without `user:password@`.
///
/// [`fmt::Display`] and [`fmt::Debug`] show scheme, host and port alone; [`Self::to_url`] is the whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: ProxyKind,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// SOCKS 5, names looked up here.
    Socks5,
    /// SOCKS 5, names looked up by the proxy.
    Socks5h,
    /// HTTP `CONNECT`; the proxy looks names up.
    Http,
}

/// Who we are to a proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// Their password.
    pub password: Zeroizing<String>,
}

/// A text is no address of a proxy. Never repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadProxy {
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
}

impl Proxy {
    /// How it is spoken to.
    pub const fn kind(&self) -> ProxyKind {
        self.kind
    }

    /// Its name or address; an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Who we are to it.
    pub const fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Its address without user and password.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// The whole of it, to be parsed again. Name a good reason where you call this.
    pub fn to_url(&self) -> Zeroizing<String> {
        let credentials = self.credentials.as_ref().map(|Credentials { user, password }| {
            Zeroizing::new(format!("{}:{}@", &*escaped(user), &*escaped(password)))
        });
        let credentials = credentials.as_ref().map_or("", |text| text.as_str());
        Zeroizing::new(format!(
            "{}://{credentials}{}",
            self.kind.scheme(),
            self.authority()
        ))
    }
}

impl ProxyKind {
    const ALL: [Self; 3] = [Self::Socks5, Self::Socks5h, Self::Http];

    const fn scheme(self) -> &'static str {
        match self {
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
            Self::Http => "http",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Socks5 | Self::Socks5h => 1080,
            Self::Http => 80,
        }
    }
}

impl FromStr for Proxy {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let (scheme, rest) = text.split_once("://").ok_or(BadProxy::Scheme)?;
        let kind = ProxyKind::ALL
            .into_iter()
            .find(|kind| kind.scheme().eq_ignore_ascii_case(scheme))
            .ok_or(BadProxy::Scheme)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, address) = match rest.rsplit_once('@') {
            Some((credentials, address)) => (Some(read_credentials(credentials)?), address),
            None => (None, rest),
        };
        let (host, port) = read_address(address)?;
        Ok(Self {
            kind,
            host,
            port: port.unwrap_or(kind.default_port()),
            credentials,
        })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.kind.scheme(), self.authority())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

fn read_address(text: &str) -> Result<(String, Option<u16>), BadProxy> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(BadProxy::Host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| BadProxy::Host)?;
            (host, port.strip_prefix(':').or((!port.is_empty()).then_some("")))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_name = |char: char| char.is_ascii_alphanumeric() || "-._:".contains(char);
    if host.is_empty() || !host.chars().all(is_name) {
        return Err(BadProxy::Host);
    }
    let port = port.map(|port| port.parse::<u16>().ok().filter(|port| *port > 0));
    match port {
        Some(None) => Err(BadProxy::Port),
        Some(port) => Ok((host.to_owned(), port)),
        None => Ok((host.to_owned(), None)),
    }
}

fn read_credentials(text: &str) -> Result<Credentials, BadProxy> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let (user, password) = (unescaped(user)?, Zeroizing::new(unescaped(password)?));
    let fits = |text: &str| text.len() <= CREDENTIAL_BYTES_MAX;
    // SOCKS has no empty user; HTTP ends the user at a colon.
    if user.is_empty() || user.contains(':') || !fits(&user) || !fits(&password) {
        return Err(BadProxy::Credentials);
    }
    Ok(Credentials { user, password })
}

fn unescaped(text: &str) -> Result<String, BadProxy> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(BadProxy::Credentials);
        };
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| BadProxy::Credentials)?);
    }
    String::from_utf8(bytes).map_err(|_| BadProxy::Credentials)
}

fn escaped(text: &str) -> Zeroizing<String> {
    let mut escaped = Zeroizing::new(String::with_capacity(3 * text.len()));
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => escaped.push(char::from(byte)),
            false => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Longest user and password: SOCKS gives their lengths a byte.
const CREDENTIAL_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_proxies_are_read_and_written() {
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
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.to_string(), shown);
            assert_eq!(format!("{proxy:?}"), format!("Proxy({shown})"));
            assert_eq!(proxy.to_url().parse(), Ok(proxy));
        }
        let proxy: Proxy = "http://user:p%40ss%3A@proxy.example".parse().unwrap();
        let credentials = proxy.credentials().unwrap();
        assert_eq!(
            (credentials.user.as_str(), credentials.password.as_str()),
            ("user", "p@ss:")
        );
    }

    #[test]
    fn what_is_no_proxy_says_what_is_wrong_and_not_what_it_was() {
        for (text, wrong) in [
            ("proxy.example:1080", BadProxy::Scheme),
            ("https://proxy.example", BadProxy::Scheme),
            ("socks5://", BadProxy::Host),
            ("socks5://proxy.example/path", BadProxy::Host),
            ("socks5://[::1", BadProxy::Host),
            ("socks5://proxy.example:0", BadProxy::Port),
            ("socks5://proxy.example:x", BadProxy::Port),
            ("http://:secret@proxy.example", BadProxy::Credentials),
            ("http://user:%zz@proxy.example", BadProxy::Credentials),
        ] {
            let error = text.parse::<Proxy>().unwrap_err();
            assert_eq!(error, wrong, "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }
}
