//! What stands above a message that came in, as events tell it.

use serde_json::Value;

use super::header::{Carried, Known};
use super::{document, image, video};

/// Its name and its fields.
pub(super) fn described(known: Known<'_>) -> (&'static str, Value) {
    match known {
        Carried::Image(image) => ("imageMessage", image::described(image)),
        Carried::Video(video) => ("videoMessage", video::described(video)),
        Carried::Document(document) => ("documentMessage", document::described(document)),
    }
}
