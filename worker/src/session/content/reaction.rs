//! A reaction to a message, or its removal.

use shared::content::Reaction;
use whatsapp::proto::{self, message::ReactionMessage};

use super::described::Described;
use super::rendering::Rendering;
use super::{described, key};

pub(super) fn render(reaction: &Reaction, to: &Rendering<'_>) -> proto::Message {
    proto::Message {
        reaction_message: Some(Box::new(ReactionMessage {
            key: Some(key::render(&reaction.key, to)),
            text: Some(reaction.text.clone()),
            sender_timestamp_ms: Some(to.millis()),
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let reaction = message.reaction_message.as_ref()?;
    let fields = [
        ("text", reaction.text.clone().into()),
        ("key", described::key(reaction.key.as_ref())),
    ];
    Some(Described::new("reactionMessage", fields))
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"reaction","key":{"id":"3EB0A1","fromMe":false,"remoteJid":"98765@lid","participant":"5531900000043"},"text":"🦖"}"#,
    "f202420a330a093938373635406c696410001a06334542304131221c3535333139303030303030343340732e77686174736170702e6e65741204f09fa6962080d0c1b8aa34",
);
