//! The tokens of trusted contacts: how they come, how ours are issued, and what a message carries of them.
//!
//! Facts: docs/PROTOCOL.md, "Tokens".

use std::fmt;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::binary::Node;
use crate::jid::Jid;
use crate::time::Timestamp;

/// Largest token that is taken; those seen are far smaller.
pub const MAX_TOKEN_BYTES: usize = 1024;

/// A token that a contact gave us.
#[derive(Clone, PartialEq, Eq)]
pub struct GivenToken {
    /// The secret itself; never empty.
    pub bytes: Bytes,
    /// When the server made it.
    pub issued: Timestamp,
}

impl GivenToken {
    /// Takes a copy, which keeps nothing alive of what it came in; `None` if it can't be a token.
    #[must_use]
    pub fn new(bytes: &[u8], issued: Timestamp) -> Option<Self> {
        let fits = !bytes.is_empty() && bytes.len() <= MAX_TOKEN_BYTES;
        fits.then(|| Self {
            bytes: Bytes::copy_from_slice(bytes),
            issued,
        })
    }
}

/// The token in `<notification type="privacy_token">`: the newest, if there are several. `None` if there is none that could
/// be one.
#[must_use]
pub fn given(notification: &Node) -> Option<GivenToken> {
    let tokens = notification.child("tokens")?;
    let tokens = tokens.nodes_named("token").filter_map(|token| {
        let bytes = token.bytes().filter(|_| token.attr_is("type", TRUSTED_CONTACT))?;
        let issued = token.attr_u64("t").filter(|t| *t != 0)?;
        GivenToken::new(&bytes, Timestamp::from_secs(issued))
    });
    tokens.max_by_key(|token| token.issued)
}

/// A token of ours for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// For whom, without device.
    pub to: Jid,
    /// From when on it counts.
    pub t: Timestamp,
}

/// Has tokens of ours made and handed out, without `id`.
#[must_use]
pub fn issue<'a>(issues: impl IntoIterator<Item = &'a Issue>) -> Node {
    let tokens = issues.into_iter().map(|issue| {
        Node::new("token")
            .attr("jid", &issue.to)
            .attr("t", issue.t.as_secs())
            .attr("type", TRUSTED_CONTACT)
    });
    Node::new("iq")
        .attr("to", Jid::SERVER)
        .attr("type", "set")
        .attr("xmlns", "privacy")
        .with_child(Node::new("tokens").with_children(tokens))
}

/// What tells the server that we may write to somebody.
#[derive(Clone, PartialEq, Eq)]
pub enum ContactProof {
    /// The token that the contact gave us.
    Given(Bytes),
    /// Made from the account's salt, for those who gave us none.
    Salted([u8; 32]),
}

impl ContactProof {
    /// The one for this hidden id.
    #[must_use]
    pub fn salted(salt: &[u8], lid: &str) -> Self {
        // Unwrap safety: HMAC takes a key of any length.
        let mac =
            Hmac::<Sha256>::new_from_slice(salt).unwrap_or_else(|_| unreachable!("a key of any length"));
        let mac = mac.chain_update(lid.as_bytes()).chain_update(b"@lid");
        Self::Salted(mac.finalize().into_bytes().into())
    }

    /// The child of a message.
    #[must_use]
    pub fn into_node(self) -> Node {
        match self {
            Self::Given(token) => Node::new("tctoken").with_bytes(token),
            Self::Salted(token) => Node::new("cstoken").with_slice(&token),
        }
    }
}

/// Prints which kind it is, and nothing of it.
impl fmt::Debug for ContactProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given(_) => "Given(…)",
            Self::Salted(_) => "Salted(…)",
        })
    }
}

/// Prints its time alone.
impl fmt::Debug for GivenToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GivenToken")
            .field("issued", &self.issued)
            .finish_non_exhaustive()
    }
}

const TRUSTED_CONTACT: &str = "trusted_contact";

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed apart from this code: HMAC-SHA256 under the bytes 0 to 31.
    #[test]
    fn a_salted_proof_is_the_mac_of_the_hidden_id() {
        let salt: Vec<u8> = (0..32).collect();
        let node = ContactProof::salted(&salt, "100000000000002").into_node();
        assert!(node.is("cstoken"));
        assert_eq!(
            hex::encode(node.bytes().unwrap()),
            "5ea49d818de8d8e4d0cfac2e2f9adbe81aea56000658b6adc44af663147106f3"
        );
    }

    #[test]
    fn a_request_names_each_contact_with_its_time() {
        let issues = ["100@lid", "15550002@s.whatsapp.net"].map(|to| Issue {
            to: to.parse().unwrap(),
            t: Timestamp::from_secs(1_795_276_800),
        });
        let iq = issue(&issues);
        assert!(iq.attr_is("xmlns", "privacy") && iq.attr_is("type", "set"));
        let tokens = iq.child("tokens").unwrap();
        let named: Vec<_> = tokens
            .nodes()
            .iter()
            .filter_map(|token| token.attr_jid("jid"))
            .collect();
        assert_eq!(named, issues.map(|issue| issue.to));
        for token in tokens.nodes() {
            assert!(token.is("token") && token.attr_is("type", "trusted_contact"));
            assert!(token.attr_is("t", "1795276800"));
        }
    }

    #[test]
    fn only_what_could_be_a_token_is_taken() {
        let token = |kind: &str, t: &str, bytes: &[u8]| {
            Node::new("token")
                .attr("type", kind)
                .attr("t", t)
                .with_slice(bytes)
        };
        let with = |tokens: Vec<Node>| {
            given(&Node::new("notification").with_child(Node::new("tokens").with_children(tokens)))
        };
        let good = token("trusted_contact", "5", b"new");
        let older = token("trusted_contact", "4", b"old");
        let odd = [
            token("other", "9", b"x"),
            token("trusted_contact", "0", b"x"),
            token("trusted_contact", "soon", b"x"),
            token("trusted_contact", "9", b""),
            token("trusted_contact", "9", &[1; MAX_TOKEN_BYTES + 1]),
            Node::new("token").attr("type", "trusted_contact").attr("t", "9"),
            Node::new("token")
                .attr("type", "trusted_contact")
                .with_slice(b"x"),
            Node::new("other")
                .attr("type", "trusted_contact")
                .attr("t", "9")
                .with_slice(b"x"),
        ];
        assert_eq!(with(odd.to_vec()), None);
        let all = [older, good].into_iter().chain(odd).collect();
        assert_eq!(with(all).unwrap().bytes, "new");
        assert_eq!(given(&Node::new("notification")), None);
    }
}
