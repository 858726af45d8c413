//! Which addresses the product calls on behalf of its users: public ones, unless the operator says otherwise.
//!
//! Owns the check of a webhook's URL as it is given and of each address it resolves to at delivery, so that a
//! webhook is no way into the network behind the workers. Must not do any input or output.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Longest URL that is taken, in bytes.
pub const MAX_URL_BYTES: usize = 2048;

/// How far calls may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses only.
    Public,
    /// Loopback and private networks too (`WEBHOOK_ALLOW_PRIVATE=true`, `MEDIA_ALLOW_PRIVATE=true`).
    Anywhere,
}

/// Why a URL is not called. The message completes "url …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// Not an absolute URL with a host.
    #[error("must be an absolute URL with a host")]
    NotAUrl,
    /// Neither http nor https.
    #[error("must begin with http:// or https://")]
    Scheme,
    /// It carries a user name or a password, which would end in logs and listings.
    #[error("must not carry a user name or a password")]
    Credentials,
    /// Longer than [`MAX_URL_BYTES`].
    #[error("must have at most {MAX_URL_BYTES} bytes")]
    TooLong,
    /// A loopback, private or otherwise special address.
    #[error("must not name a loopback or private address (WEBHOOK_ALLOW_PRIVATE=true allows it)")]
    Private,
}

impl Reach {
    /// Whether `address` may be called.
    pub fn allows(self, address: IpAddr) -> bool {
        self == Self::Anywhere || is_public(address)
    }

    /// Checks a URL as far as that is possible without resolving its host.
    ///
    /// # Errors
    /// [`BadUrl`] says what is wrong with it.
    pub fn check(self, text: &str) -> Result<Url, BadUrl> {
        if text.len() > MAX_URL_BYTES {
            return Err(BadUrl::TooLong);
        }
        let url = Url::parse(text).map_err(|_| BadUrl::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BadUrl::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadUrl::Credentials);
        }
        let allowed = match url.host().ok_or(BadUrl::NotAUrl)? {
            Host::Ipv4(address) => self.allows(address.into()),
            Host::Ipv6(address) => self.allows(address.into()),
            Host::Domain(name) => self == Self::Anywhere || !is_local_name(name),
        };
        if allowed { Ok(url) } else { Err(BadUrl::Private) }
    }
}

/// Whether `address` is one that anybody on the internet could reach.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// The special ranges of the IANA registry, by RFC 6890 and its successors.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let embedded = |high: u16, low: u16| {
        let [w, x] = high.to_be_bytes();
        let [y, z] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(w, x, y, z))
    };
    match (a, b) {
        // IPv4 in other clothes: mapped, NAT64, 6to4. What counts is the address inside.
        (0, 0) if (c, d, e, f) == (0, 0, 0, 0xffff) => embedded(g, h),
        (0x64, 0xff9b) => (c, d, e, f) == (0, 0, 0, 0) && embedded(g, h),
        (0x2002, _) => embedded(b, c),
        // Teredo, ORCHID, benchmarking, documentation.
        (0x2001, 0..=0x1ff) | (0x2001, 0xdb8) | (0x3fff, 0..=0xfff) => false,
        // Only 2000::/3 is given out as global unicast.
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.0.8",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "64:ff9b:1::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "93.184.216.34",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn urls_are_checked_as_they_are_given() {
        let check = |text: &str| Reach::Public.check(text).map(|_| ());
        assert_eq!(check("https://example.com/hook?x=1"), Ok(()));
        assert_eq!(check("http://1.1.1.1:8080/"), Ok(()));
        assert_eq!(check("example.com"), Err(BadUrl::NotAUrl));
        assert_eq!(check("ftp://example.com"), Err(BadUrl::Scheme));
        assert_eq!(check("https://user:secret@example.com"), Err(BadUrl::Credentials));
        assert_eq!(
            check(&format!("https://example.com/{}", "a".repeat(MAX_URL_BYTES))),
            Err(BadUrl::TooLong)
        );
        for text in [
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://[::1]/",
            "http://169.254.169.254/latest",
        ] {
            assert_eq!(check(text), Err(BadUrl::Private), "{text}");
            assert!(Reach::Anywhere.check(text).is_ok(), "{text}");
        }
    }
}
