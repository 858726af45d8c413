//! What goes with a message of any kind, in the place that each kind has for it.

use shared::content::{Quote, References};
use whatsapp::proto::{self, ContextInfo};

use super::rendering::Rendering;
use super::upload;

/// Puts what goes with a message into it. A kind without a place for it has nothing to put there.
pub(super) fn put(references: &References, to: &Rendering<'_>, message: &mut proto::Message) {
    if *references == References::default() {
        return;
    }
    let Some(slot) = slot(upload::inner(message)) else {
        return;
    };
    let info = slot.get_or_insert_default();
    info.mentioned_jid = references.mentions.iter().map(|person| person.jid()).collect();
    if references.forwarded {
        info.is_forwarded = Some(true);
        info.forwarding_score = Some(1);
    }
    if let Some(quote) = &references.quote {
        put_quote(quote, to, info);
    }
}

fn put_quote(quote: &Quote, to: &Rendering<'_>, info: &mut ContextInfo) {
    let key = &quote.key;
    let author = match (&key.participant, key.from_me) {
        (Some(author), _) => Some(author.jid()),
        (None, true) => to.own.map(str::to_owned),
        (None, false) => Some(key.remote_jid.as_ref().unwrap_or(to.chat).jid()),
    };
    info.stanza_id = Some(key.id.as_str().to_owned());
    info.participant = author;
    info.remote_jid = key
        .remote_jid
        .as_ref()
        .filter(|chat| *chat != to.chat)
        .map(|chat| chat.jid());
    info.quoted_message = Some(Box::new(proto::Message {
        conversation: Some(quote.text.clone().unwrap_or_default()),
        ..Default::default()
    }));
}

/// The place of the first of these kinds that a message is.
macro_rules! each {
    ($message:ident: $($kind:ident,)+) => {
        $(if let Some(kind) = &mut $message.$kind {
            Some(&mut kind.context_info)
        } else)+ {
            None
        }
    };
}

/// Where the kind keeps what goes with it.
fn slot(message: &mut proto::Message) -> Option<&mut Option<Box<ContextInfo>>> {
    if let Some(protocol) = &mut message.protocol_message {
        return protocol.edited_message.as_mut().and_then(|edited| slot(edited));
    }
    each!(message:
        extended_text_message,
        location_message,
        contact_message,
        contacts_array_message,
        live_location_message,
        event_message,
        image_message,
        video_message,
        ptv_message,
        audio_message,
        document_message,
        sticker_message,
        poll_creation_message,
        poll_creation_message_v3,
        interactive_message,
        buttons_message,
        template_message,
        list_message,
    )
}
