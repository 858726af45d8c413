//! The past that the account's phone shares: told and kept as it comes, and asked for where publishers want more of it.
//!
//! What the phone answers with comes like all of the past, whoever asked and whether anybody waits.

use shared::job::{Answer, FailureCode, HistoryAsked, HistoryJob, Job};
use shared::store::StoreError;
use shared::store::chats::oldest::{self, Oldest};
use time::Duration;
use whatsapp::command::Command;
use whatsapp::event::{HistoryNews, HistoryPortion, QueryError};
use whatsapp::message_id::MessageId;

use super::adapter::events::query_failure;
use super::adapter::history::{Keeping, request, told};
use super::context::{Context, Fetched, not_connected};
use super::link::Link;
use super::meter;
use super::questions::Questions;
use crate::job::pending::{PendingJob, Stage, failed};

/// The questions of one session for more of the past.
#[derive(Default)]
pub(super) struct Histories {
    asked: Questions<HistoryJob>,
}

impl Histories {
    /// A portion of the past has come: what it tells and what is kept of it are in the write that gathers, with how far it is.
    pub(super) fn on_news(cx: &mut Context, news: HistoryNews) {
        match &news.portion {
            HistoryPortion::Messages(messages) => meter::recalled(messages.len()),
            HistoryPortion::Refused(_) => meter::history_refused(),
            HistoryPortion::People { .. } | HistoryPortion::Taken(_) => {}
        }
        let told = told(news, &keeping(cx));
        cx.recorder.write.chats.extend(told.chats);
        cx.recorder.write.received.extend(told.files);
        for event in told.events {
            cx.recorder.event(event);
        }
    }

    /// Takes a question.
    pub(super) fn ask(&mut self, cx: &mut Context, link: &Link, job: Box<PendingJob>) {
        let Stage::Read(Job::History(asked)) = &job.stage else {
            return drop(job);
        };
        let asked = asked.clone();
        let reply = job.acknowledge();
        if !link.is_open() {
            return reply.send(not_connected());
        }
        let (store, session) = (cx.around.store.clone(), cx.record.id);
        let chat = asked.chat.as_str().to_owned();
        let Some(ticket) = self.asked.open(reply, asked) else {
            return;
        };
        cx.fetch(async move { Fetched::Oldest(ticket, oldest::of_chat(&store, session, &chat).await) });
    }

    /// The oldest message that is kept of the chat was looked up, or could not be.
    pub(super) fn on_oldest(&mut self, link: &Link, ticket: u64, found: Result<Option<Oldest>, StoreError>) {
        let Some(job) = self.asked.about(ticket) else {
            return;
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the oldest message of a chat is not looked up; who asks for more is told to try again");
                let words = "the database is not available; try again";
                return self.asked.answer(ticket, failed(FailureCode::Internal, words));
            }
        };
        let Some(request) = request(job, found) else {
            let words =
                "no message of this chat is kept: name the one before which messages are wanted, in before";
            return self
                .asked
                .answer(ticket, failed(FailureCode::UnknownMessage, words));
        };
        let request = Box::new(request);
        if !link.tell(Command::AskHistory { ticket, request }) {
            self.asked.answer(ticket, not_connected());
        }
    }

    /// The request has left, or will not.
    pub(super) fn on_asked(&mut self, ticket: u64, result: Result<MessageId, QueryError>) {
        self.asked.answer(
            ticket,
            match result {
                Ok(id) => Answer::History(HistoryAsked {
                    request_id: id.to_string(),
                }),
                Err(error) => query_failure(&error),
            },
        );
    }

    /// The connection is gone: nobody answers any more.
    pub(super) fn on_disconnected(&mut self) {
        self.asked.on_disconnected();
    }
}

fn keeping(cx: &Context) -> Keeping {
    let days = cx.around.versions.config().history.days;
    Keeping {
        token: cx.record.token.clone(),
        now: cx.wall(),
        since: days.map(|days| cx.wall() - Duration::days(i64::from(days))),
        bytes: cx.around.keep_bytes,
        files: cx.around.files.kept_for(),
    }
}
