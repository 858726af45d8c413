//! The hosts that files are at, and what uploads to them show, as the server names them.
//!
//! Facts: docs/PROTOCOL.md, "Media".

use std::time::Duration;

use crate::binary::Node;
pub use crate::event::{MediaAuth, MediaConn, MediaHost};
use crate::jid::Jid;

/// Most hosts taken from one answer.
pub const MAX_HOSTS: usize = 8;
/// How long an answer counts at least, and at most, whatever it says.
const TTL: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(24 * 3600)];
/// Longest name of a host, with a port.
const MAX_NAME_BYTES: usize = 253 + 6;

/// Asks for the hosts, without an id.
#[must_use]
pub fn query() -> Node {
    Node::new("iq")
        .attr("to", Jid::SERVER)
        .attr("type", "set")
        .attr("xmlns", "w:m")
        .with_child(Node::new("media_conn"))
}

impl MediaConn {
    /// Reads an answer; `None` if it names no host or nothing to show. Hosts that are none are left out.
    #[must_use]
    pub fn parse(reply: &Node) -> Option<Self> {
        let conn = reply.child("media_conn")?;
        let auth = conn.attr_str("auth").filter(|auth| !auth.is_empty())?;
        let seconds = |name: &str| {
            let told = Duration::from_secs(conn.attr_u64(name).unwrap_or_default());
            told.clamp(TTL[0], TTL[1])
        };
        let hosts = conn.nodes_named("host").filter_map(MediaHost::parse);
        let hosts: Vec<_> = hosts.take(MAX_HOSTS).collect();
        (!hosts.is_empty()).then(|| Self {
            auth: MediaAuth::new(auth),
            ttl: seconds("ttl"),
            auth_ttl: seconds("auth_ttl"),
            hosts,
        })
    }

    /// The answer's child, as a server sends it.
    #[must_use]
    pub fn to_node(&self) -> Node {
        let hosts = self.hosts.iter().map(|host| {
            Node::new("host")
                .attr("hostname", &host.hostname)
                .attr_opt("fallback_hostname", host.fallback.as_ref())
                .attr_opt("maxContentLengthBytes", host.max_bytes)
        });
        Node::new("media_conn")
            .attr("auth", self.auth.as_str())
            .attr("ttl", self.ttl.as_secs())
            .attr("auth_ttl", self.auth_ttl.as_secs())
            .attr("max_buckets", 12u32)
            .with_children(hosts)
    }

    /// The addresses to fetch a file from with this scheme, in the order to try: the hosts, then what stands in for them.
    #[must_use]
    pub fn addresses(&self, scheme: &str) -> Vec<String> {
        let first = self.hosts.iter().map(|host| &host.hostname);
        let other = self.hosts.iter().filter_map(|host| host.fallback.as_ref());
        let mut all: Vec<String> = Vec::new();
        for name in first.chain(other) {
            let address = format!("{scheme}://{name}");
            if !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }
}

impl MediaHost {
    fn parse(node: &Node) -> Option<Self> {
        let name = |name: &str| {
            let text = node.attr_str(name)?.into_owned();
            is_host(&text).then_some(text)
        };
        Some(Self {
            hostname: name("hostname")?,
            fallback: name("fallback_hostname"),
            max_bytes: node.attr_u64("maxContentLengthBytes").filter(|bytes| *bytes > 0),
        })
    }
}

/// Whether nothing but a host, maybe with a port, is named: it comes to stand in an address.
fn is_host(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, "443"));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    text.len() <= MAX_NAME_BYTES
        && !name.is_empty()
        && name.bytes().all(is_name)
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(hosts: &[(&'static str, Option<&'static str>)], ttl: &'static str) -> Node {
        let hosts = hosts.iter().map(|(name, fallback)| {
            Node::new("host")
                .attr("hostname", *name)
                .attr_opt("fallback_hostname", *fallback)
        });
        let conn = Node::new("media_conn")
            .attr("auth", "secret")
            .attr("ttl", ttl)
            .attr("auth_ttl", "21600");
        Node::new("iq").with_child(conn.with_children(hosts))
    }

    #[test]
    fn hosts_are_read_in_their_order_with_their_time() {
        let answer = conn(
            &[
                ("a.whatsapp.net", Some("b.whatsapp.net")),
                ("c.whatsapp.net:8443", None),
            ],
            "300",
        );
        let read = MediaConn::parse(&answer).unwrap();
        assert_eq!(read.ttl, Duration::from_secs(300));
        assert_eq!(read.auth_ttl, Duration::from_secs(21_600));
        assert_eq!(
            read.addresses("https"),
            [
                "https://a.whatsapp.net",
                "https://c.whatsapp.net:8443",
                "https://b.whatsapp.net"
            ]
        );
        assert!(!format!("{read:?}").contains("secret"));
        let again = MediaConn::parse(&Node::new("iq").with_child(read.to_node()));
        assert_eq!(again, Some(read));
    }

    #[test]
    fn what_is_no_host_is_left_out_and_odd_times_are_bounded() {
        let odd = [
            ("", None),
            ("evil.net/path", None),
            ("user@evil.net", None),
            ("a b", None),
            ("x:0", None),
            ("x:99999", None),
        ];
        assert_eq!(MediaConn::parse(&conn(&odd, "300")), None);
        let mixed = conn(&[("ok.net", Some("not?ok")), ("#", None)], "0");
        let read = MediaConn::parse(&mixed).unwrap();
        assert_eq!(read.addresses("http"), ["http://ok.net"]);
        assert_eq!(read.ttl, TTL[0]);
        let long = MediaConn::parse(&conn(&[("ok.net", None)], "999999999")).unwrap();
        assert_eq!(long.ttl, TTL[1]);
        assert_eq!(MediaConn::parse(&Node::new("iq")), None);
        let many = vec![("ok.net", None); MAX_HOSTS + 5];
        assert_eq!(
            MediaConn::parse(&conn(&many, "300")).unwrap().hosts.len(),
            MAX_HOSTS
        );
    }
}
