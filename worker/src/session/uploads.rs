//! The files of a session's queues: brought, sealed and uploaded once for all recipients of a queue, beside the sends.
//!
//! Nothing of a queue starts before its file is uploaded and that is written down; other queues go on. A transfer that a
//! crash cut off begins again: nobody was sent to yet. Knows where a file comes from as little as what it says.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use shared::clock::Clock;
use shared::content::{Content, Media, Source};
use shared::id::QueueId;
use shared::metrics::labels::FileDelay;
use shared::store::media;
use shared::store::uploads::{self as store, Facts, Upload as Stored};
use shared::store::{Fence, Store};
use time::OffsetDateTime;
use tokio::time::Instant;
use whatsapp::client::{MediaRoute, Upload, UploadError, Uploaded};
use whatsapp::command::Command;
use whatsapp::event::{MediaConn, QueryError};
use whatsapp::media::MediaKey;

use super::adapter::events::Failure;
use super::attachment::{Attachment, expires_soon};
use super::ballots::Voting;
use super::content::wish;
use super::context::{Context, Exit, Transferred};
use super::link::Link;
use super::meter;
use super::{pages, way};
use crate::media::{FileError, Files, Prepared, Wish};

/// The transfers of one session.
#[derive(Default)]
pub(super) struct Uploads {
    work: HashMap<QueueId, Work>,
    /// Where files go, and until when that counts.
    conn: Option<Box<(MediaConn, Instant)>>,
    /// The question for that which is open.
    asked: Option<u64>,
    tickets: u64,
}

/// One transfer.
struct Work {
    stage: Stage,
    /// How often it came to nothing.
    tries: u32,
}

enum Stage {
    /// A task is at it.
    Busy,
    /// It is not uploaded yet, and waits for the hosts to be named. Nothing is brought before.
    Hosts(Option<Box<Prepared>>),
    /// It is tried again at this moment, with what is kept of it.
    Later(Instant, Option<Box<Prepared>>),
}

impl Uploads {
    /// Begins what can begin, and goes on with what can go on; answers when to look again.
    pub(super) fn advance(&mut self, cx: &mut Context, link: &Link) -> Option<Instant> {
        let wanted = cx.queues.want_files(cx.wall());
        if wanted.is_empty() && self.work.is_empty() || !link.is_open() {
            return None;
        }
        // A queue that was paused or deleted meanwhile: what is under way goes on, the rest is begun anew when it goes on.
        self.work
            .retain(|id, work| matches!(work.stage, Stage::Busy) || wanted.contains(id));
        let (now, mut wake) = (cx.now(), None::<Instant>);
        for id in wanted {
            let Some(Work { stage, tries }) = self.work.remove(&id) else {
                self.begin(cx, id);
                continue;
            };
            match stage {
                Stage::Later(at, kept) if at > now => {
                    wake = Some(wake.map_or(at, |first| first.min(at)));
                    self.put(id, Stage::Later(at, kept), tries);
                }
                Stage::Later(_, kept) | Stage::Hosts(kept) => self.go_on(cx, link, id, (kept, tries)),
                Stage::Busy => self.put(id, Stage::Busy, tries),
            }
        }
        wake
    }

    fn put(&mut self, id: QueueId, stage: Stage, tries: u32) {
        self.work.insert(id, Work { stage, tries });
    }

    /// Looks whether its file is uploaded already.
    fn begin(&mut self, cx: &mut Context, id: QueueId) {
        let (store, wall) = (cx.around.store.clone(), cx.wall());
        self.put(id, Stage::Busy, 0);
        let link = cx.queues.get(id).and_then(|queue| queue.content.link());
        if let Some(link) = link.map(str::to_owned) {
            let (files, fence) = (cx.around.files.clone(), cx.lease.fence());
            return cx.transfer(id, pages::preview(store, fence, id, files, link));
        }
        let vote = cx.queues.get(id).and_then(|queue| queue.content.vote());
        if let Some(vote) = vote.cloned() {
            let voting = Voting {
                store,
                fence: cx.lease.fence(),
                session: cx.record.id,
                owner: cx.record.owner.clone(),
                vote,
                iv: cx.rng.random(),
            };
            return cx.transfer(id, voting.seal(id));
        }
        cx.transfer(id, async move {
            match store::find(&store, id).await {
                Ok(Some(upload)) if !expires_soon(&upload, wall) => Transferred::Stored(Box::new(upload)),
                Ok(_) => Transferred::Missing,
                Err(error) => Transferred::Lost(error),
            }
        });
    }

