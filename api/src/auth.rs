//! Who may ask: the `AUTH` key as HTTP Basic user name, and as Bearer token under `/v1`.
//!
//! Owns the rules for a usable key and the comparison. Must not know what a request asks for.

use std::fmt;
use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::problem::{Code, Problem};

/// Shortest `AUTH` that an API which can be reached from elsewhere starts with, in bytes.
pub const MIN_KEY_BYTES: usize = 16;

/// Keys that stand in public documents; each of them is nobody's secret.
const SAMPLE_KEYS: [&str; 5] = [
    "RANDOMNUMBERANDSTRINGFORSAFETY",
    "Ndalu-server-uUdkfgli783pkfnlaskogoigh",
    "Ndalu-server-uUdkfgli783pkfnlaskogoighr",
    "change-me",
    "changeme",
];

/// How a browser says on whose behalf it asks.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Which schemes a path accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Basic base64(AUTH + ":")`.
    Basic,
    /// The same, or `Authorization: Bearer AUTH`.
    BasicOrBearer,
}

/// The key that opens the API. Only its digest is kept, and it is never printed.
#[derive(Clone)]
pub struct ApiKey {
    digest: [u8; 32],
    weakness: Option<WeakKey>,
}

/// Why the API does not start with this key.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WeakKey {
    /// No key at all.
    #[error("is empty: set it to a long random string (openssl rand -hex 32), or listen on 127.0.0.1 only")]
    Empty,
    /// A key from a public document.
    #[error("is a published sample: set it to a long random string (openssl rand -hex 32)")]
    Sample,
    /// A key that can be guessed.
    #[error("has fewer than {MIN_KEY_BYTES} bytes: use a longer one (openssl rand -hex 32)")]
    Short,
}

impl ApiKey {
    /// Takes `key` for an API that listens on `listen`.
    ///
    /// # Errors
    /// An empty, sample or short key is refused unless the API listens on loopback only. With an empty key on
    /// loopback every request is let in.
    pub fn new(key: &str, listen: IpAddr) -> Result<Self, WeakKey> {
        let weakness = weakness(key);
        match weakness {
            Some(weak) if !listen.is_loopback() => Err(weak),
            _ => Ok(Self {
                digest: Sha256::digest(key.as_bytes()).into(),
                weakness,
            }),
        }
    }

    /// Why the key would not do for an API that others can reach.
    pub fn weakness(&self) -> Option<WeakKey> {
        self.weakness
    }

