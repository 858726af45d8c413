//! The file of a message: what is wished of it before it is uploaded, and how the message names it then.
//!
//! Knows of every kind that carries a file; the kinds know what they say besides.

use bytes::Bytes;
use shared::content::{Body, Buttons, Content, HeaderKind, Otherwise, Template};
use shared::store::uploads::Upload;
use whatsapp::proto::message::{DocumentMessage, FutureProofMessage, ImageMessage, VideoMessage};
use whatsapp::proto::{self, Message};

use super::header::{self, Carried};
use crate::media::{Role, Wish};

/// What is wished of the file that a content carries, if it carries one.
pub(crate) fn wish(content: &Content) -> Option<Wish<'_>> {
    let media = content.media()?;
    let (role, otherwise) = match &content.body {
        Body::Image(image) => (Role::Image, image.otherwise),
        Body::Video(video) => (Role::Video, video.otherwise),
        Body::Audio(audio) if audio.voice_note => (Role::VoiceNote, audio.otherwise),
        Body::Audio(audio) => (Role::Audio, audio.otherwise),
        Body::Sticker(_) => (Role::Sticker, None),
        Body::Buttons(Buttons {
            header: Some(above), ..
        })
        | Body::Template(Template {
            header: Some(above), ..
        }) => (role(above.kind), None),
        _ => (Role::Document, None),
    };
    Some(Wish {
        source: media.source()?,
        mimetype: media.mimetype.as_deref(),
        role,
        or_document: otherwise == Some(Otherwise::Document),
    })
}

fn role(above: HeaderKind) -> Role {
    match above {
        HeaderKind::Image => Role::Image,
        HeaderKind::Video => Role::Video,
        HeaderKind::Document => Role::Document,
    }
}

/// Wraps what can be opened once only.
pub(super) fn view_once(message: Message) -> Message {
    Message {
        view_once_message_v2: Some(wrapped(message)),
        ..Default::default()
    }
}

/// A document; one with a caption is wrapped.
pub(super) fn captioned(document: DocumentMessage) -> Message {
    let has_caption = document.caption.is_some();
    let message = Message {
        document_message: Some(Box::new(document)),
        ..Default::default()
    };
    match has_caption {
        true => Message {
            document_with_caption_message: Some(wrapped(message)),
            ..Default::default()
        },
        false => message,
    }
}

fn wrapped(message: Message) -> Box<FutureProofMessage> {
    Box::new(FutureProofMessage {
        message: Some(Box::new(message)),
    })
}

/// Names the file in a message that carries one.
pub(super) fn attach(message: &mut Message, upload: &Upload) {
    if upload.as_document {
        *message = captioned(as_document(message));
    }
    name_in(inner(message), upload);
}

/// The message inside of its wrapper.
pub(super) fn inner(message: &mut Message) -> &mut Message {
    let is_wrapped =
        message.view_once_message_v2.is_some() || message.document_with_caption_message.is_some();
    if !is_wrapped {
        return message;
    }
    let wrapper = message
        .view_once_message_v2
        .as_mut()
        .or(message.document_with_caption_message.as_mut());
    // Unwrap safety: one of the two is there, and holds a message as it was made above.
    wrapper
        .and_then(|wrapper| wrapper.message.as_deref_mut())
        .unwrap_or_else(|| unreachable!("a wrapped message"))
}

/// What is no picture, film or sound after all goes as a document, with the same caption.
fn as_document(message: &mut Message) -> DocumentMessage {
    let carried = inner(message);
    let (image, video) = (carried.image_message.take(), carried.video_message.take());
    let caption = image
        .and_then(|image| image.caption)
        .or(video.and_then(|video| video.caption));
    DocumentMessage {
        title: Some(UNNAMED.to_owned()),
        file_name: Some(UNNAMED.to_owned()),
        caption,
        context_info: None,
        ..Default::default()
    }
}

/// What a file is called that was to be none.
const UNNAMED: &str = "file";

/// Sets the fields that all kinds with a file have.
macro_rules! set {
    ($message:expr, $upload:expr) => {{
        let (message, upload): (_, &Upload) = (&mut *$message, $upload);
        message.url = Some(url(upload));
        message.mimetype = Some(upload.mimetype.clone());
        message.file_sha256 = Some(Bytes::copy_from_slice(&upload.sha256));
        message.file_length = Some(upload.length);
        message.media_key = Some(Bytes::copy_from_slice(&upload.key));
        message.file_enc_sha256 = Some(Bytes::copy_from_slice(&upload.enc_sha256));
        message.direct_path = Some(upload.direct_path.clone());
        message.media_key_timestamp = Some(upload.uploaded_at.unix_timestamp());
    }};
}

