//! Deletions of what others wrote in a group: they count from its admins alone.
//!
//! Where it is not known who is an admin, the server is asked once; meanwhile the deletion is kept as a record, for it is
//! acknowledged already. Whoever is not known to be an admin then is none, and nobody is shown the deletion. Nothing
//! else waits for that.
//!
//! Facts: docs/PROTOCOL.md, "Groups".

use bytes::Bytes;
use prost::Message as _;

use super::known::KnownGroups;
use super::question::{Question, Questions};
use crate::binary::{self, Node};
use crate::event::{Dropped, Event, Incoming, Misbehaviour, taken_back};
use crate::jid::Jid;
use crate::part::Context;
use crate::proto::Message;
use crate::proto::message::ProtocolMessage;
use crate::store::RecordKey;
use crate::time::Timestamp;

/// How many deletions wait at a time until it is known who is an admin, which takes as long as one question; of more nobody is
/// shown anything.
pub const MAX_REVOKES: usize = 1024;
/// How many of them one record has: a change writes those behind it, too.
const PAGE: usize = 64;
/// The largest that is kept, in bytes; no app writes one of this size.
const MAX_BYTES: usize = 1024;

/// Those that wait, in the order they came.
#[derive(Default)]
pub(super) struct Revokes {
    waiting: Vec<Incoming>,
    /// From this place on the store's records are not what is waiting.
    news_from: Option<usize>,
    /// How many records the store may have.
    pages: usize,
}

impl Revokes {
    /// Asks for what earlier connections left.
    pub(super) fn start(cx: &mut Context<'_>, questions: &mut Questions) {
        let pages = (0..MAX_REVOKES / PAGE).map(RecordKey::revokes);
        cx.load(pages.collect(), questions.open(Question::Revokes));
    }

    /// What earlier connections left. It is asked for before all that a message needs, and so comes before any.
    pub(super) fn recall(&mut self, values: Vec<Option<Bytes>>) {
        let newer = std::mem::take(&mut self.waiting);
        for (page, value) in values.into_iter().enumerate() {
            let Some(value) = value else { continue };
            if self.waiting.len() != page * PAGE {
                // What could not be read or kept has left its place to those behind it.
                self.changed(0);
            }
            self.pages = page + 1;
            let stored = binary::decode(value).ok();
            let stored = stored.as_ref().map(Node::nodes).unwrap_or_default();
            self.waiting.extend(stored.iter().filter_map(read));
        }
        if !newer.is_empty() {
            self.changed(self.waiting.len());
            self.waiting.extend(newer);
        }
    }

    /// Takes a deletion. [`Self::advance`] follows in the same step.
    pub(super) fn push(&mut self, cx: &mut Context<'_>, revoke: Incoming) {
        if self.waiting.len() >= MAX_REVOKES {
            tracing::warn!("too many deletions in groups wait to be judged; one is dropped");
            return cx.emit(Event::Dropped {
                what: Dropped::GroupDeletion,
            });
        }
        self.changed(self.waiting.len());
        self.waiting.push(revoke);
    }

    /// Shows those of admins, and asks for what is not known. What still waits is kept.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        known: &mut KnownGroups,
        questions: &mut Questions,
    ) {
        let mut left = Vec::new();
        for revoke in std::mem::take(&mut self.waiting) {
            if !known.ensure(cx, questions, &revoke.chat) {
                left.push(revoke);
                continue;
            }
            let members = known.get(&revoke.chat).and_then(|known| known.members.as_ref());
            let is_admin = members.is_some_and(|members| members.is_admin(&revoke.sender));
            self.changed(left.len());
            if is_admin {
                cx.emit(Event::Message(Box::new(revoke)));
            } else {
                cx.emit(Event::Misbehaved {
                    how: Misbehaviour::ForgedDeletion,
                });
            }
        }
        self.waiting = left;
        self.keep(cx);
    }

    /// Nobody says who is an admin of this group.
    pub(super) fn on_unknown(&mut self, group: &Jid) {
        if let Some(first) = self.waiting.iter().position(|revoke| revoke.chat == *group) {
            self.changed(first);
            self.waiting.retain(|revoke| revoke.chat != *group);
        }
    }

    /// Whether one waits with this group.
    pub(super) fn wants(&self, group: &Jid) -> bool {
        self.waiting.iter().any(|revoke| revoke.chat == *group)
    }

    fn changed(&mut self, at: usize) {
        self.news_from = Some(self.news_from.map_or(at, |first| first.min(at)));
    }

    fn keep(&mut self, cx: &mut Context<'_>) {
        let Some(from) = self.news_from.take() else {
            return;
        };
        let pages = self.waiting.chunks(PAGE).enumerate();
        for (page, waiting) in pages.skip(from / PAGE) {
            let mut value = Vec::new();
            let all = waiting.iter().filter_map(stored);
            binary::encode(&Node::new("revokes").with_children(all), &mut value);
            cx.changes().put(RecordKey::revokes(page), value.into());
        }
        let pages = self.waiting.len().div_ceil(PAGE);
        for page in pages..self.pages {
            cx.changes().delete(RecordKey::revokes(page));
        }
        self.pages = pages;
    }
}

