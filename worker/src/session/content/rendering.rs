//! What a message is made of.

use shared::content::Content;
use shared::recipient::Number;
use shared::store::polls::SealedVote;
use shared::store::previews::Preview;
use shared::store::uploads::Upload;
use time::OffsetDateTime;

/// What a message is made of: all that its bytes depend on, and all of it stored, so that the same message is made again
/// when a device asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Rendering<'a> {
    /// What it says.
    pub content: &'a Content,
    /// The file that it carries, where it is uploaded.
    pub upload: Option<&'a Upload>,
    /// What is shown of the page that it links to, where that was asked for.
    pub preview: Option<&'a Preview>,
    /// What it chooses of a poll, where it is a vote.
    pub vote: Option<&'a SealedVote>,
    /// Who gets it, as the job names them.
    pub chat: &'a Number,
    /// The jid of the session's account.
    pub own: Option<&'a str>,
    /// When its queue was accepted, or starts: the time of what has one.
    pub at: OffsetDateTime,
}

impl Rendering<'_> {
    /// Its time in milliseconds since 1970.
    pub(super) fn millis(&self) -> i64 {
        i64::try_from(self.at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
    }
}
