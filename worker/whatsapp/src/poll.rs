//! Votes in polls, which only those can read who have the poll itself: sealed under a key that is made of its secret.
//!
//! Facts: docs/PROTOCOL.md, "Message content".

use aes_gcm::{AeadInOut as _, Aes256Gcm, KeyInit as _};
use bytes::Bytes;
use hkdf::Hkdf;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::proto::message::{PollEncValue, PollVoteMessage};

/// Bytes of the secret of a message.
pub const SECRET_BYTES: usize = 32;
/// Bytes of the vector that goes with a vote; fresh for each.
pub const IV_BYTES: usize = 12;
/// Most options that a vote may name.
const CHOSEN_MAX: usize = 256;

/// A vote of one person in one poll: what its key is made for.
#[derive(Clone, Copy, Debug)]
pub struct Ballot<'a> {
    /// The secret inside of the poll.
    pub secret: &'a [u8; SECRET_BYTES],
    /// The poll.
    pub poll: &'a MessageId,
    /// Who made the poll, as the poll's chat names them.
    pub creator: &'a Jid,
    /// Who votes, in the same way.
    pub voter: &'a Jid,
}

impl Ballot<'_> {
    /// Opens a vote: the options that were chosen, by their hashes. `None` if it is not one of this ballot.
    pub fn open(&self, vote: &PollEncValue) -> Option<Vec<[u8; 32]>> {
        let iv: [u8; IV_BYTES] = vote.enc_iv.as_deref()?.try_into().ok()?;
        let mut text = vote.enc_payload.as_deref()?.to_vec();
        let bound = self.bound();
        self.cipher()
            .decrypt_in_place(&iv.into(), &bound, &mut text)
            .ok()?;
        let chosen = PollVoteMessage::decode(text.as_slice()).ok()?.selected_options;
        let hashes = chosen.iter().take(CHOSEN_MAX);
        hashes.map(|hash| hash.as_ref().try_into().ok()).collect()
    }

    /// Seals a vote for these options, in place of any earlier one.
    pub fn seal(&self, options: &[&str], iv: [u8; IV_BYTES]) -> PollEncValue {
        let chosen = options
            .iter()
            .map(|name| Bytes::copy_from_slice(&option_hash(name)));
        let vote = PollVoteMessage {
            selected_options: chosen.collect(),
        };
        let mut text = vote.encode_to_vec();
        // Unwrap safety: AES-GCM refuses only messages over 64 GiB.
        self.cipher()
            .encrypt_in_place(&iv.into(), &self.bound(), &mut text)
            .unwrap_or_else(|_| unreachable!("a vote that AES-GCM takes"));
        PollEncValue {
            enc_payload: Some(text.into()),
            enc_iv: Some(bytes::Bytes::copy_from_slice(&iv)),
        }
    }

    fn cipher(&self) -> Aes256Gcm {
        let (creator, voter) = (
            self.creator.to_bare().to_string(),
            self.voter.to_bare().to_string(),
        );
        let parts = [self.poll.as_str(), &creator, &voter, USE];
        let mut key = Zeroizing::new([0; 32]);
        // Unwrap safety: HKDF refuses only keys of more than 255 blocks.
        Hkdf::<Sha256>::new(None, self.secret)
            .expand_multi_info(&parts.map(str::as_bytes), &mut *key)
            .unwrap_or_else(|_| unreachable!("a key of one block"));
        Aes256Gcm::new((&*key).into())
    }

    /// What a sealed vote can't be taken away from.
    fn bound(&self) -> Vec<u8> {
        format!("{}\0{}", self.poll.as_str(), self.voter.to_bare()).into_bytes()
    }
}

/// How votes name an option.
pub fn option_hash(name: &str) -> [u8; 32] {
    Sha256::digest(name).into()
}

/// What a vote that was opened has in the place of what was sealed: the texts of the options, and no vector.
pub fn opened(options: Vec<String>) -> PollEncValue {
    let options = options.into_iter().map(Bytes::from);
    let vote = PollVoteMessage {
        selected_options: options.collect(),
    };
    PollEncValue {
        enc_payload: Some(vote.encode_to_vec().into()),
        enc_iv: None,
    }
}

/// What the key is derived for.
const USE: &str = "Poll Vote";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, bytes32, message_vector};

    #[test]
    fn a_vote_of_another_client_is_opened_and_sealed_the_same() {
        let case = message_vector("poll_vote");
        let text = |name: &str| case[name].as_str().unwrap();
        let ballot = Ballot {
            secret: &bytes32(&case["message_secret"]),
            poll: &text("poll_id").parse().unwrap(),
            creator: &text("creator_jid").parse().unwrap(),
            voter: &text("voter_jid").parse().unwrap(),
        };
        let vote = PollEncValue {
            enc_payload: Some(bytes(&case["enc_payload"]).into()),
            enc_iv: Some(bytes(&case["enc_iv"]).into()),
        };
        let blue = &case["options"][1];
        let name = blue["name"].as_str().unwrap();
        assert_eq!(option_hash(name), bytes32(&blue["sha256"]));
        assert_eq!(ballot.open(&vote), Some(vec![option_hash(name)]));
        let iv = bytes(&case["enc_iv"]).try_into().unwrap();
        assert_eq!(ballot.seal(&[name], iv), vote);
        let device: Jid = "15550002:3@s.whatsapp.net".parse().unwrap();
        let same = Ballot {
            voter: &device,
            ..ballot
        };
        assert!(same.open(&vote).is_some(), "whichever device voted");
        let other = Ballot {
            voter: ballot.creator,
            ..ballot
        };
        assert_eq!(other.open(&vote), None);
    }

    #[test]
    fn nonsense_is_no_vote() {
        let (poll, jid) = ("3EB0".parse().unwrap(), "1@s.whatsapp.net".parse().unwrap());
        let ballot = Ballot {
            secret: &[7; SECRET_BYTES],
            poll: &poll,
            creator: &jid,
            voter: &jid,
        };
        let sealed = ballot.seal(&[], [1; IV_BYTES]);
        assert_eq!(ballot.open(&sealed), Some(vec![]), "taken back");
        for (enc_iv, enc_payload) in [
            (None, sealed.enc_payload.clone()),
            (sealed.enc_iv.clone(), None),
            (
                Some(bytes::Bytes::from_static(b"short")),
                sealed.enc_payload.clone(),
            ),
            (sealed.enc_iv.clone(), Some(bytes::Bytes::from_static(b"x"))),
        ] {
            assert_eq!(ballot.open(&PollEncValue { enc_payload, enc_iv }), None);
        }
    }
}
