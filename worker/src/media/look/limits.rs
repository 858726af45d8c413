//! How far a file is looked at, and why a picture can't be shown.

/// How much of a file is looked at.
#[derive(Clone, Copy, Debug)]
pub(in crate::media) struct Limits {
    /// Most points of a picture.
    pub(in crate::media) points: u64,
    /// Most bytes that are read.
    pub(in crate::media) bytes: u64,
    /// The longer side of a picture's small copy, in points.
    pub(in crate::media) side: u32,
}

/// Why a picture can't be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// It can't be decoded.
    #[error("it is broken, or of a form that is not read")]
    Broken,
    /// It would take too much memory, here and on phones.
    #[error("it has {found} points, more than {most} (MEDIA_PIXELS)")]
    TooManyPoints { found: u64, most: u64 },
    /// It is too large to be decoded.
    #[error("it has more than {0} bytes (MEDIA_LOOK_BYTES)")]
    TooLong(u64),
    /// It takes too long.
    #[error("it takes too long to be read (MEDIA_LOOK_TIMEOUT)")]
    TooSlow,
    /// This machine's disk.
    #[error(transparent)]
    Disk(#[from] std::io::Error),
}
