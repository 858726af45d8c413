//! The proxy that a session leaves by, in the library's words.

use shared::proxy::ProxyUrl;
use whatsapp::proxy::{BadProxy, Proxy};

/// A session's own proxy as the library has it.
///
/// # Errors
/// [`BadProxy`] where the library takes less than what was accepted; a test has the two agree.
pub(crate) fn proxy(url: &ProxyUrl) -> Result<Proxy, BadProxy> {
    url.expose().parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_takes_the_other_takes_as_the_same_and_what_it_refuses_too() {
        let long = format!("http://{}:x@proxy.example", "u".repeat(256));
        for text in [
            "socks5://10.0.0.1",
            "SOCKS5H://user@proxy.example:9050/",
            "http://user:p%40ss%3A@proxy.example:3128",
            "http://us@er:p@ss:w@proxy.example",
            "http://[2001:db8::1]:3128",
            "http://[::1]",
            "http://[::1]80",
            "http://[proxy]",
            "proxy.example:1080",
            "https://proxy.example",
            "socks5://",
            "socks5://:1080",
            "socks5://proxy.example/path",
            "socks5://proxy.example:0",
            "socks5://proxy.example:70000",
            "socks5://proxy.example:",
            "socks5://a:b:1",
            "http://:secret@proxy.example",
            "http://@proxy.example",
            "http://user:%zz@proxy.example",
            "http://user:%ff@proxy.example",
            "http://us%3aer@proxy.example",
            &long,
        ] {
            let (ours, theirs) = (text.parse::<ProxyUrl>(), text.parse::<Proxy>());
            let shown = ours
                .as_ref()
                .map(ToString::to_string)
                .map_err(ToString::to_string);
            let same = theirs
                .as_ref()
                .map(ToString::to_string)
                .map_err(ToString::to_string);
            assert_eq!(shown, same, "{text}");
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                assert_eq!(proxy(&ours), Ok(theirs), "{text}");
            }
        }
    }
}
