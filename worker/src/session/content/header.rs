//! What stands above the text of buttons and templates: a picture, a film or a file.

use shared::content::{Above, HeaderKind};
use whatsapp::proto::Message;
use whatsapp::proto::message::buttons_message::Header as Buttons;
use whatsapp::proto::message::interactive_message::header::Media as Flow;
use whatsapp::proto::message::template_message::hydrated_four_row_template::Title as Template;
use whatsapp::proto::message::{DocumentMessage, ImageMessage, VideoMessage};

/// A message within a message.
pub(super) enum Carried<Image, Video, Document> {
    Image(Image),
    Video(Video),
    Document(Document),
}

/// What a message is made with.
pub(super) type New = Carried<Box<ImageMessage>, Box<VideoMessage>, Box<DocumentMessage>>;
/// What a message has.
pub(super) type Known<'a> = Carried<&'a ImageMessage, &'a VideoMessage, &'a DocumentMessage>;
/// What a message has, to be changed.
pub(super) type Open<'a> = Carried<&'a mut ImageMessage, &'a mut VideoMessage, &'a mut DocumentMessage>;

/// It without its file, which is named when it is uploaded.
pub(super) fn render(above: &Above) -> New {
    let caption = above.caption.clone();
    match above.kind {
        HeaderKind::Image => Carried::Image(Box::new(ImageMessage {
            caption,
            ..Default::default()
        })),
        HeaderKind::Video => Carried::Video(Box::new(VideoMessage {
            caption,
            ..Default::default()
        })),
        HeaderKind::Document => Carried::Document(Box::new(DocumentMessage {
            title: above.name.clone(),
            file_name: above.name.clone(),
            caption,
            ..Default::default()
        })),
    }
}

/// Each place that there is for it: how it comes in, and is found there.
macro_rules! places {
    ($($Place:ident: $known:ident, $open:ident;)+) => {$(
        impl From<New> for $Place {
            fn from(new: New) -> Self {
                match new {
                    Carried::Image(image) => Self::ImageMessage(image),
                    Carried::Video(video) => Self::VideoMessage(video),
                    Carried::Document(document) => Self::DocumentMessage(document),
                }
            }
        }

        pub(super) fn $known(place: &$Place) -> Option<Known<'_>> {
            match place {
                $Place::ImageMessage(image) => Some(Carried::Image(image)),
                $Place::VideoMessage(video) => Some(Carried::Video(video)),
                $Place::DocumentMessage(document) => Some(Carried::Document(document)),
                _ => None,
            }
        }

        fn $open(place: &mut $Place) -> Option<Open<'_>> {
            match place {
                $Place::ImageMessage(image) => Some(Carried::Image(image)),
                $Place::VideoMessage(video) => Some(Carried::Video(video)),
                $Place::DocumentMessage(document) => Some(Carried::Document(document)),
                _ => None,
            }
        }
    )+};
}

places! {
    Buttons: of_buttons, open_buttons;
    Flow: of_flow, open_flow;
    Template: of_template, open_template;
}

/// What stands above a message, if it has a place for it.
pub(super) fn open(message: &mut Message) -> Option<Open<'_>> {
    if let Some(interactive) = &mut message.interactive_message {
        open_flow(interactive.header.as_mut()?.media.as_mut()?)
    } else if let Some(buttons) = &mut message.buttons_message {
        open_buttons(buttons.header.as_mut()?)
    } else {
        let template = message.template_message.as_mut()?.hydrated_template.as_mut()?;
        open_template(template.title.as_mut()?)
    }
}
