//! What was learned of tokens and waits for what is stored of them.

use bytes::Bytes;

use crate::binary::Node;
use crate::jid::Jid;
use crate::stanza::token::GivenToken;
use crate::time::Timestamp;

/// Something about the tokens between us and one contact.
pub(super) struct News {
    pub(super) user: Jid,
    pub(super) name: Name,
    pub(super) what: What,
    /// What to say when it is kept.
    pub(super) ack: Option<Box<Node>>,
}

/// Whether the contact's other name was looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Unasked,
    Asked,
    Settled,
}

pub(super) enum What {
    /// They gave us a token, or we gave them ours, or both.
    Tokens {
        given: Option<GivenToken>,
        issued: Option<Timestamp>,
    },
    /// They registered anew, so that they have none of ours any more.
    NewIdentity,
}

impl News {
    /// What a conversation of the history says of tokens; `None` if that is nothing, or makes no sense.
    pub(super) fn of_history(
        owner: &Jid,
        token: Option<Bytes>,
        given_at: Timestamp,
        issued: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Self> {
        let token = token.filter(|_| is_plausible(given_at, now));
        let given = token.and_then(|bytes| GivenToken::new(&bytes, given_at));
        let issued = issued.filter(|t| is_plausible(*t, now));
        let says_something = given.is_some() || issued.is_some();
        says_something.then(|| Self {
            user: owner.to_bare(),
            name: Name::Unasked,
            what: What::Tokens { given, issued },
            ack: None,
        })
    }
}

/// Whether something can have been issued at this time: one from the future would count for ever.
pub(super) fn is_plausible(t: Timestamp, now: Timestamp) -> bool {
    t > Timestamp::EPOCH && t.since(now).as_secs() <= MAX_AHEAD_SECS
}

/// How far clocks may differ.
const MAX_AHEAD_SECS: u64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_that_makes_no_sense_says_nothing() {
        let now = Timestamp::from_secs(1_795_276_800);
        let owner: Jid = "100:3@lid".parse().unwrap();
        let token = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
        let later = now + std::time::Duration::from_secs(2 * MAX_AHEAD_SECS);
        let of = |token, given_at, issued| News::of_history(&owner, token, given_at, issued, now);
        assert!(of(None, now, None).is_none());
        assert!(of(token(b""), now, None).is_none());
        assert!(of(token(b"x"), Timestamp::EPOCH, Some(Timestamp::EPOCH)).is_none());
        assert!(of(token(b"x"), later, Some(later)).is_none());
        let news = of(None, Timestamp::EPOCH, Some(now)).unwrap();
        assert_eq!(news.user.device(), 0);
        assert!(of(token(b"x"), now, None).is_some());
    }
}
