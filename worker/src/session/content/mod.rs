//! What a WhatsApp message says, from the product's words to the protocol's and back: a file per kind.
//!
//! `render` makes the message of a content, `describe` tells what came in: the kind by the field name that the
//! ecosystem uses (`conversation`, `extendedTextMessage`…) and a JSON body with the fields that a receiver can use. Keys
//! and hashes of media are left out: `file` reads them, for the door at which files are downloaded.

mod above;
mod audio;
mod buttons;
mod contact;
mod contacts;
mod delete;
mod described;
mod document;
mod edit;
mod event;
mod file;
mod header;
mod image;
mod interactive;
mod invitation;
mod key;
mod list;
mod live_location;
mod location;
pub(super) mod origin;
mod poll;
mod preview;
mod reaction;
mod references;
mod rendering;
mod replies;
mod sticker;
mod template;
mod text;
mod upload;
mod video;
pub(super) mod vote;

use bytes::Bytes;
use prost::Message;
use shared::content::Body;
use whatsapp::event::unwrapped;
use whatsapp::proto;

pub use described::Described;
pub(super) use file::file;
pub(super) use poll::creation;
pub use rendering::Rendering;
pub(super) use upload::wish;

/// Lists the kinds that are sent, those of them that are about another message, and behind them those that only come in.
macro_rules! kinds {
    (sent { $($Kind:ident => $sent:ident,)+ } about { $($About:ident => $about:ident,)+ }
     received { $($received:ident,)+ }) => {
        fn body(to: &Rendering<'_>) -> proto::Message {
            match &to.content.body {
                $(Body::$Kind(kind) => $sent::render(kind),)+
                $(Body::$About(kind) => $about::render(kind, to),)+
            }
        }

        /// The kinds, in the order in which a message is looked through.
        const KINDS: &[fn(&proto::Message) -> Option<Described>] =
            &[$($sent::describe,)+ $($about::describe,)+ $($received::describe,)+ by_name];

        /// One of each kind that is sent, as it is stored, and its bytes. Other bytes would be another message, under
        /// the id of one that may be on its way.
        #[cfg(test)]
        const GOLDEN: &[(&str, &str)] = &[$($sent::GOLDEN,)+ $($about::GOLDEN),+];
    };
}

kinds! {
    sent {
        Text => text,
        Location => location,
        Contact => contact,
        Contacts => contacts,
        Image => image,
        Video => video,
        Audio => audio,
        Document => document,
        Sticker => sticker,
        LiveLocation => live_location,
        EventInvitation => event,
        Poll => poll,
        Buttons => buttons,
        Template => template,
        List => list,
    }
    about {
        Reaction => reaction,
        Edit => edit,
        Delete => delete,
        Vote => vote,
    }
    received {
        interactive,
        invitation,
        replies,
    }
}

/// A content as it goes to WhatsApp, with the file that it carries. What a device asks for again is rendered again, so
/// the bytes of what renders today never change: each kind has a test that pins them.
pub fn render(to: &Rendering<'_>) -> proto::Message {
    let mut message = body(to);
    if let Some(upload) = to.upload {
        upload::attach(&mut message, upload);
    }
    if let Some(found) = to.preview {
        preview::attach(&mut message, found);
    }
    references::put(&to.content.references, to, &mut message);
    message
}

/// The same, encoded, for a device that asks for it again.
pub fn encode(to: &Rendering<'_>) -> Bytes {
    render(to).encode_to_vec().into()
}

/// Describes a message; `None` when it is not for people (key distribution, most protocol messages).
pub fn describe(message: &proto::Message) -> Option<Described> {
    let message = unwrapped(message);
    KINDS.iter().find_map(|describe| describe(message))
}

/// Kinds whose content is not shown: their name alone tells a receiver that something came.
fn by_name(message: &proto::Message) -> Option<Described> {
    let names = [
        (message.edited_message.is_some(), "editedMessage"),
        (message.pin_in_chat_message.is_some(), "pinInChatMessage"),
        (message.keep_in_chat_message.is_some(), "keepInChatMessage"),
        (message.album_message.is_some(), "albumMessage"),
        (message.call.is_some(), "call"),
    ];
    let (_, kind) = names.into_iter().find(|(present, _)| *present)?;
    Some(Described::by_name(kind))
}

#[cfg(test)]
mod tests;
