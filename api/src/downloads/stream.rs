//! What a file says, as it comes: decrypted, cut to the part that is wanted, its last piece held back until all is checked.

use std::io;
use std::ops::Range;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use media::Opener;
use shared::transfers::PIECE_BYTES;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Download;

/// Pieces that wait for the client to take them.
const PIECES_AHEAD: usize = 2;
/// More than an [`Opener`] has held back when a piece comes.
const HELD_BYTES: usize = 64;

/// A piece; `None` at the end of all.
type Passed = io::Result<Option<Bytes>>;

/// A download under way.
struct Piecewise {
    download: Download,
    wanted: Range<u64>,
    /// How much of what it says has come.
    seen: u64,
    /// What is handed on when more has come, or all was checked.
    held: Vec<u8>,
    to: mpsc::Sender<Passed>,
}

impl Download {
    /// What it says between these bytes; all of it without. Breaks off where the file is not what was named.
    pub fn into_body(self, part: Option<Range<u64>>) -> Body {
        let (to, passed) = mpsc::channel(PIECES_AHEAD);
        let thread = self.thread.clone();
        let piecewise = Piecewise {
            download: self,
            wanted: part.unwrap_or(0..u64::MAX),
            seen: 0,
            held: Vec::new(),
            to,
        };
        // Ends with the body, when its client leaves.
        let work = thread.spawn(piecewise.run());
        let pieces = stream::try_unfold((passed, work), |(mut passed, work)| async move {
            let piece: Option<Passed> = passed.recv().await;
            let piece = piece.unwrap_or_else(|| Err(broken(&"it was cut off")))?;
            Ok::<_, io::Error>(piece.map(|piece| (piece, (passed, work))))
        });
        Body::from_stream(pieces)
    }
}

impl Piecewise {
    async fn run(mut self) {
        let ended = self.pass().await.map(|()| None);
        // Who left needs no end.
        let _ = self.to.send(ended).await;
    }

    async fn pass(&mut self) -> io::Result<()> {
        let mut opener = Opener::new(&self.download.blob);
        while let Some(piece) = self.piece().await? {
            for part in piece.chunks(PIECE_BYTES) {
                let mut said = Vec::with_capacity(PIECE_BYTES + HELD_BYTES);
                opener.push(part, &mut said);
                let more = self.cut(said);
                if !more.is_empty() {
                    let ready = std::mem::replace(&mut self.held, more);
                    self.give(ready).await?;
                }
            }
        }
        let mut said = Vec::new();
        opener.finish(&mut said).map_err(|error| broken(&error))?;
        let more = self.cut(said);
        if self.download.length.is_some_and(|length| length != self.seen) {
            return Err(broken(&"it is of another length"));
        }
        let ready = std::mem::replace(&mut self.held, more);
        self.give(ready).await?;
        let last = std::mem::take(&mut self.held);
        self.give(last).await
    }

    async fn give(&self, piece: Vec<u8>) -> io::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        let given = self.to.send(Ok(Some(piece.into()))).await;
        given.map_err(|_| io::ErrorKind::BrokenPipe.into())
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
    tracing::warn!(error = %why, "a download broke off; its reader got a part of it");
    io::Error::other(why.to_string())
}
