//! What phones have sealed: collections of the app state, and files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use whatsapp::binary::Node;
use whatsapp::media::{MAC_BYTES, MediaKey};
use whatsapp::proto::{SyncActionValue, SyncdPatch};
use whatsapp::stanza::media_conn::{MediaAuth, MediaConn, MediaHost};
use whatsapp::syncd::{Macs, State};

use super::phone_state::PhoneChange;
use crate::number::Number;
use crate::refusal::Refusal;

/// Most files; beyond, the oldest go.
const MAX_FILES: usize = 1024;
/// How long the hosts count that clients are told of.
const TTL: Duration = Duration::from_secs(300);
/// For how many seconds the path of an upload says to be good.
const FILES_LIVE: u64 = 28 * 24 * 3600;
/// How long what uploads show does.
const AUTH_TTL: Duration = Duration::from_secs(21_600);

/// A document that somebody sends, sealed.
#[derive(Clone)]
pub struct SentFile {
    /// What it is called.
    pub name: String,
    /// Its type.
    pub mimetype: String,
    /// Its key.
    pub key: [u8; 32],
    /// The sealed file.
    pub sealed: Bytes,
    /// SHA-256 of what it says.
    pub sha256: [u8; 32],
    /// SHA-256 of the sealed file.
    pub enc_sha256: [u8; 32],
    /// The length of what it says.
    pub length: u64,
}

/// A file that a phone has got.
pub(super) struct Kept {
    pub(super) from: Number,
    pub(super) to: Number,
    pub(super) key: MediaKey,
    pub(super) sealed: Bytes,
}

/// The collections of an account.
#[derive(Default)]
pub(super) struct AppState {
    pub(super) collections: BTreeMap<&'static str, Collection>,
}

/// One of them.
pub(super) struct Collection {
    pub(super) state: State,
    pub(super) macs: Macs,
    /// By their numbers, from the first.
    pub(super) patches: Vec<SyncdPatch>,
    /// What of that is there, by its index.
    pub(super) records: BTreeMap<Vec<String>, SyncActionValue>,
    /// Patches, by their places, that are never handed out.
    pub(super) withheld: BTreeSet<usize>,
    /// What the phone does right before the next upload.
    pub(super) before_upload: Vec<PhoneChange>,
}

impl Default for Collection {
    fn default() -> Self {
        Self {
            state: State::NEW,
            macs: Macs::default(),
            patches: Vec::new(),
            records: BTreeMap::new(),
            withheld: BTreeSet::new(),
            before_upload: Vec::new(),
        }
    }
}

/// What a test does to the media host; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaChange {
    /// How many requests for files that are there are refused from now on.
    pub refuse: Option<u32>,
    /// The hosts that clients are told of, maybe with ports; none: they are told nothing.
    pub hosts: Option<Vec<String>>,
    /// How many uploads that are as they should be are refused from now on.
    pub refuse_uploads: Option<u32>,
    /// What uploads show counts no more: clients must ask anew.
    #[serde(default)]
    pub forget_auth: bool,
    /// How many seconds from now on the paths of files that are uploaded say to be good for.
    pub files_live: Option<u64>,
    /// All files that were uploaded are gone.
    #[serde(default)]
    pub drop_uploads: bool,
    /// Whether phones have lost the files that they got: what is asked of them is gone for good.
    pub phones_forget: Option<bool>,
    /// A byte in the middle of every file that was uploaded is another.
    #[serde(default)]
    pub spoil_uploads: bool,
}

/// A file that somebody uploads.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// What it is, as its address says: `image`, `video`…
    pub kind: String,
    /// What is shown to be allowed to.
    pub auth: String,
    /// The hash of the file as its address says it.
    pub token: String,
    /// The file.
    pub file: Bytes,
}

/// The kinds of file that clients upload.
const KINDS: [&str; 4] = ["image", "video", "audio", "document"];
/// The least length of a sealed file: a block and its MAC.
const MIN_FILE_BYTES: usize = 26;

