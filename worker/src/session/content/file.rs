//! The file that a message carries which came in: where it is, and what opens it.

use bytes::Bytes;
use shared::store::received::FileKind;
use whatsapp::event::unwrapped;
use whatsapp::media::{BlobRef, MediaKind};
use whatsapp::proto;

/// A file as its message names it.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) kind: FileKind,
    pub(crate) blob: BlobRef,
    pub(crate) mimetype: String,
    pub(crate) name: Option<String>,
}

/// The file of a message, if it carries one that can be fetched.
pub(crate) fn file(message: &proto::Message) -> Option<File> {
    let message = unwrapped(message);
    /// Reads the fields that all kinds with a file have.
    macro_rules! read {
        ($of:expr, $kind:ident, $default:literal, $name:expr) => {{
            let of = $of;
            let fields = [&of.media_key, &of.file_sha256, &of.file_enc_sha256].map(Option::as_ref);
            File {
                kind: FileKind::$kind,
                blob: blob(
                    MediaKind::$kind,
                    of.direct_path.as_deref(),
                    fields,
                    of.file_length,
                )?,
                mimetype: text(of.mimetype.as_deref()).unwrap_or_else(|| $default.to_owned()),
                name: $name,
            }
        }};
    }
    if let Some(image) = &message.image_message {
        Some(read!(image, Image, "image/jpeg", None))
    } else if let Some(video) = message.video_message.as_ref().or(message.ptv_message.as_ref()) {
        Some(read!(video, Video, "video/mp4", None))
    } else if let Some(audio) = &message.audio_message {
        Some(read!(audio, Audio, "audio/ogg", None))
    } else if let Some(document) = &message.document_message {
        let name = document.file_name.as_deref().or(document.title.as_deref());
        Some(read!(document, Document, "application/octet-stream", text(name)))
    } else if let Some(sticker) = &message.sticker_message {
        Some(read!(sticker, Image, "image/webp", None))
    } else {
        None
    }
}

fn blob(
    kind: MediaKind,
    path: Option<&str>,
    fields: [Option<&Bytes>; 3],
    length: Option<u64>,
) -> Option<BlobRef> {
    let blob = BlobRef::from_fields(kind, path, fields)?;
    Some(BlobRef {
        length: length.filter(|length| i64::try_from(*length).is_ok()),
        ..blob
    })
}

/// A text of somebody else's, as far as it can be stored; `None` if nothing is left.
fn text(text: Option<&str>) -> Option<String> {
    let kept = text?.chars().filter(|char| !char.is_control());
    let kept: String = kept.take(TEXT_MAX_CHARS).collect();
    (!kept.is_empty()).then_some(kept)
}

/// Most characters of a type or a name that are kept.
const TEXT_MAX_CHARS: usize = 255;

#[cfg(test)]
mod tests {
    use whatsapp::proto::message::{DocumentMessage, FutureProofMessage};

    use super::*;

    fn document(name: &str, key: &'static [u8]) -> proto::Message {
        let document = DocumentMessage {
            file_name: Some(name.to_owned()),
            direct_path: Some("/v/1?oe=1".to_owned()),
            media_key: Some(Bytes::from_static(key)),
            file_sha256: Some(Bytes::from_static(&[2; 32])),
            file_enc_sha256: Some(Bytes::from_static(&[3; 32])),
            file_length: Some(7),
            ..DocumentMessage::default()
        };
        let inner = proto::Message {
            document_message: Some(Box::new(document)),
            ..proto::Message::default()
        };
        proto::Message {
            document_with_caption_message: Some(Box::new(FutureProofMessage {
                message: Some(Box::new(inner)),
            })),
            ..proto::Message::default()
        }
    }

    #[test]
    fn a_wrapped_file_is_found_and_its_name_can_be_stored() {
        let long = format!("re\0port\n{}", "x".repeat(300));
        let found = file(&document(&long, &[1; 32])).unwrap();
        assert_eq!((found.kind, found.blob.length), (FileKind::Document, Some(7)));
        assert_eq!(found.mimetype, "application/octet-stream");
        let name = found.name.unwrap();
        assert!(
            name.starts_with("reportx") && name.len() == TEXT_MAX_CHARS,
            "{name}"
        );
    }

    #[test]
    fn what_can_not_be_opened_is_no_file() {
        assert!(file(&document("a", &[1; 31])).is_none());
        assert!(file(&proto::Message::default()).is_none());
    }
}
