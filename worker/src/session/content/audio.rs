//! A sound, also one that was spoken.

use whatsapp::proto;

use super::described::Described;

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let audio = message.audio_message.as_deref()?;
    let fields = [
        ("mimetype", audio.mimetype.clone().into()),
        ("fileLength", audio.file_length.into()),
        ("seconds", audio.seconds.into()),
        ("ptt", audio.ptt.into()),
    ];
    Some(Described::new("audioMessage", fields))
}
