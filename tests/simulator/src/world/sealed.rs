//! What phones have sealed: collections of the app state, and files.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use whatsapp::binary::Node;
use whatsapp::proto::SyncdPatch;
use whatsapp::stanza::media_conn::{MediaAuth, MediaConn, MediaHost};
use whatsapp::syncd::{Macs, State};

use crate::refusal::Refusal;

/// Most files; beyond, the oldest go.
const MAX_FILES: usize = 1024;
/// How long the hosts count that clients are told of.
const TTL: Duration = Duration::from_secs(300);
/// How long what uploads show does.
const AUTH_TTL: Duration = Duration::from_secs(21_600);

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

/// What a test does to the media host; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaChange {
    /// How many requests for files that are there are refused from now on.
    pub refuse: Option<u32>,
    /// The hosts that clients are told of, maybe with ports; none: they are told nothing.
    pub hosts: Option<Vec<String>>,
}

/// Files of the media host, by path.
pub(super) struct Files {
    files: HashMap<String, Bytes>,
    last: usize,
    hosts: Vec<String>,
    /// How many more requests are refused.
    refuses: u32,
}

impl Files {
    /// None, at this host.
    pub(super) fn at(host: String) -> Self {
        Self {
            files: HashMap::new(),
            last: 0,
            hosts: vec![host],
            refuses: 0,
        }
    }

    /// Where files are, as clients are told when they ask.
    pub(super) fn media_conn(&self) -> Option<Node> {
        let hosts = self.hosts.iter().map(|hostname| MediaHost {
            hostname: hostname.clone(),
            fallback: None,
            max_bytes: None,
        });
        let conn = MediaConn {
            auth: MediaAuth::new("simulated"),
            ttl: TTL,
            auth_ttl: AUTH_TTL,
            hosts: hosts.collect(),
        };
        (!conn.hosts.is_empty()).then(|| conn.to_node())
    }

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

    /// Changes what is to be changed.
    pub(super) fn change(&mut self, change: MediaChange) {
        self.refuses = change.refuse.unwrap_or(self.refuses);
        if let Some(hosts) = change.hosts {
            self.hosts = hosts;
        }
    }
}

fn path(number: usize) -> String {
    format!("/media/{number}")
}
