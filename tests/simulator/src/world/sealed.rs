//! What phones have sealed: collections of the app state, and files.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use whatsapp::proto::SyncdPatch;
use whatsapp::syncd::{Macs, State};

use crate::refusal::Refusal;

/// Most files; beyond, the oldest go.
const MAX_FILES: usize = 1024;

/// The collections of an account.
#[derive(Default)]
pub(super) struct AppState {
    pub(super) collections: BTreeMap<&'static str, Collection>,
}

/// One of them.
pub(super) struct Collection {
    pub(super) state: State,
    pub(super) macs: Macs,
    pub(super) patches: Vec<SyncdPatch>,
}

/// Files of the media host, by path.
#[derive(Default)]
pub(super) struct Files {
    files: HashMap<String, Bytes>,
    last: usize,
    /// How many more requests are refused.
    refuses: u32,
}

impl Files {
    /// Keeps a file; its path.
    pub(super) fn put(&mut self, file: Vec<u8>) -> String {
        self.last += 1;
        self.files.remove(&path(self.last.saturating_sub(MAX_FILES)));
        self.files.insert(path(self.last), file.into());
        path(self.last)
    }

    /// A file that a client asks for.
    pub(super) fn fetch(&mut self, path: &str) -> Result<Bytes, Refusal> {
        let file = self.files.get(path).ok_or_else(|| Refusal::unknown("path"))?;
        if self.refuses == 0 {
            return Ok(file.clone());
        }
        self.refuses -= 1;
        Err(Refusal {
            status: 503,
            field: "path".into(),
            problem: "is refused, as was wished".into(),
        })
    }

    /// Refuses so many requests from now on.
    pub(super) fn refuse(&mut self, count: u32) {
        self.refuses = count;
    }
}

fn path(number: usize) -> String {
    format!("/media/{number}")
}
