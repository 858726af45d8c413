//! A video, also one that plays in a circle.

use whatsapp::proto;

use super::described::Described;

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let video = message
        .video_message
        .as_deref()
        .or(message.ptv_message.as_deref())?;
    let fields = [
        ("mimetype", video.mimetype.clone().into()),
        ("caption", video.caption.clone().into()),
        ("fileLength", video.file_length.into()),
        ("seconds", video.seconds.into()),
        ("gifPlayback", video.gif_playback.into()),
    ];
    Some(Described::new("videoMessage", fields))
}
