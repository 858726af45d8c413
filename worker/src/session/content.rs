//! What a WhatsApp message says, in the product's words: its kind and a JSON body with the fields that a
//! receiver can use.
//!
//! The kinds are the field names that the ecosystem uses (`conversation`, `extendedTextMessage`, …). Keys and
//! hashes of media are left out: they are of no use without a download, which has its own door.

use bytes::Bytes;
use prost::Message;
use serde_json::{Map, Value, json};
use shared::job::Content;
use whatsapp::proto::{self, message};

/// A message as events tell it.
#[derive(Debug, PartialEq)]
pub struct Described {
    /// The kind, for example `conversation`.
    pub kind: &'static str,
    /// A plain text for a conversation, an object for everything else.
    pub body: Value,
}

impl Described {
    /// The body as one object under its kind, which is how the seed's global webhook shows a message.
    pub fn into_object(self) -> Value {
        let mut object = Map::new();
        object.insert(self.kind.to_owned(), self.body);
        Value::Object(object)
    }
}

/// Describes a message; `None` when it is not for people (key distribution, protocol messages).
pub fn describe(message: &proto::Message) -> Option<Described> {
    let message = unwrapped(message, WRAPPERS_MAX);
    text(message)
        .or_else(|| media(message))
        .or_else(|| other(message))
        .or_else(|| by_name(message))
}

/// The message inside of wrappers (view once, ephemeral, our own copy…), at most `depth` of them.
fn unwrapped(message: &proto::Message, depth: u8) -> &proto::Message {
    if depth == 0 {
        return message;
    }
    let sent = message
        .device_sent_message
        .as_ref()
        .and_then(|m| m.message.as_deref());
    let wrappers = [
        &message.ephemeral_message,
        &message.view_once_message,
        &message.view_once_message_v2,
        &message.view_once_message_v2_extension,
        &message.document_with_caption_message,
    ];
    let inner = sent.or_else(|| wrappers.into_iter().flatten().find_map(|m| m.message.as_deref()));
    inner.map_or(message, |inner| unwrapped(inner, depth - 1))
}

fn text(message: &proto::Message) -> Option<Described> {
    if let Some(text) = &message.conversation {
        return Some(Described {
            kind: "conversation",
            body: Value::String(text.clone()),
        });
    }
    let text = message.extended_text_message.as_deref()?;
    Some(Described {
        kind: "extendedTextMessage",
        body: object([
            ("text", text.text.clone().into()),
            ("matchedText", text.matched_text.clone().into()),
            ("title", text.title.clone().into()),
            ("description", text.description.clone().into()),
            ("contextInfo", context(text.context_info.as_deref())),
        ]),
    })
}

fn media(message: &proto::Message) -> Option<Described> {
    if let Some(m) = message.image_message.as_deref() {
        let body = object([
            ("mimetype", m.mimetype.clone().into()),
            ("caption", m.caption.clone().into()),
            ("fileLength", m.file_length.into()),
            ("width", m.width.into()),
            ("height", m.height.into()),
        ]);
        return Some(Described {
            kind: "imageMessage",
            body,
        });
    }
    if let Some(m) = message
        .video_message
        .as_deref()
        .or(message.ptv_message.as_deref())
    {
        let body = object([
            ("mimetype", m.mimetype.clone().into()),
            ("caption", m.caption.clone().into()),
            ("fileLength", m.file_length.into()),
            ("seconds", m.seconds.into()),
            ("gifPlayback", m.gif_playback.into()),
        ]);
        return Some(Described {
            kind: "videoMessage",
            body,
        });
    }
    if let Some(m) = message.audio_message.as_deref() {
        let body = object([
            ("mimetype", m.mimetype.clone().into()),
            ("fileLength", m.file_length.into()),
            ("seconds", m.seconds.into()),
            ("ptt", m.ptt.into()),
        ]);
        return Some(Described {
            kind: "audioMessage",
            body,
        });
    }
    if let Some(m) = message.document_message.as_deref() {
        let body = object([
            ("mimetype", m.mimetype.clone().into()),
            ("title", m.title.clone().into()),
            ("fileName", m.file_name.clone().into()),
            ("fileLength", m.file_length.into()),
        ]);
        return Some(Described {
            kind: "documentMessage",
            body,
        });
    }
    let m = message.sticker_message.as_deref()?;
    let body = object([
        ("mimetype", m.mimetype.clone().into()),
        ("fileLength", m.file_length.into()),
        ("isAnimated", m.is_animated.into()),
    ]);
    Some(Described {
        kind: "stickerMessage",
        body,
    })
}

