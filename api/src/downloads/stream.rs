//! What a file says, as it comes: decrypted, cut to the part that is wanted, its last piece held back until all is checked.

use std::io;
use std::ops::Range;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use media::Opener;
use tokio::time::timeout;

use super::Download;

/// A download under way.
struct Piecewise {
    download: Download,
    /// None when all of it has come.
    opener: Option<Opener>,
    wanted: Range<u64>,
    /// How much of what it says has come.
    seen: u64,
    /// What is handed on when more has come, or all was checked.
    held: Vec<u8>,
}

impl Download {
    /// What it says between these bytes; all of it without. Breaks off where the file is not what was named.
    pub fn into_body(self, part: Option<Range<u64>>) -> Body {
        let piecewise = Piecewise {
            opener: Some(Opener::new(&self.blob)),
            download: self,
            wanted: part.unwrap_or(0..u64::MAX),
            seen: 0,
            held: Vec::new(),
        };
        Body::from_stream(stream::try_unfold(piecewise, Piecewise::next))
    }
}

impl Piecewise {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let Some(mut opener) = self.opener.take() else {
            return Ok(None);
        };
        loop {
            let mut said = Vec::new();
            if let Some(piece) = self.piece().await? {
                opener.push(&piece, &mut said);
                let more = self.cut(said);
                if more.is_empty() {
                    continue;
                }
                let ready = std::mem::replace(&mut self.held, more);
                if !ready.is_empty() {
                    self.opener = Some(opener);
                    return Ok(Some((ready.into(), self)));
                }
            } else {
                opener.finish(&mut said).map_err(|error| broken(&error))?;
                let more = self.cut(said);
                if self.download.length.is_some_and(|length| length != self.seen) {
                    return Err(broken(&"it is of another length"));
                }
                self.held.extend(more);
                let last = std::mem::take(&mut self.held);
                return Ok((!last.is_empty()).then(|| (last.into(), self)));
            }
        }
    }

    async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let piece = timeout(self.download.settings.timeout, self.download.response.chunk()).await;
        match piece {
            Ok(Ok(piece)) => Ok(piece),
            // Never the error's own words: they hold the address.
            Ok(Err(_)) => Err(broken(&"the media host broke off")),
            Err(_) => Err(broken(&"the media host fell silent")),
        }
    }

    /// What of the next bytes lies in the part that is wanted.
    fn cut(&mut self, mut said: Vec<u8>) -> Vec<u8> {
        let start = self.seen;
        self.seen += said.len() as u64;
        let within = |at: u64| usize::try_from(at.clamp(start, self.seen) - start).unwrap_or_default();
        let (from, to) = (within(self.wanted.start), within(self.wanted.end));
        said.truncate(to);
        said.drain(..from.min(to));
        said
    }
}

fn broken(why: &dyn std::fmt::Display) -> io::Error {
    tracing::warn!(%why, "a download breaks off");
    io::Error::other(why.to_string())
}
