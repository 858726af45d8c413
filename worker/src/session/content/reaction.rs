//! A reaction to a message.

use whatsapp::proto;

use super::described::{Described, key};

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let reaction = message.reaction_message.as_ref()?;
    let fields = [
        ("text", reaction.text.clone().into()),
        ("key", key(reaction.key.as_ref())),
    ];
    Some(Described::new("reactionMessage", fields))
}