fn other(message: &proto::Message) -> Option<Described> {
    if let Some(m) = &message.location_message {
        let body = object([
            ("degreesLatitude", m.degrees_latitude.into()),
            ("degreesLongitude", m.degrees_longitude.into()),
            ("name", m.name.clone().into()),
            ("address", m.address.clone().into()),
        ]);
        return Some(Described {
            kind: "locationMessage",
            body,
        });
    }
    if let Some(m) = &message.contact_message {
        let body = object([
            ("displayName", m.display_name.clone().into()),
            ("vcard", m.vcard.clone().into()),
        ]);
        return Some(Described {
            kind: "contactMessage",
            body,
        });
    }
    let m = message.reaction_message.as_ref()?;
    let body = object([("text", m.text.clone().into()), ("key", key(m.key.as_ref()))]);
    Some(Described {
        kind: "reactionMessage",
        body,
    })
}

/// Kinds whose content is not shown: their name alone tells a receiver that something came.
fn by_name(message: &proto::Message) -> Option<Described> {
    let names = [
        (message.contacts_array_message.is_some(), "contactsArrayMessage"),
        (message.live_location_message.is_some(), "liveLocationMessage"),
        (message.template_message.is_some(), "templateMessage"),
        (
            message.template_button_reply_message.is_some(),
            "templateButtonReplyMessage",
        ),
        (message.group_invite_message.is_some(), "groupInviteMessage"),
        (message.list_message.is_some(), "listMessage"),
        (message.list_response_message.is_some(), "listResponseMessage"),
        (message.buttons_message.is_some(), "buttonsMessage"),
        (
            message.buttons_response_message.is_some(),
            "buttonsResponseMessage",
        ),
        (message.interactive_message.is_some(), "interactiveMessage"),
        (
            message.interactive_response_message.is_some(),
            "interactiveResponseMessage",
        ),
        (message.poll_creation_message.is_some(), "pollCreationMessage"),
        (message.poll_creation_message_v2.is_some(), "pollCreationMessage"),
        (message.poll_creation_message_v3.is_some(), "pollCreationMessage"),
        (message.poll_creation_message_v5.is_some(), "pollCreationMessage"),
        (message.poll_update_message.is_some(), "pollUpdateMessage"),
        (message.edited_message.is_some(), "editedMessage"),
        (message.pin_in_chat_message.is_some(), "pinInChatMessage"),
        (message.keep_in_chat_message.is_some(), "keepInChatMessage"),
        (message.album_message.is_some(), "albumMessage"),
        (message.call.is_some(), "call"),
    ];
    let (_, kind) = names.into_iter().find(|(present, _)| *present)?;
    Some(Described {
        kind,
        body: Value::Object(Map::new()),
    })
}

/// What a message refers to: the quoted message's id and author, and who is mentioned.
fn context(info: Option<&proto::ContextInfo>) -> Value {
    let Some(info) = info else { return Value::Null };
    object([
        ("stanzaId", info.stanza_id.clone().into()),
        ("participant", info.participant.clone().into()),
        (
            "mentionedJid",
            if info.mentioned_jid.is_empty() {
                Value::Null
            } else {
                json!(info.mentioned_jid)
            },
        ),
    ])
}

fn key(key: Option<&proto::MessageKey>) -> Value {
    let Some(key) = key else { return Value::Null };
    object([
        ("remoteJid", key.remote_jid.clone().into()),
        ("fromMe", key.from_me.into()),
        ("id", key.id.clone().into()),
        ("participant", key.participant.clone().into()),
    ])
}

/// An object of the fields that are there.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields
        .into_iter()
        .filter(|(_, v)| !v.is_null())
        .map(|(k, v)| (k.to_owned(), v))
        .collect()
}

/// A job's content as it goes to WhatsApp.
pub fn to_message(content: &Content) -> proto::Message {
    match content {
        Content::Text { text } => text_message(text),
    }
}

/// A job's content, encoded, for a device that asks for it again.
pub fn encode(content: &Content) -> Bytes {
    to_message(content).encode_to_vec().into()
}

/// A plain text as it goes to WhatsApp.
pub fn text_message(text: &str) -> proto::Message {
    proto::Message {
        extended_text_message: Some(Box::new(message::ExtendedTextMessage {
            text: Some(text.to_owned()),
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// How deep wrappers may lie in each other before we show the wrapper itself.
const WRAPPERS_MAX: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_their_two_kinds() {
        let plain = proto::Message {
            conversation: Some("Test".into()),
            ..Default::default()
        };
        assert_eq!(
            describe(&plain),
            Some(Described {
                kind: "conversation",
                body: json!("Test")
            })
        );
        let extended = describe(&text_message("hi")).unwrap();
        assert_eq!(extended.kind, "extendedTextMessage");
        assert_eq!(
            extended.into_object(),
            json!({ "extendedTextMessage": { "text": "hi" } })
        );
    }

    #[test]
    fn wrappers_are_opened_and_protocol_messages_hidden() {
        let wrapped = proto::Message {
            ephemeral_message: Some(Box::new(message::FutureProofMessage {
                message: Some(Box::new(text_message("hi"))),
            })),
            ..Default::default()
        };
        assert_eq!(describe(&wrapped).unwrap().kind, "extendedTextMessage");
        assert_eq!(describe(&proto::Message::default()), None);
    }
}