    /// Lets a request in, or says why not.
    ///
    /// # Errors
    /// 401 when the header is missing, of another scheme, or holds another key. 403, where no key is set, when a browser
    /// asks for a page that is none of `origins`: it would ask for any page that its user looks at.
    pub fn check(&self, headers: &HeaderMap, scheme: Scheme, origins: &[HeaderValue]) -> Result<(), Problem> {
        if self.is_open() {
            return refuse_foreign_pages(headers, origins);
        }
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Err(unauthorized("the Authorization header is missing"));
        };
        let offered = value.to_str().ok().and_then(|value| offered_key(value, scheme));
        match offered {
            Some(key) if self.is(&key) => Ok(()),
            Some(_) => Err(unauthorized("the key is not right")),
            None => Err(unauthorized(
                "send the key as Basic user name with an empty password",
            )),
        }
    }

    /// Whether this is the key, as a client offers it that can't set a header.
    pub fn admits(&self, offered: &str) -> bool {
        !self.is_open() && self.is(offered.as_bytes())
    }

    /// Whether no key is set, so that nobody needs one.
    pub fn is_open(&self) -> bool {
        self.weakness == Some(WeakKey::Empty)
    }

    /// Compares digests in constant time, so that neither the length nor a matching prefix shows.
    fn is(&self, offered: &[u8]) -> bool {
        let offered: [u8; 32] = Sha256::digest(offered).into();
        self.digest.ct_eq(&offered).into()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

fn offered_key(value: &str, scheme: Scheme) -> Option<Vec<u8>> {
    let (name, credentials) = value.split_once(' ')?;
    let credentials = credentials.trim();
    if name.eq_ignore_ascii_case("bearer") && scheme == Scheme::BasicOrBearer {
        return Some(credentials.as_bytes().to_vec());
    }
    if !name.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut pair = STANDARD.decode(credentials).ok()?;
    // The password is empty, so the last colon ends the user name, which may hold others.
    (pair.pop()? == b':').then_some(pair)
}

/// Whether a page may ask whose browser says where it is from: the address that it asks, whatever its name, or one of
/// `origins`. What no page asked for says nothing, and may.
pub fn may_ask(headers: &HeaderMap, origins: &[HeaderValue]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let own = authority(origin).zip(headers.get(header::HOST).and_then(|host| host.to_str().ok()));
    is_named(origin, origins) || own.is_some_and(|(authority, host)| authority.as_str() == host)
}

fn is_named(origin: &HeaderValue, origins: &[HeaderValue]) -> bool {
    origins.iter().any(|allowed| allowed == "*" || allowed == origin)
}

fn authority(origin: &HeaderValue) -> Option<Authority> {
    let origin: Uri = origin.to_str().ok()?.parse().ok()?;
    origin.into_parts().authority
}

fn refuse_foreign_pages(headers: &HeaderMap, origins: &[HeaderValue]) -> Result<(), Problem> {
    let foreign = match headers.get(header::ORIGIN) {
        Some(origin) => !is_named(origin, origins) && !is_own(origin, headers),
        // Without an Origin come what no page asked for, and reads, whose answers a foreign page does not get.
        None => headers
            .get(SEC_FETCH_SITE)
            .is_some_and(|site| site == "cross-site"),
    };
    if foreign {
        let text = "no key is set, so pages of other origins are not let in; set AUTH, or name the page's origin in ORIGIN";
        return Err(Problem::new(Code::CrossSite, text));
    }
    Ok(())
}

fn weakness(key: &str) -> Option<WeakKey> {
    let is_sample = || SAMPLE_KEYS.iter().any(|sample| sample.eq_ignore_ascii_case(key));
    match key {
        "" => Some(WeakKey::Empty),
        _ if is_sample() => Some(WeakKey::Sample),
        _ if key.len() < MIN_KEY_BYTES => Some(WeakKey::Short),
        _ => None,
    }
}

/// Whether a page is our own: from the address that it asks, and that is loopback by name. Any other name could lead
/// here for a while.
fn is_own(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    let Some((host, origin)) = host.zip(origin) else {
        return false;
    };
    let name = origin.host().unwrap_or_default().trim_matches(['[', ']']);
    let loopback = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    loopback && origin.scheme_str() == Some("http") && origin.authority().is_some_and(|own| own == host)
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(Code::Unauthorized, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const ANYWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    }

    fn basic(key: &str, password: &str) -> HeaderMap {
        headers(&format!("Basic {}", STANDARD.encode(format!("{key}:{password}"))))
    }

    #[test]
    fn weak_keys_serve_loopback_only() {
        for (key, weak) in [
            ("", WeakKey::Empty),
            ("RANDOMNUMBERANDSTRINGFORSAFETY", WeakKey::Sample),
            ("short", WeakKey::Short),
        ] {
            assert_eq!(ApiKey::new(key, ANYWHERE).unwrap_err(), weak);
            assert_eq!(ApiKey::new(key, LOOPBACK).unwrap().weakness(), Some(weak));
        }
        assert_eq!(ApiKey::new(KEY, ANYWHERE).unwrap().weakness(), None);
    }

    #[test]
    fn basic_takes_the_key_as_user_name_with_an_empty_password() {
        let key = ApiKey::new(KEY, ANYWHERE).unwrap();
        assert!(key.check(&basic(KEY, ""), Scheme::Basic, &[]).is_ok());
        for wrong in [
            basic(KEY, "x"),
            basic("", KEY),
            basic("other", ""),
            headers("Basic ???"),
            headers("Digest x"),
        ] {
            assert_eq!(
                key.check(&wrong, Scheme::Basic, &[]).unwrap_err().code(),
                Code::Unauthorized
            );
        }
        assert!(key.check(&HeaderMap::new(), Scheme::Basic, &[]).is_err());
    }

    #[test]
    fn bearer_is_for_v1_only() {
        let key = ApiKey::new(KEY, ANYWHERE).unwrap();
        let bearer = headers(&format!("Bearer {KEY}"));
        assert!(key.check(&bearer, Scheme::BasicOrBearer, &[]).is_ok());
        assert!(key.check(&bearer, Scheme::Basic, &[]).is_err());
    }

    #[test]
    fn an_empty_key_on_loopback_lets_everybody_in() {
        let key = ApiKey::new("", LOOPBACK).unwrap();
        assert!(key.check(&HeaderMap::new(), Scheme::Basic, &[]).is_ok());
    }

    #[test]
    fn without_a_key_pages_of_other_origins_are_kept_out() {
        let open = ApiKey::new("", LOOPBACK).unwrap();
        let closed = ApiKey::new(KEY, LOOPBACK).unwrap();
        let origins = ["https://app.example.com".parse().unwrap()];
        let with = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| {
                (
                    name.parse::<axum::http::HeaderName>().unwrap(),
                    value.parse().unwrap(),
                )
            });
            pairs.collect::<HeaderMap>()
        };
        let host = ("host", "127.0.0.1:3000");
        for asked in [
            with(&[host]),
            with(&[host, ("sec-fetch-site", "none")]),
            with(&[
                host,
                ("origin", "http://127.0.0.1:3000"),
                ("sec-fetch-site", "same-origin"),
            ]),
            with(&[("host", "localhost:3000"), ("origin", "http://localhost:3000")]),
            with(&[
                host,
                ("origin", "https://app.example.com"),
                ("sec-fetch-site", "cross-site"),
            ]),
        ] {
            assert!(open.check(&asked, Scheme::Basic, &origins).is_ok(), "{asked:?}");
        }
        for asked in [
            with(&[host, ("sec-fetch-site", "cross-site")]),
            with(&[host, ("origin", "https://evil.example.com")]),
            with(&[
                host,
                ("origin", "http://127.0.0.1:8080"),
                ("sec-fetch-site", "same-site"),
            ]),
            with(&[host, ("origin", "null")]),
            // A name that its owner makes lead here.
            with(&[
                ("host", "evil.example.com"),
                ("origin", "http://evil.example.com"),
            ]),
        ] {
            let refused = open.check(&asked, Scheme::Basic, &origins).unwrap_err();
            assert_eq!(refused.code(), Code::CrossSite, "{asked:?}");
            // With a key it is the key that tells.
            let refused = closed.check(&asked, Scheme::Basic, &origins).unwrap_err();
            assert_eq!(refused.code(), Code::Unauthorized);
        }
    }

    #[test]
    fn pages_ask_from_the_address_that_they_ask_and_from_origins() {
        let origins = ["https://app.example.com".parse().unwrap()];
        let from = |origin: &str, host: &str| {
            let pairs = [(header::ORIGIN, origin), (header::HOST, host)];
            HeaderMap::from_iter(pairs.map(|(name, value)| (name, value.parse().unwrap())))
        };
        assert!(may_ask(&HeaderMap::new(), &origins));
        for (origin, host, may) in [
            ("https://app.example.com", "api.example.com", true),
            ("https://api.example.com", "api.example.com", true),
            ("http://10.0.0.7:3000", "10.0.0.7:3000", true),
            ("http://10.0.0.7:8080", "10.0.0.7:3000", false),
            ("https://evil.example.com", "api.example.com", false),
            ("null", "api.example.com", false),
        ] {
            assert_eq!(may_ask(&from(origin, host), &origins), may, "{origin} {host}");
        }
        assert!(may_ask(&from("null", "api.example.com"), &["*".parse().unwrap()]));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", ApiKey::new(KEY, ANYWHERE).unwrap()), "ApiKey(…)");
    }
}
