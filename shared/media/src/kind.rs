//! What a file is.

/// What a file is, which decides its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// A picture or a sticker.
    Image,
    /// A film.
    Video,
    /// Sound.
    Audio,
    /// Any other file of a chat.
    Document,
    /// A piece of the history.
    History,
    /// A snapshot or a large patch of the app state.
    AppState,
    /// The picture of a link preview.
    LinkThumbnail,
}

impl MediaKind {
    /// What its keys are derived for.
    pub(super) const fn info(self) -> &'static [u8] {
        match self {
            Self::Image => b"WhatsApp Image Keys",
            Self::Video => b"WhatsApp Video Keys",
            Self::Audio => b"WhatsApp Audio Keys",
            Self::Document => b"WhatsApp Document Keys",
            Self::History => b"WhatsApp History Keys",
            Self::AppState => b"WhatsApp App State Keys",
            Self::LinkThumbnail => b"WhatsApp Link Thumbnail Keys",
        }
    }

    /// How the media host calls it in addresses.
    #[must_use]
    pub const fn mms_type(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
            Self::History => "md-msg-hist",
            Self::AppState => "md-app-state",
            Self::LinkThumbnail => "thumbnail-link",
        }
    }
}
