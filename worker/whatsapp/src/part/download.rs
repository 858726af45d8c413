//! The files that parts want from the media host: asked for one at a time, answered by ticket.

use std::collections::VecDeque;

use bytes::Bytes;

use super::tickets::Ticket;
use crate::media::BlobRef;

/// A file that a part wants: checked and decrypted by whoever fetches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Which file, and what shows that it is the one.
    pub blob: BlobRef,
    /// Largest file taken, in bytes.
    pub max_bytes: usize,
}

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// The media host has it no more: 404 or 410.
    #[error("the file has expired")]
    Expired,
    /// The media host said something else.
    #[error("the media host answered with {0}")]
    Refused(u16),
    /// It is larger than it may be.
    #[error("the file is too large")]
    TooLarge,
    /// It took too long.
    #[error("the file did not come in time")]
    TimedOut,
    /// It is not what was named.
    #[error(transparent)]
    Bad(#[from] crate::media::BadBlob),
    /// The media host could not be reached.
    #[error("the media host can't be reached: {0}")]
    Unreachable(String),
    /// Too many files are wanted already.
    #[error("too many files are wanted")]
    Busy,
}

/// What a file says, or why there is none.
pub(crate) type Downloaded = Result<Bytes, DownloadError>;

/// The files under way. One at a time leaves: the answer is for the one taken last.
#[derive(Default)]
pub(crate) struct Downloads {
    new: VecDeque<(Download, Ticket)>,
    taken: Option<Ticket>,
    refused: Vec<Ticket>,
}

impl Downloads {
    pub(crate) fn ask(&mut self, download: Download, ticket: Ticket) {
        if self.new.len() < MAX_WANTED {
            self.new.push_back((download, ticket));
        } else {
            self.refused.push(ticket);
        }
    }

    /// What to fetch next, if nothing is being fetched.
    pub(crate) fn take(&mut self) -> Option<Download> {
        if self.taken.is_some() {
            return None;
        }
        let (download, ticket) = self.new.pop_front()?;
        self.taken = Some(ticket);
        if self.new.is_empty() {
            // A session that got its history wants nothing for months.
            self.new = VecDeque::new();
        }
        Some(download)
    }

    /// Whose the file is that was fetched.
    pub(crate) fn answered(&mut self) -> Option<Ticket> {
        self.taken.take()
    }

    /// A question that was one too many.
    pub(crate) fn take_refused(&mut self) -> Option<Ticket> {
        self.refused.pop()
    }
}

/// Files that wait to be fetched.
const MAX_WANTED: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::tickets::{PartId, Tickets};
    use super::*;
    use crate::media::{MediaKey, MediaKind};

    fn download(path: &str) -> Download {
        let blob = BlobRef {
            kind: MediaKind::History,
            path: path.to_owned(),
            key: MediaKey::new([1; 32]),
            sha256: [2; 32],
            enc_sha256: [3; 32],
            length: None,
        };
        Download { blob, max_bytes: 10 }
    }

    #[test]
    fn files_are_fetched_one_after_the_other() {
        let (mut downloads, mut asked) = (Downloads::default(), Tickets::new(PartId::new(0)));
        for path in ["/1", "/2"] {
            downloads.ask(download(path), asked.open(path));
        }
        for path in ["/1", "/2"] {
            assert_eq!(downloads.take().map(|one| one.blob.path).as_deref(), Some(path));
            assert_eq!(downloads.take(), None);
            let ticket = downloads.answered().unwrap();
            assert_eq!(asked.close(&ticket), Some(path));
        }
        assert!(downloads.take().is_none() && downloads.answered().is_none());
    }

    #[test]
    fn files_over_the_limit_are_refused() {
        let (mut downloads, mut asked) = (Downloads::default(), Tickets::new(PartId::new(0)));
        for _ in 0..=MAX_WANTED {
            downloads.ask(download("/1"), asked.open(()));
        }
        assert!(downloads.take_refused().is_some() && downloads.take_refused().is_none());
    }
}