fn name_in(message: &mut proto::Message, upload: &Upload) {
    if let Some(image) = &mut message.image_message {
        name_image(image, upload);
    } else if let Some(video) = &mut message.video_message {
        name_video(video, upload);
    } else if let Some(audio) = &mut message.audio_message {
        set!(audio, upload);
        audio.seconds = upload.facts.seconds;
        audio.waveform = upload.facts.waveform.map(|parts| Bytes::copy_from_slice(&parts));
    } else if let Some(document) = &mut message.document_message {
        name_document(document, upload);
    } else if let Some(sticker) = &mut message.sticker_message {
        set!(sticker, upload);
        (sticker.width, sticker.height) = upload.facts.size.unzip();
        sticker.is_animated = upload.facts.is_animated.then_some(true);
    } else {
        match header::open(message) {
            Some(Carried::Image(image)) => name_image(image, upload),
            Some(Carried::Video(video)) => name_video(video, upload),
            Some(Carried::Document(document)) => name_document(document, upload),
            None => {}
        }
    }
}

fn name_image(image: &mut ImageMessage, upload: &Upload) {
    set!(image, upload);
    (image.width, image.height) = upload.facts.size.unzip();
    image.jpeg_thumbnail = upload.facts.thumbnail.clone();
}

fn name_video(video: &mut VideoMessage, upload: &Upload) {
    set!(video, upload);
    (video.width, video.height) = upload.facts.size.unzip();
    video.seconds = upload.facts.seconds;
    video.jpeg_thumbnail = upload.facts.thumbnail.clone();
}

fn name_document(document: &mut DocumentMessage, upload: &Upload) {
    set!(document, upload);
    document.jpeg_thumbnail = upload.facts.thumbnail.clone();
}

/// The address that recipients are told.
fn url(upload: &Upload) -> String {
    let default = || format!("https://mmg.whatsapp.net{}", upload.direct_path);
    upload.url.clone().unwrap_or_else(default)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use shared::recipient::Number;
    use shared::store::uploads::Facts;
    use time::OffsetDateTime;

    use super::super::{Rendering, describe, encode, render};
    use super::*;

    fn upload(as_document: bool) -> Upload {
        Upload {
            uploaded_at: OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(1_700_000_000),
            mimetype: "image/png".to_owned(),
            as_document,
            length: 5,
            key: [1; 32],
            sha256: [2; 32],
            enc_sha256: [3; 32],
            direct_path: "/v/1?oe=62C749F1".to_owned(),
            url: None,
            expires_at: None,
            facts: Facts {
                size: Some((400, 300)),
                seconds: Some(7),
                thumbnail: Some(Bytes::from_static(b"small")),
                waveform: Some([9; 64]),
                is_animated: true,
            },
        }
    }

    const KINDS: [&str; 5] = [
        r#"{"type":"image","media":{"base64":"AA=="},"caption":"Hi","viewOnce":true}"#,
        r#"{"type":"video","media":{"base64":"AA=="},"gif":true}"#,
        r#"{"type":"audio","media":{"base64":"AA=="},"voiceNote":true}"#,
        r#"{"type":"document","media":{"base64":"AA=="},"caption":"Hi"}"#,
        r#"{"type":"sticker","media":{"base64":"AA=="}}"#,
    ];

    fn with<'a>(content: &'a Content, upload: &'a Upload, chat: &'a Number) -> Rendering<'a> {
        let upload = Some(upload);
        Rendering {
            content,
            upload,
            preview: None,
            vote: None,
            chat,
            own: None,
            at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn every_kind_names_its_file_and_says_the_same_each_time() {
        for content in KINDS {
            let content: Content = serde_json::from_str(content).unwrap();
            let (upload, chat) = (upload(false), "5531900000042".parse().unwrap());
            let to = with(&content, &upload, &chat);
            let message = render(&to);
            let told = describe(&message).unwrap();
            assert_eq!(told.kind, content.message_type());
            assert_eq!(
                (&told.body["mimetype"], &told.body["fileLength"]),
                (&"image/png".into(), &5.into())
            );
            assert_eq!(encode(&to), message.encode_to_vec());
            let bytes = message.encode_to_vec();
            for hash in [[1; 32], [2; 32], [3; 32]] {
                assert!(bytes.windows(32).any(|part| part == hash), "{}", told.kind);
            }
        }
    }

    #[test]
    fn what_is_no_picture_goes_as_a_document_with_its_caption() {
        let content: Content = serde_json::from_str(KINDS[0]).unwrap();
        let (upload, chat) = (upload(true), "5531900000042".parse().unwrap());
        let message = render(&with(&content, &upload, &chat));
        let told = describe(&message).unwrap();
        assert_eq!(
            (told.kind, &told.body["caption"]),
            ("documentMessage", &"Hi".into())
        );
    }
}
