//! Files of messages that came in and are gone from the media hosts: our phone is asked for them as publishers wish.
//!
//! What the phone answers is written down before the publisher is told.

use shared::job::{FailureCode, Job, MediaRefreshJob};
use shared::store::StoreError;
use shared::store::received::{self, ReceivedMedia};
use whatsapp::command::Command;
use whatsapp::event::MediaRetryError;

use super::adapter::events::query_failure;
use super::adapter::received::retry;
use super::context::{Context, Fetched, not_connected};
use super::link::Link;
use super::questions::Questions;
use crate::job::pending::{PendingJob, Stage, done, failed};

/// The questions of one session that have no answer yet.
#[derive(Default)]
pub(super) struct MediaRetries {
    /// With the file, which is known from when it was looked up.
    asked: Questions<Option<Box<ReceivedMedia>>>,
}

impl MediaRetries {
    /// Takes a question.
    pub(super) fn ask(&mut self, cx: &mut Context, link: &Link, job: Box<PendingJob>) {
        let Stage::Read(Job::MediaRefresh(MediaRefreshJob { message_id })) = &job.stage else {
            return drop(job);
        };
        let message = message_id.clone();
        let reply = job.acknowledge();
        if !link.is_open() {
            return reply.send(not_connected());
        }
        let Some(ticket) = self.asked.open(reply, None) else {
            return;
        };
        let (store, session) = (cx.around.store.clone(), cx.record.id);
        cx.fetch(async move {
            let found = received::find(&store, session, &message).await;
            Fetched::Received(ticket, found.map(|found| found.map(Box::new)))
        });
    }

    /// The message was looked up, or could not be, which costs its question alone.
    pub(super) fn on_found(
        &mut self,
        link: &Link,
        ticket: u64,
        found: Result<Option<Box<ReceivedMedia>>, StoreError>,
    ) {
        let Some(file) = self.asked.about(ticket) else {
            return;
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "a file that came in is not looked up; who asks for it is told to try again");
                let words = "the database is not available; try again";
                return self.asked.answer(ticket, failed(FailureCode::Internal, words));
            }
        };
        let retry = found.as_deref().and_then(retry).map(Box::new);
        *file = found;
        let Some(retry) = retry else {
            let words = "no message with a file that came in has this id, or not any more";
            return self
                .asked
                .answer(ticket, failed(FailureCode::UnknownMessage, words));
        };
        if !link.tell(Command::AskMediaRetry { ticket, retry }) {
            self.asked.answer(ticket, not_connected());
        }
    }

    /// The phone has answered, or has not.
    pub(super) fn on_answer(
        &mut self,
        cx: &mut Context,
        ticket: u64,
        result: Result<String, MediaRetryError>,
    ) {
        let path = match result {
            Ok(path) => path,
            Err(MediaRetryError::Query(error)) => return self.asked.answer(ticket, query_failure(&error)),
            Err(error @ MediaRetryError::NotFound) => {
                return self
                    .asked
                    .answer(ticket, failed(FailureCode::Gone, &error.to_string()));
            }
            Err(error @ MediaRetryError::Failed) => {
                return self
                    .asked
                    .answer(ticket, failed(FailureCode::Refused, &error.to_string()));
            }
        };
        let Some(file) = self.asked.about(ticket).and_then(Option::take) else {
            return;
        };
        let (store, fence, session) = (cx.around.store.clone(), cx.lease.fence(), cx.record.id);
        cx.fetch(async move {
            let moved = received::moved(&store, fence, session, &file, &path).await;
            Fetched::Moved(ticket, moved)
        });
    }

    /// It is written down where the file is now.
    ///
    /// # Errors
    /// That of the write: what is in memory can't be trusted.
    pub(super) fn on_moved(&mut self, ticket: u64, moved: Result<(), StoreError>) -> Result<(), StoreError> {
        moved?;
        self.asked.answer(ticket, done(None));
        Ok(())
    }

    /// The connection is gone: nobody answers any more.
    pub(super) fn on_disconnected(&mut self) {
        self.asked.on_disconnected();
    }
}