    /// Brings and uploads a file, if it is known where to; asks for that if not.
    fn go_on(
        &mut self,
        cx: &mut Context,
        link: &Link,
        id: QueueId,
        (kept, tries): (Option<Box<Prepared>>, u32),
    ) {
        let now = cx.now();
        let known = self.conn.as_deref().filter(|(_, until)| now < *until);
        let Some((conn, _)) = known else {
            self.put(id, Stage::Hosts(kept), tries);
            if self.asked.is_none() {
                self.tickets += 1;
                let is_told = link.tell(Command::AskMediaHosts { ticket: self.tickets });
                self.asked = is_told.then_some(self.tickets);
            }
            return;
        };
        let own_way = match way::own(cx) {
            Ok(own_way) => own_way,
            Err(error) => return cx.end(Exit::Lost(error.to_string())),
        };
        let Some(queue) = cx.queues.get(id) else { return };
        let journey = Journey {
            content: Arc::clone(&queue.content),
            key: MediaKey::new(cx.rng.random()),
            files: cx.around.files.clone(),
            store: cx.around.store.clone(),
            route: MediaRoute::new(&cx.around.versions.config(), own_way, conn.clone()),
            clock: cx.around.clock,
        };
        let (store, fence) = (cx.around.store.clone(), cx.lease.fence());
        self.put(id, Stage::Busy, tries);
        cx.transfer(id, async move {
            match journey.make(kept).await {
                Ok(stored) => save(&store, fence, id, stored).await,
                Err(failed) => failed,
            }
        });
    }

    /// A transfer has come a stage further, or to nothing.
    pub(super) fn on_transferred(&mut self, cx: &mut Context, id: QueueId, transferred: Transferred) {
        let tries = self.work.remove(&id).map_or(0, |work| work.tries);
        match transferred {
            Transferred::Missing => self.put(id, Stage::Hosts(None), tries),
            Transferred::Stored(upload) => cx.queues.attach(id, Attachment::Ready(Arc::new(*upload))),
            Transferred::Previewed(found) => {
                cx.queues.attach(id, Attachment::Previewed(found));
            }
            Transferred::Voted(vote) => cx.queues.attach(id, Attachment::Voted(vote)),
            Transferred::NoVote(failure) => cx.queues.attach(id, Attachment::Failed(failure)),
            Transferred::Lost(error) => cx.lose(&error),
            Transferred::NoFile(error)
                if error.is_passing() && (error.is_ours() || tries + 1 < FETCHES_MAX) =>
            {
                tracing::debug!(session.id = %cx.record.id, queue.id = %id, %error, "a file is fetched again");
                meter::file_delayed(FileDelay::Fetch);
                self.again(cx.now(), id, (tries, None));
            }
            Transferred::NoFile(error) => cx
                .queues
                .attach(id, Attachment::Failed(Box::new(failure(&error)))),
            Transferred::NotUploaded(kept, error) => {
                if matches!(error, UploadError::Unauthorized) {
                    self.conn = None;
                }
                match error.is_passing() {
                    true => {
                        tracing::warn!(session.id = %cx.record.id, queue.id = %id, %error, "a file was not uploaded; it is tried again");
                        meter::file_delayed(FileDelay::Upload);
                        self.again(cx.now(), id, (tries, kept));
                    }
                    false => {
                        tracing::warn!(session.id = %cx.record.id, queue.id = %id, %error, "a file can't be uploaded; its recipients fail");
                        let failure = Box::new(not_taken(&error));
                        cx.queues.attach(id, Attachment::Failed(failure));
                    }
                }
            }
        }
    }

    fn again(&mut self, now: Instant, id: QueueId, (tries, kept): (u32, Option<Box<Prepared>>)) {
        let pause = PAUSE.saturating_mul(1 << tries.min(16)).min(PAUSE_MAX);
        self.put(id, Stage::Later(now + pause, kept), tries.saturating_add(1));
    }

    /// The server has named its media hosts, or has not.
    pub(super) fn on_hosts(&mut self, cx: &Context, ticket: u64, result: Result<Box<MediaConn>, QueryError>) {
        if self.asked.take_if(|asked| *asked == ticket).is_none() {
            return;
        }
        let now = cx.now();
        match result {
            Ok(conn) => {
                let until = now + conn.ttl.min(conn.auth_ttl);
                self.conn = Some(Box::new((*conn, until)));
            }
            Err(error) => {
                tracing::debug!(%error, "the server named no media host");
                for work in self.work.values_mut() {
                    if let Stage::Hosts(kept) = &mut work.stage {
                        meter::file_delayed(FileDelay::Hosts);
                        work.stage = Stage::Later(now + PAUSE, kept.take());
                    }
                }
            }
        }
    }

    /// The connection is gone: nobody answers any more.
    pub(super) fn on_disconnected(&mut self) {
        self.asked = None;
    }
}

/// A file on its way from its source to the media hosts. It has one turn for all of it, so that no more of them lie on the
/// disk than have one, but for what is kept.
struct Journey {
    content: Arc<Content>,
    key: MediaKey,
    files: Files,
    store: Store,
    route: MediaRoute,
    clock: Clock,
}