/// One as it is kept: who deletes what, and nothing that its sender may have put beside that.
fn stored(revoke: &Incoming) -> Option<Node> {
    let protocol = taken_back(&revoke.message)?;
    let message = Message {
        protocol_message: Some(Box::new(ProtocolMessage {
            key: protocol.key.clone(),
            r#type: protocol.r#type,
            ..ProtocolMessage::default()
        })),
        ..Message::default()
    };
    let bytes = message.encode_to_vec();
    let node = Node::new("revoke")
        .attr("id", revoke.id.as_str())
        .attr("from", &revoke.chat)
        .attr("participant", &revoke.sender)
        .attr_opt("lid", revoke.lid.as_ref())
        .attr_opt("phone_number", revoke.phone.as_ref())
        .attr_opt("notify", revoke.push_name.as_deref())
        .attr("t", revoke.timestamp.as_secs())
        .attr_opt("recipient", revoke.from_me.then_some("own"))
        .attr_opt("offline", revoke.offline.then_some("1"))
        .with_bytes(bytes);
    (node.bytes()?.len() <= MAX_BYTES).then_some(node)
}

/// Reads what [`stored`] made; `None` if it is something else.
fn read(node: &Node) -> Option<Incoming> {
    Some(Incoming {
        id: node.attr_str("id")?.parse().ok()?,
        chat: node.attr_jid("from")?,
        chat_alt: None,
        sender: node.attr_jid("participant")?,
        lid: node.attr_jid("lid"),
        phone: node.attr_jid("phone_number"),
        from_me: node.value("recipient").is_some(),
        push_name: node.attr_str("notify").map(|name| name.into_owned()),
        timestamp: Timestamp::from_secs(node.attr_u64("t")?),
        offline: node.value("offline").is_some(),
        message: Message::decode(node.bytes()?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::MessageKey;
    use crate::proto::message::protocol_message::Type;

    #[test]
    fn one_is_read_as_it_was_kept() {
        let protocol = ProtocolMessage {
            key: Some(MessageKey {
                id: Some("A".into()),
                from_me: Some(false),
                ..MessageKey::default()
            }),
            r#type: Some(Type::Revoke.into()),
            ..ProtocolMessage::default()
        };
        let revoke = Incoming {
            id: "B".parse().unwrap(),
            chat: "120363000000000001@g.us".parse().unwrap(),
            chat_alt: None,
            sender: "100:3@lid".parse().unwrap(),
            lid: Some("100@lid".parse().unwrap()),
            phone: Some("15550001@s.whatsapp.net".parse().unwrap()),
            from_me: false,
            push_name: Some("Ann".into()),
            timestamp: Timestamp::from_secs(5),
            offline: true,
            message: Message {
                conversation: Some("beside it".into()),
                protocol_message: Some(Box::new(protocol.clone())),
                ..Message::default()
            },
        };
        let mut again = read(&stored(&revoke).unwrap()).unwrap();
        assert_eq!(again.message.conversation, None);
        assert_eq!(again.message.protocol_message.as_deref(), Some(&protocol));
        again.message = revoke.message.clone();
        let told = |one: &Incoming| format!("{one:?} {:?} {:?} {:?}", one.lid, one.phone, one.push_name);
        assert_eq!(told(&again), told(&revoke));
        assert_eq!(again.timestamp, revoke.timestamp);
    }
}
