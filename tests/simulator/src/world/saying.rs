//! What a phone or a contact says by the wish of a test, of any kind: in a chat, in a group, or as a status.

use bytes::Bytes;
use compact_str::CompactString;
use prost::Message as _;
use tokio::sync::oneshot;
use whatsapp::jid::{Jid, Server};
use whatsapp::proto::message::ProtocolMessage;
use whatsapp::proto::message::protocol_message::Type;
use whatsapp::proto::{Message, MessageKey};

use super::World;
use super::command::{Answer, Audience, ReceiptWish, Said, Speaker};
use crate::crowd::{Ballots, Job, ReceiptOut, SendInGroup, Vote};
use crate::number::{Addressing, DeviceAddr, Number};
use crate::refusal::Refusal;

/// The list that statuses go to, as groups are called by.
pub(super) const STATUSES: &str = "status";

/// What somebody says, as a device is told to.
pub(super) struct Words {
    pub(super) text: String,
    /// A message in place of the text, encoded.
    pub(super) message: Option<Bytes>,
    /// A vote in place of both.
    pub(super) vote: Ballots,
}

/// The address of a group, or of the list of statuses.
pub(super) fn list_jid(name: &str) -> Jid {
    match name {
        STATUSES => Jid::new(STATUSES, Server::Broadcast),
        name => Jid::new(name, Server::Group),
    }
}

impl World {
    /// Says something to somebody.
    pub(super) fn post(
        &mut self,
        speaker: Speaker,
        audience: Audience,
        said: Said,
        answer: Answer<CompactString>,
    ) {
        let from = match self.speaker(speaker) {
            Ok(from) => from,
            Err(refusal) => return drop(answer.send(Err(refusal))),
        };
        match audience {
            Audience::Chat(to) => {
                let words = Words::of(said, None);
                self.say(speaker, to, words, answer);
            }
            Audience::Group(group) => self.say_in_group(from, &group, said, answer),
            Audience::Status(viewers) => self.publish(from, &viewers, said, answer),
        }
    }

    /// Publishes a status, which goes as a message to a group does, to the devices of these people.
    fn publish(&mut self, from: Number, viewers: &[Number], said: Said, answer: Answer<CompactString>) {
        let from = DeviceAddr::phone(from);
        let devices = viewers.iter().flat_map(|who| {
            let devices = self.devices_of(*who).unwrap_or_default();
            devices.into_iter().map(|device| DeviceAddr::new(*who, device))
        });
        let Words { text, message, vote } = Words::of(said, None);
        let (id_told, id) = oneshot::channel();
        let send = SendInGroup {
            from,
            group: STATUSES.into(),
            to: devices.filter(|device| *device != from).collect(),
            addressing: Addressing::Pn,
            text,
            message,
            vote,
            answer: id_told,
        };
        self.crowd.give(from.number, Job::SendInGroup(Box::new(send)));
        answer_with(id, answer);
    }

    /// A contact says what became of a message that it got.
    pub(super) fn say_receipt(&mut self, contact: Number, wish: ReceiptWish) -> Result<(), Refusal> {
        self.speaker(Speaker::Contact(contact))?;
        let group = match &wish.group {
            Some(jid) => Some(CompactString::from(self.group_name(jid)?)),
            None => None,
        };
        let addressing = match group.as_ref().and_then(|name| self.groups.get(name.as_str())) {
            Some(group) => group.addressing,
            None => self
                .population
                .manners(contact)
                .map_or(Addressing::Pn, |manners| manners.addressing),
        };
        self.crowd_receipt(ReceiptOut {
            from: DeviceAddr::phone(contact),
            to: DeviceAddr::phone(wish.to),
            own_chat: None,
            addressing,
            group,
            id: wish.id,
            kind: wish.kind.as_type(),
            retry: None,
        });
        Ok(())
    }
}

impl Words {
    /// What is said, in a group if that is named, with the author of what is deleted there.
    pub(super) fn of(said: Said, group: Option<(&str, Option<&Jid>)>) -> Self {
        let (mut text, mut message, mut vote) = (String::new(), None, None);
        match said {
            Said::Text(words) => text = words,
            Said::Message(bytes) => message = Some(bytes),
            Said::Vote { poll, options } => vote = Some(Box::new(Vote { poll, options })),
            Said::Deletion(id, _) => message = Some(deletion(group, &id)),
        }
        Self { text, message, vote }
    }
}

/// Only carries the id over; ends with the shard's answer.
pub(super) fn answer_with(id: oneshot::Receiver<CompactString>, answer: Answer<CompactString>) {
    tokio::spawn(async move {
        let id = id.await;
        drop(answer.send(id.map_err(|_| {
            Refusal::conflict(
                "vote",
                "is in a poll that never came, or the simulator is stopping",
            )
        })));
    });
}

/// That a message is deleted for everyone: of another's in a group by its author, else the speaker's own.
fn deletion(group: Option<(&str, Option<&Jid>)>, id: &str) -> Bytes {
    let author = group.and_then(|(_, author)| author);
    let key = MessageKey {
        remote_jid: group.map(|(name, _)| list_jid(name).to_string()),
        from_me: Some(author.is_none()),
        id: Some(id.to_owned()),
        participant: author.map(ToString::to_string),
    };
    let protocol = ProtocolMessage {
        key: Some(key),
        r#type: Some(Type::Revoke.into()),
        ..ProtocolMessage::default()
    };
    let message = Message {
        protocol_message: Some(Box::new(protocol)),
        ..Message::default()
    };
    message.encode_to_vec().into()
}
