//! The file that the messages of a queue carry, the page that they link to, or the vote that they are, and that nothing of it starts
//! before that is uploaded, asked or sealed.

use std::sync::Arc;

use shared::content::Content;
use shared::store::polls::SealedVote;
use shared::store::previews::Preview;
use shared::store::uploads::Upload;
use time::{Duration, OffsetDateTime};

use super::adapter::events::Failure;

/// How far the file is that the messages of a queue carry.
#[derive(Debug)]
pub(crate) enum Attachment {
    /// They carry none.
    None,
    /// It is not uploaded yet, or about to expire; or the page that they link to has not answered yet; or the vote that they are
    /// is not sealed yet.
    Awaited,
    /// It is uploaded.
    Ready(Arc<Upload>),
    /// They carry none, and this is shown of the page that they link to.
    Previewed(Option<Box<Preview>>),
    /// They are a vote, which is sealed.
    Voted(Box<SealedVote>),
    /// There is none: its recipients fail.
    Failed(Box<Failure>),
}

impl Attachment {
    pub(crate) fn of(content: &Content) -> Self {
        match content.media().is_some() || content.link().is_some() || content.vote().is_some() {
            true => Self::Awaited,
            false => Self::None,
        }
    }

    /// Whether messages can be made with what is there.
    pub(crate) fn is_at_hand(&self) -> bool {
        matches!(
            self,
            Self::None | Self::Ready(_) | Self::Previewed(_) | Self::Voted(_)
        )
    }

    pub(crate) fn is_wanted(&self, now: OffsetDateTime) -> bool {
        match self {
            Self::Awaited => true,
            Self::Ready(upload) => expires_soon(upload, now),
            Self::None | Self::Previewed(_) | Self::Voted(_) | Self::Failed(_) => false,
        }
    }
}

/// Whether those who are sent a file now may find it gone when they open it. One that was never good for long is used for
/// half of its time, or it would be uploaded for ever.
pub(crate) fn expires_soon(upload: &Upload, now: OffsetDateTime) -> bool {
    let left = |at: OffsetDateTime| at - now < LEFT_AT_LEAST.min((at - upload.uploaded_at) / 2);
    upload.expires_at.is_some_and(left)
}

/// How long a file is there for those who are sent it.
const LEFT_AT_LEAST: Duration = Duration::days(3);
