//! A video, also one that plays in a circle.

use serde_json::Value;
use shared::content::Video;
use whatsapp::proto::{self, message::VideoMessage};

use super::described::{Described, context, object};
use super::upload::view_once;

pub(super) fn render(video: &Video) -> proto::Message {
    let message = proto::Message {
        video_message: Some(Box::new(VideoMessage {
            caption: video.caption.clone(),
            gif_playback: video.gif.then_some(true),
            view_once: video.view_once.then_some(true),
            ..Default::default()
        })),
        ..Default::default()
    };
    match video.view_once {
        true => view_once(message),
        false => message,
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let (kind, video) = match (&message.video_message, &message.ptv_message) {
        (Some(video), _) => ("videoMessage", video),
        (None, Some(round)) => ("ptvMessage", round),
        (None, None) => return None,
    };
    Some(Described {
        kind,
        body: described(video),
    })
}

/// Its fields, also where it stands above another message.
pub(super) fn described(video: &VideoMessage) -> Value {
    let fields = [
        ("mimetype", video.mimetype.clone().into()),
        ("caption", video.caption.clone().into()),
        ("fileLength", video.file_length.into()),
        ("seconds", video.seconds.into()),
        ("width", video.width.into()),
        ("height", video.height.into()),
        ("gifPlayback", video.gif_playback.into()),
        ("viewOnce", video.view_once.into()),
        ("contextInfo", context(video.context_info.as_deref())),
    ];
    object(fields)
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"video","media":{"url":"https://example.com/a"},"caption":"Olá","gif":true}"#,
    "4a083a044f6cc3a14001",
);
