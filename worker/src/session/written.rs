//! Chats in which something was written, as `chats.update` tells it: of what comes together once each, with how many came in.
//!
//! Pure. Must not know what is kept: how many messages of a chat nobody has read is in the store.

use shared::event::{ChatUpdate, Event, NewMessage};

/// The chats in which something was written since they were last told, in the order of their first.
#[derive(Default)]
pub(super) struct Written(Vec<ChatUpdate>);

impl Written {
    /// A message of a chat, in the account's own words or somebody else's. What is about another message is none.
    pub(super) fn note(&mut self, message: &NewMessage) {
        let NewMessage {
            header,
            body,
            context,
        } = message;
        if ABOUT_OTHERS.contains(&body.message_type.as_str()) {
            return;
        }
        let at = match self.0.iter().position(|row| row.id == header.wuid) {
            Some(at) => at,
            None => {
                let lid = header.lid.clone().filter(|lid| *lid != header.wuid);
                self.0.push(ChatUpdate {
                    id: header.wuid.clone(),
                    // In a group it is the sender's.
                    lid: lid.filter(|_| !context.from_group),
                    ..ChatUpdate::default()
                });
                self.0.len() - 1
            }
        };
        let row = &mut self.0[at];
        row.conversation_timestamp = row.conversation_timestamp.max(Some(context.message_timestamp));
        if !header.from_me {
            row.unread_count = Some(row.unread_count.unwrap_or_default() + 1);
        }
    }

    /// What is to be told, if anything is.
    pub(super) fn take(&mut self) -> Option<Event> {
        let rows = std::mem::take(&mut self.0);
        (!rows.is_empty()).then_some(Event::ChatsUpdate(rows))
    }
}

/// Kinds that are about another message.
const ABOUT_OTHERS: [&str; 3] = ["protocolMessage", "reactionMessage", "pollUpdateMessage"];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::event::{MessageBody, MessageContext, MessageHeader};
    use shared::id::StanzaId;

    use super::*;

    fn message(chat: &str, kind: &str, from_me: bool, at: i64) -> NewMessage {
        NewMessage {
            header: MessageHeader {
                message_id: StanzaId::new("3EB0A1").unwrap(),
                from_me,
                wuid: chat.to_owned(),
                lid: Some("98765@lid".to_owned()),
                phone_number: None,
                participant: None,
                push_name: None,
            },
            body: MessageBody {
                message_type: kind.to_owned(),
                message: Value::Null,
            },
            context: MessageContext {
                source_device: "android".to_owned(),
                message_timestamp: at,
                from_group: chat.ends_with("@g.us"),
            },
        }
    }

    #[test]
    fn chats_are_told_once_each_with_what_came_in() {
        let mut written = Written::default();
        for (chat, kind, from_me, at) in [
            ("5531@s.whatsapp.net", "conversation", false, 7),
            ("1203@g.us", "imageMessage", false, 8),
            ("5531@s.whatsapp.net", "conversation", false, 9),
            ("5531@s.whatsapp.net", "conversation", true, 8),
            ("5532@s.whatsapp.net", "conversation", true, 9),
            ("5533@s.whatsapp.net", "reactionMessage", false, 9),
        ] {
            written.note(&message(chat, kind, from_me, at));
        }
        let told = serde_json::to_value(written.take()).unwrap();
        let expected = json!([
            { "id": "5531@s.whatsapp.net", "lid": "98765@lid", "conversationTimestamp": 9, "unreadCount": 2 },
            { "id": "1203@g.us", "conversationTimestamp": 8, "unreadCount": 1 },
            { "id": "5532@s.whatsapp.net", "lid": "98765@lid", "conversationTimestamp": 9 },
        ]);
        assert_eq!(told, expected);
        assert!(written.take().is_none());
    }
}
