//! A file as its readers get it: no more of it than they may read, and nothing from when they are asked to stop.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use symphonia::core::io::MediaSource;

/// Asks a reader to stop. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(in crate::media) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(in crate::media) fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A file from its beginning.
pub(super) struct Source {
    file: File,
    length: u64,
    /// Bytes that may still be read.
    left: u64,
    stop: Stop,
}

impl Source {
    pub(super) fn new(mut file: File, most: u64, stop: Stop) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let length = file.metadata()?.len();
        Ok(Self {
            file,
            length,
            left: most,
            stop,
        })
    }

    /// How long the file is, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_asked() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if self.left == 0 && !into.is_empty() {
            return Err(io::Error::other("no more of it may be read"));
        }
        let most = usize::try_from(self.left).map_or(into.len(), |left| left.min(into.len()));
        let read = self.file.read(&mut into[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}
