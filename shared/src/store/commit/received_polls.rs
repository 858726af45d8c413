//! The columns of polls that came in.

use time::OffsetDateTime;
use tokio_postgres::types::{Json, ToSql};

use super::change::Write;

/// One entry per poll of a batch.
#[derive(Default)]
pub(super) struct PollColumns<'a> {
    sessions: Vec<i64>,
    messages: Vec<&'a str>,
    chats: Vec<&'a str>,
    creators: Vec<&'a str>,
    secrets: Vec<&'a [u8]>,
    options: Vec<Json<&'a [String]>>,
    selectable: Vec<i32>,
    received: Vec<OffsetDateTime>,
    expire: Vec<OffsetDateTime>,
}

impl<'a> PollColumns<'a> {
    pub(super) fn gather(&mut self, writes: &[&'a Write]) {
        for write in writes {
            for poll in &write.polls {
                self.sessions.push(write.session.get());
                self.messages.push(poll.message.as_str());
                self.chats.push(&poll.chat);
                self.creators.push(&poll.creator);
                self.secrets.push(&poll.secret);
                self.options.push(Json(&poll.options));
                let selectable = i32::try_from(poll.selectable);
                self.selectable.push(selectable.unwrap_or_default());
                self.received.push(poll.received_at);
                self.expire.push(poll.expires_at);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 9] {
        [
            &self.sessions,
            &self.messages,
            &self.chats,
            &self.creators,
            &self.secrets,
            &self.options,
            &self.selectable,
            &self.received,
            &self.expire,
        ]
    }
}