impl Journey {
    async fn make(self, kept: Option<Box<Prepared>>) -> Result<Stored, Transferred> {
        let _turn = self.files.turn().await;
        let prepared = match kept {
            Some(kept) => kept,
            None => Box::new(self.bring().await.map_err(Transferred::NoFile)?),
        };
        let upload = Upload {
            kind: prepared.role.kind(),
            enc_sha256: prepared.seal.enc_sha256,
            length: prepared.sealed_bytes,
            file: &prepared.file,
        };
        match self.route.upload(upload).await {
            Ok(uploaded) => {
                let mut stored = stored(&prepared, uploaded, self.clock.wall());
                if let Some(media) = self.content.media() {
                    told(media, &mut stored.facts);
                }
                Ok(stored)
            }
            Err(error) => Err(Transferred::NotUploaded(self.files.keep(prepared), error)),
        }
    }

    async fn bring(&self) -> Result<Prepared, FileError> {
        let none = || FileError::NotThere("the message names none".to_owned());
        let wish = wish(&self.content).ok_or_else(none)?;
        let Source::Stored(id) = wish.source else {
            return self.files.prepare(wish, self.key.clone()).await;
        };
        let found = media::find(&self.store, id).await;
        let found = found.map_err(|error| FileError::Away(error.to_string()))?;
        let found = found.ok_or_else(FileError::gone)?;
        let wish = Wish {
            mimetype: wish.mimetype.or(found.mimetype.as_deref()),
            ..wish
        };
        self.files.prepare(wish, self.key.clone()).await
    }
}

/// What its caller knows of a file counts more than what was found out.
fn told(media: &Media, facts: &mut Facts) {
    facts.size = media.size().or(facts.size);
    facts.seconds = media.seconds.or(facts.seconds);
    if let Some(jpeg) = media.jpeg() {
        facts.thumbnail = Some(jpeg.into());
    }
}

fn stored(prepared: &Prepared, uploaded: Uploaded, now: OffsetDateTime) -> Stored {
    Stored {
        uploaded_at: now,
        mimetype: prepared.mimetype.clone(),
        as_document: prepared.as_document,
        length: prepared.seal.length,
        facts: prepared.facts.clone(),
        key: *prepared.key.expose(),
        sha256: prepared.seal.sha256,
        enc_sha256: prepared.seal.enc_sha256,
        expires_at: expiry(&uploaded.direct_path),
        direct_path: uploaded.direct_path,
        url: uploaded.url,
    }
}

async fn save(store: &Store, fence: Fence, id: QueueId, mut upload: Stored) -> Transferred {
    // As the database keeps it: what is compared with other times is the same before and after it is read back.
    upload.uploaded_at = upload
        .uploaded_at
        .replace_nanosecond(upload.uploaded_at.microsecond() * 1_000)
        .unwrap_or(upload.uploaded_at);
    match store::save(store, fence, id, &upload).await {
        Ok(()) => Transferred::Stored(Box::new(upload)),
        Err(error) => Transferred::Lost(error),
    }
}

/// When a path is no good any more, as it says itself: seconds since 1970, in hex.
fn expiry(path: &str) -> Option<OffsetDateTime> {
    let (_, query) = path.split_once('?')?;
    let told = query.split('&').find_map(|pair| pair.strip_prefix("oe="))?;
    OffsetDateTime::from_unix_timestamp(i64::from_str_radix(told, 16).ok()?).ok()
}

fn failure(error: &FileError) -> Failure {
    let (status, name) = match error {
        FileError::NotAllowed(_) => (400, "Bad Request"),
        FileError::TooLarge(_) => (413, "Content Too Large"),
        FileError::WrongType { .. } | FileError::Unreadable(_) => (415, "Unsupported Media Type"),
        FileError::NotThere(_) | FileError::Later(_) => (424, "Failed Dependency"),
        FileError::Away(_) | FileError::Disk(_) => (503, "Service Unavailable"),
    };
    Failure {
        status,
        error: name,
        words: error.to_string(),
    }
}

fn not_taken(error: &UploadError) -> Failure {
    let (status, name) = match error {
        UploadError::TooLarge => (413, "Content Too Large"),
        UploadError::File(_) => (503, "Service Unavailable"),
        _ => (502, "Bad Gateway"),
    };
    Failure {
        status,
        error: name,
        words: error.to_string(),
    }
}

/// How often a file is fetched that its host does not give for now.
const FETCHES_MAX: u32 = 4;
/// How long is waited before a transfer is tried again; doubled each time.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest that is waited.
const PAUSE_MAX: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_until_when_it_is_good() {
        let at = |path| expiry(path).map(OffsetDateTime::unix_timestamp);
        assert_eq!(at("/v/1.enc?ccb=11-4&oh=01&oe=62C749F1"), Some(0x62C7_49F1));
        assert_eq!(at("/v/1.enc?ccb=11-4"), None);
        assert_eq!(at("/v/1.enc?oe=zz"), None);
        assert_eq!(at("/v/1"), None);
    }
}
