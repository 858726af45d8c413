//! What a file is, by how it begins. What its host, or its name, says counts only where that tells nothing.

use super::Role;

/// Bytes of a file that tell what it is.
pub(super) const HEAD_BYTES: usize = 8 * 1024;

/// The type of a file, and whether it can be sent as `role`.
pub(super) fn judge(head: &[u8], told: Option<&str>, role: Role) -> (String, bool) {
    let found = infer::get(head).map(|kind| kind.mime_type());
    let mimetype = match (found, told) {
        // A caller, or a host, knows more of it than how it begins: `audio/ogg; codecs=opus`.
        (Some(found), Some(told)) if is_same(found, told) => told,
        (Some("audio/opus"), _) => OPUS,
        (Some(found), _) => found,
        (None, Some(told)) if role == Role::Document && told.contains('/') => told,
        (None, _) => "application/octet-stream",
    };
    let fits = match role {
        Role::Document => true,
        Role::Image => matches!(
            base(mimetype),
            "image/jpeg" | "image/png" | "image/webp" | "image/gif"
        ),
        Role::Sticker => base(mimetype) == "image/webp",
        Role::Video => base(mimetype).starts_with("video/"),
        Role::Audio | Role::VoiceNote => {
            base(mimetype).starts_with("audio/") || base(mimetype) == "video/mp4"
        }
    };
    (mimetype.to_owned(), fits)
}

/// How a role is called where a file does not fit it.
pub(super) const fn name(role: Role) -> &'static str {
    match role {
        Role::Image => "an image",
        Role::Video => "a video",
        Role::Audio | Role::VoiceNote => "audio",
        Role::Document => "a document",
        Role::Sticker => "a sticker (WebP)",
    }
}

fn is_same(found: &str, told: &str) -> bool {
    base(found).eq_ignore_ascii_case(base(told))
}

fn base(mimetype: &str) -> &str {
    mimetype.split(';').next().unwrap_or_default().trim()
}

/// Opus in Ogg, as voice notes have it.
const OPUS: &str = "audio/ogg; codecs=opus";

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG: &[u8] = &[0xff, 0xd8, 0xff, 0xe0, 0, 16, b'J', b'F', b'I', b'F'];

    #[test]
    fn a_file_is_what_it_begins_like_whatever_is_said_of_it() {
        let judged = |head: &[u8], told, role| judge(head, told, role);
        let jpeg = || "image/jpeg".to_owned();
        assert_eq!(judged(JPEG, Some("text/html"), Role::Image), (jpeg(), true));
        assert_eq!(judged(JPEG, None, Role::Video), (jpeg(), false));
        assert_eq!(judged(JPEG, None, Role::Sticker), (jpeg(), false));
        assert_eq!(judged(JPEG, None, Role::Document), (jpeg(), true));
        let nothing = "application/octet-stream".to_owned();
        let page = ("text/html".to_owned(), false);
        assert_eq!(judged(b"<html>", Some("image/jpeg"), Role::Image), page);
        let unknown = judged(b"abc", Some("image/jpeg"), Role::Image);
        assert_eq!(unknown, (nothing.clone(), false));
        assert_eq!(
            judged(b"a,b", Some("text/csv"), Role::Document),
            ("text/csv".to_owned(), true)
        );
        assert_eq!(judged(b"", None, Role::Document), (nothing, true));
    }

    #[test]
    fn a_voice_note_is_told_as_phones_want_it() {
        let mut head = b"OggS".to_vec();
        head.resize(28, 0);
        head.extend_from_slice(b"OpusHead");
        assert_eq!(
            judge(&head, Some("audio/x"), Role::Audio),
            (OPUS.to_owned(), true)
        );
    }
}
