//! The files that parts want from the media host: asked for one at a time, answered by ticket.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::tickets::Ticket;
use crate::media::{BlobRef, MediaKind};
use crate::time::Timestamp;

/// A file that a part wants: checked and decrypted by whoever fetches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Which file, and what shows that it is the one.
    pub blob: BlobRef,
    /// Largest file taken, in bytes.
    pub max_bytes: usize,
}

/// A file to fetch, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The file.
    pub file: Download,
    /// The addresses of the media hosts, without a path, in the order to try.
    pub hosts: Arc<[String]>,
}

impl Fetch {
    /// Whether it is a piece of the history.
    #[must_use]
    pub fn is_of_history(&self) -> bool {
        self.file.blob.kind == MediaKind::History
    }
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

/// The files under way. One at a time leaves, when it is known where it may be: the answer is for the one taken last.
#[derive(Default)]
pub(crate) struct Downloads {
    new: VecDeque<(Download, Ticket)>,
    taken: Option<Ticket>,
    refused: Vec<Ticket>,
    hosts: Option<Hosts>,
}

/// Where files are.
struct Hosts {
    addresses: Arc<[String]>,
    until: Timestamp,
}

impl Downloads {
    pub(crate) fn ask(&mut self, download: Download, ticket: Ticket) {
        if self.new.len() < MAX_WANTED {
            self.new.push_back((download, ticket));
        } else {
            self.refused.push(ticket);
        }
    }

    /// Whether a file waits for the hosts to be named.
    pub(crate) fn wants_hosts(&self, now: Timestamp) -> bool {
        !self.new.is_empty() && self.taken.is_none() && self.hosts_at(now).is_none()
    }

    /// From now until then files are at one of these addresses.
    pub(crate) fn set_hosts(&mut self, addresses: Vec<String>, until: Timestamp) {
        let addresses = addresses.into();
        self.hosts = Some(Hosts { addresses, until });
    }

    /// The hosts refuse us: they are to be named anew.
    pub(crate) fn forget_hosts(&mut self) {
        self.hosts = None;
    }

    fn hosts_at(&self, now: Timestamp) -> Option<&Arc<[String]>> {
        let hosts = self.hosts.as_ref().filter(|hosts| now < hosts.until);
        hosts.map(|hosts| &hosts.addresses)
    }

    /// What to fetch next, if nothing is being fetched.
    pub(crate) fn take(&mut self, now: Timestamp) -> Option<Fetch> {
        if self.taken.is_some() {
            return None;
        }
        let hosts = Arc::clone(self.hosts_at(now)?);
        let (file, ticket) = self.new.pop_front()?;
        self.taken = Some(ticket);
        if self.new.is_empty() {
            // A session that got its history wants nothing for months.
            self.new = VecDeque::new();
        }
        Some(Fetch { file, hosts })
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
    use crate::media::MediaKey;

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
        let now = Timestamp::from_secs(100);
        downloads.set_hosts(vec!["https://a".to_owned()], Timestamp::from_secs(200));
        for path in ["/1", "/2"] {
            downloads.ask(download(path), asked.open(path));
        }
        for path in ["/1", "/2"] {
            let fetch = downloads.take(now).unwrap();
            assert_eq!(
                (fetch.file.blob.path.as_str(), &*fetch.hosts),
                (path, &["https://a".to_owned()][..])
            );
            assert_eq!(downloads.take(now), None);
            let ticket = downloads.answered().unwrap();
            assert_eq!(asked.close(&ticket), Some(path));
        }
        assert!(downloads.take(now).is_none() && downloads.answered().is_none());
    }

    #[test]
    fn a_file_waits_until_it_is_known_where_it_may_be() {
        let (mut downloads, mut asked) = (Downloads::default(), Tickets::new(PartId::new(0)));
        let at = Timestamp::from_secs;
        assert!(!downloads.wants_hosts(at(1)), "nobody wants a file");
        downloads.ask(download("/1"), asked.open(()));
        assert!(downloads.wants_hosts(at(1)) && downloads.take(at(1)).is_none());
        downloads.set_hosts(vec!["https://a".to_owned()], at(10));
        assert!(!downloads.wants_hosts(at(9)) && downloads.wants_hosts(at(10)));
        assert!(downloads.take(at(10)).is_none() && downloads.take(at(9)).is_some());
        downloads.ask(download("/2"), asked.open(()));
        assert!(downloads.answered().is_some());
        downloads.forget_hosts();
        assert!(downloads.wants_hosts(at(9)));
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