/// Files of the media host, by path.
pub(super) struct Files {
    files: HashMap<String, Bytes>,
    last: usize,
    hosts: Vec<String>,
    /// How many more requests are refused.
    refuses: u32,
    /// How many more uploads are refused.
    upload_refuses: u32,
    /// How often what uploads show was changed.
    auths: u32,
    /// For how long the paths of uploads say to be good.
    live: u64,
    /// The paths of uploads.
    uploaded: Vec<String>,
    /// Whether phones have lost the files that they got.
    pub(super) phones_forget: bool,
}

impl Files {
    /// None, at this host.
    pub(super) fn at(host: String) -> Self {
        Self {
            files: HashMap::new(),
            last: 0,
            hosts: vec![host],
            refuses: 0,
            upload_refuses: 0,
            auths: 0,
            live: FILES_LIVE,
            uploaded: Vec::new(),
            phones_forget: false,
        }
    }

    fn auth(&self) -> String {
        format!("simulated {}/+&", self.auths)
    }

    /// Keeps a file that a client uploads, if it is what its address says and the client shows what it was told to; its path.
    pub(super) fn upload(&mut self, new: NewFile, now: u64) -> Result<String, Refusal> {
        let refused = |status, field: &'static str, problem: &str| Refusal {
            status,
            field: field.into(),
            problem: problem.to_owned(),
        };
        if !KINDS.contains(&new.kind.as_str()) {
            return Err(refused(404, "path", "names no kind of file"));
        }
        if new.auth != self.auth() {
            return Err(refused(
                401,
                "auth",
                "is not what the client was told, or not any more",
            ));
        }
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(&new.file));
        if new.token.trim_end_matches('=') != hash {
            return Err(refused(400, "token", "is not the SHA-256 of the file"));
        }
        if new.file.len() < MIN_FILE_BYTES || !(new.file.len() - MAC_BYTES).is_multiple_of(16) {
            return Err(refused(400, "body", "is no sealed file"));
        }
        if self.upload_refuses > 0 {
            self.upload_refuses -= 1;
            return Err(refused(503, "path", "is refused, as was wished"));
        }
        let path = self.take_in(new.file);
        Ok(format!("{path}?ccb=11-4&oh=01&oe={:X}", now + self.live))
    }

    /// Where files are, as clients are told when they ask.
    pub(super) fn media_conn(&self) -> Option<Node> {
        let hosts = self.hosts.iter().map(|hostname| MediaHost {
            hostname: hostname.clone(),
            fallback: None,
            max_bytes: None,
        });
        let conn = MediaConn {
            auth: MediaAuth::new(self.auth()),
            ttl: TTL,
            auth_ttl: AUTH_TTL,
            hosts: hosts.collect(),
        };
        (!conn.hosts.is_empty()).then(|| conn.to_node())
    }

    /// Keeps a file that somebody uploads; its path.
    pub(super) fn take_in(&mut self, file: Bytes) -> String {
        let path = self.put(file);
        self.uploaded.push(path.clone());
        path
    }

    /// Keeps a file; its path.
    pub(super) fn put(&mut self, file: impl Into<Bytes>) -> String {
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
        self.upload_refuses = change.refuse_uploads.unwrap_or(self.upload_refuses);
        self.auths += u32::from(change.forget_auth);
        self.live = change.files_live.unwrap_or(self.live);
        self.phones_forget = change.phones_forget.unwrap_or(self.phones_forget);
        if change.spoil_uploads {
            for path in &self.uploaded {
                self.files.entry(path.clone()).and_modify(spoil);
            }
        }
        if change.drop_uploads {
            for path in self.uploaded.drain(..) {
                self.files.remove(&path);
            }
        }
        if let Some(hosts) = change.hosts {
            self.hosts = hosts;
        }
    }
}

fn spoil(file: &mut Bytes) {
    let mut spoiled = file.to_vec();
    let middle = spoiled.len() / 2;
    if let Some(byte) = spoiled.get_mut(middle) {
        *byte ^= 1;
    }
    *file = spoiled.into();
}

fn path(number: usize) -> String {
    format!("/media/{number}")
}
