//! A folder that goes when its owner does.

use std::path::{Path, PathBuf};

use anyhow::Result;

/// An empty folder of its own.
pub struct Folder(PathBuf);

impl Folder {
    /// Makes it.
    ///
    /// # Errors
    /// When the system's temporary folder takes none.
    pub fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("fanfare-test-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
