//! The name of another message, where one speaks of it.

use shared::content::MessageKey;
use whatsapp::proto;

use super::rendering::Rendering;

/// The key as the session sees it; its chat is the recipient where none is named.
pub(super) fn render(key: &MessageKey, to: &Rendering<'_>) -> proto::MessageKey {
    proto::MessageKey {
        remote_jid: Some(key.remote_jid.as_ref().unwrap_or(to.chat).jid()),
        from_me: Some(key.from_me),
        id: Some(key.id.as_str().to_owned()),
        participant: key.participant.as_ref().map(|author| author.jid()),
    }
}
