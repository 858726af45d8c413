//! The file of a message that came in, as it is stored; and as our phone is asked for it.

use std::time::Duration;

use shared::store::received::ReceivedMedia;
use time::OffsetDateTime;
use whatsapp::command::{About, MediaRetry};
use whatsapp::event::Incoming;
use whatsapp::jid::Jid;
use whatsapp::media::MediaKey;

use super::super::content::file;
use super::names::{message_id, stanza_id};

/// The file that a message carries, if it does; kept for so long.
pub(crate) fn received(incoming: &Incoming, now: OffsetDateTime, keep: Duration) -> Option<ReceivedMedia> {
    let found = file(&incoming.message)?;
    let chat = incoming.chat.to_string();
    let in_group = !incoming.chat.is_user() && !incoming.chat.is_lid();
    let participant = in_group.then(|| incoming.sender.to_bare().to_string());
    let fits = |address: &str| address.len() <= ADDRESS_MAX_BYTES;
    if !fits(&chat) || !participant.as_deref().is_none_or(fits) {
        return None;
    }
    Some(ReceivedMedia {
        message: stanza_id(&incoming.id),
        chat,
        participant,
        from_me: incoming.from_me,
        kind: found.kind,
        mimetype: found.mimetype,
        file_name: found.name,
        length: found.blob.length,
        key: *found.blob.key.expose(),
        sha256: found.blob.sha256,
        enc_sha256: found.blob.enc_sha256,
        direct_path: found.blob.path,
        received_at: now,
        expires_at: now + keep,
    })
}

/// How our phone is asked to upload it again; `None` of what no message could be.
pub(crate) fn retry(file: &ReceivedMedia) -> Option<MediaRetry> {
    let participant = file.participant.as_deref().map(str::parse::<Jid>).transpose();
    Some(MediaRetry {
        about: About {
            id: message_id(&file.message),
            chat: file.chat.parse().ok()?,
            participant: participant.ok()?,
            from_me: file.from_me,
        },
        key: MediaKey::new(file.key),
    })
}

/// Longest address that is stored.
const ADDRESS_MAX_BYTES: usize = 128;
