//! The columns of files of messages that came in.

use time::OffsetDateTime;
use tokio_postgres::types::ToSql;

use super::change::Write;
use crate::store::received::ReceivedMedia;

/// One entry per file of a batch.
#[derive(Default)]
pub(super) struct ReceivedColumns<'a> {
    sessions: Vec<i64>,
    messages: Vec<&'a str>,
    chats: Vec<&'a str>,
    participants: Vec<Option<&'a str>>,
    from_me: Vec<bool>,
    kinds: Vec<i16>,
    mimetypes: Vec<&'a str>,
    names: Vec<Option<&'a str>>,
    lengths: Vec<Option<i64>>,
    keys: Vec<&'a [u8]>,
    sha256s: Vec<&'a [u8]>,
    enc_sha256s: Vec<&'a [u8]>,
    paths: Vec<&'a str>,
    received: Vec<OffsetDateTime>,
    expire: Vec<OffsetDateTime>,
}

impl<'a> ReceivedColumns<'a> {
    pub(super) fn gather(&mut self, writes: &[&'a Write]) {
        for write in writes {
            for file in &write.received {
                self.push(write.session.get(), file);
            }
        }
    }

    fn push(&mut self, session: i64, file: &'a ReceivedMedia) {
        self.sessions.push(session);
        self.messages.push(file.message.as_str());
        self.chats.push(&file.chat);
        self.participants.push(file.participant.as_deref());
        self.from_me.push(file.from_me);
        self.kinds.push(file.kind.code());
        self.mimetypes.push(&file.mimetype);
        self.names.push(file.file_name.as_deref());
        self.lengths
            .push(file.length.and_then(|length| i64::try_from(length).ok()));
        self.keys.push(&file.key);
        self.sha256s.push(&file.sha256);
        self.enc_sha256s.push(&file.enc_sha256);
        self.paths.push(&file.direct_path);
        self.received.push(file.received_at);
        self.expire.push(file.expires_at);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 15] {
        [
            &self.sessions,
            &self.messages,
            &self.chats,
            &self.participants,
            &self.from_me,
            &self.kinds,
            &self.mimetypes,
            &self.names,
            &self.lengths,
            &self.keys,
            &self.sha256s,
            &self.enc_sha256s,
            &self.paths,
            &self.received,
            &self.expire,
        ]
    }
}
