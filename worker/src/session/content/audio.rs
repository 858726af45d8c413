//! A sound, also one that was spoken.

use shared::content::Audio;
use whatsapp::proto::{self, message::AudioMessage};

use super::described::{Described, context};

pub(super) fn render(audio: &Audio) -> proto::Message {
    proto::Message {
        audio_message: Some(Box::new(AudioMessage {
            ptt: audio.voice_note.then_some(true),
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let audio = message.audio_message.as_deref()?;
    let fields = [
        ("mimetype", audio.mimetype.clone().into()),
        ("fileLength", audio.file_length.into()),
        ("seconds", audio.seconds.into()),
        ("ptt", audio.ptt.into()),
        ("contextInfo", context(audio.context_info.as_deref())),
    ];
    Some(Described::new("audioMessage", fields))
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"audio","media":{"base64":"AA=="},"voiceNote":true}"#,
    "42023001",
);
