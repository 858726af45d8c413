//! A simulated device votes in a poll that it got, as its app does: sealed under what the poll itself holds.
//!
//! Facts: docs/PROTOCOL.md, "Message content".

use bytes::Bytes;
use prost::Message as _;
use rand::Rng as _;
use whatsapp::message_id::MessageId;
use whatsapp::poll::{Ballot, IV_BYTES};
use whatsapp::proto::message::PollUpdateMessage;
use whatsapp::proto::{Message, MessageKey};

use super::job::{Ballots, Vote};
use super::shard::Shard;
use crate::number::{Addressing, DeviceAddr};

impl Shard {
    /// The message that a device sends in place of a text, if there is one. A vote in a poll that it never got is none, and
    /// `Err`.
    pub(super) fn written(
        &mut self,
        by: DeviceAddr,
        form: Addressing,
        message: Option<Bytes>,
        vote: Ballots,
    ) -> Result<Option<Bytes>, ()> {
        match vote {
            Some(vote) => self.vote(by, form, &vote).map(Some).ok_or(()),
            None => Ok(message),
        }
    }

    fn vote(&mut self, voter: DeviceAddr, form: Addressing, vote: &Vote) -> Option<Bytes> {
        let (creator, poll) = self.devices.get(&voter)?.inbox.found(&vote.poll)?;
        let poll = Message::decode(poll).ok()?;
        let secret = poll.message_context_info?.message_secret?;
        let id: MessageId = vote.poll.parse().ok()?;
        let jid = |who: DeviceAddr| self.seed.jid(DeviceAddr::phone(who.number), form);
        let (creator, by) = (jid(creator), jid(voter));
        let ballot = Ballot {
            secret: secret.as_ref().try_into().ok()?,
            poll: &id,
            creator: &creator,
            voter: &by,
        };
        let options: Vec<&str> = vote.options.iter().map(String::as_str).collect();
        let mut iv = [0; IV_BYTES];
        self.rng.fill_bytes(&mut iv);
        let update = PollUpdateMessage {
            poll_creation_message_key: Some(MessageKey {
                id: Some(vote.poll.to_string()),
                from_me: Some(false),
                remote_jid: None,
                participant: Some(creator.to_string()),
            }),
            vote: Some(ballot.seal(&options, iv)),
            sender_timestamp_ms: i64::try_from(self.clock.unix_seconds() * 1_000).ok(),
            ..PollUpdateMessage::default()
        };
        let message = Message {
            poll_update_message: Some(Box::new(update)),
            ..Message::default()
        };
        Some(message.encode_to_vec().into())
    }
}
