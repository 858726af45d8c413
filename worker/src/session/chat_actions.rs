//! Jobs that change what the account's devices agree on: chats, contacts, labels, the account's own name.
//!
//! One at a time, so that they keep their order. A job is settled when WhatsApp has taken it, with what is told of it in the
//! same write: if the worker is lost before that, it comes again, and what is done twice is as if it was done once. While the
//! session connects it waits, for a while.

use std::collections::VecDeque;
use std::time::Duration;

use shared::job::{FailureCode, Job, ProfileJob};
use shared::store::StoreError;
use shared::store::chats::{ChatRecord, listing};
use tokio::time::Instant;
use whatsapp::command::Command;
use whatsapp::event::QueryError;
use whatsapp::sync_action::request::SyncRequest;

use super::adapter::chat_actions::{failure, request};
use super::context::{Context, Fetched};
use super::link::Link;
use crate::job::pending::{PendingJob, Stage};

/// The jobs of one session, oldest first.
#[derive(Default)]
pub(super) struct ChatActions {
    tickets: u64,
    waiting: VecDeque<Waiting>,
    /// The first is under way, under this ticket.
    under_way: Option<u64>,
}

struct Waiting {
    job: Box<PendingJob>,
    /// When it is given up.
    until: Instant,
    /// How often WhatsApp was asked.
    tries: u32,
}

impl ChatActions {
    /// Takes a job.
    pub(super) fn take(&mut self, cx: &mut Context, job: Box<PendingJob>) {
        if cx.record.paired_at.is_none() || !cx.record.wanted {
            return cx.refuse(job, FailureCode::NotConnected, NOT_CONNECTED);
        }
        if self.waiting.len() >= WAITING_MAX {
            let words = "too many changes of chats wait already";
            return cx.refuse(job, FailureCode::Busy, words);
        }
        self.waiting.push_back(Waiting {
            job,
            until: cx.now() + PATIENCE,
            tries: 0,
        });
    }

    /// Begins with the next, if it may; answers when to look again.
    pub(super) fn advance(&mut self, cx: &mut Context, link: &Link) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        let is_over = cx.record.paired_at.is_none() || !cx.record.wanted;
        let now = cx.now();
        while let Some(first) = self.waiting.front()
            && (is_over || first.until <= now)
        {
            match first.tries {
                0 => self.give_up(cx, FailureCode::NotConnected, NOT_CONNECTED),
                _ => self.give_up(cx, FailureCode::Timeout, "WhatsApp did not answer in time"),
            }
        }
        if self.under_way.is_none() && link.is_open() && !cx.is_leaving() {
            self.begin(cx);
        }
        self.waiting.front().map(|first| first.until)
    }

    /// Reads what is kept of the chat: what is done to a chat is done up to its newest message.
    fn begin(&mut self, cx: &mut Context) {
        let Some(first) = self.waiting.front() else { return };
        let chat = match &first.job.stage {
            Stage::Read(Job::Chat(asked)) => asked.chat.as_ref().map(|chat| chat.jid()),
            _ => None,
        };
        let ticket = self.tickets;
        self.tickets += 1;
        self.under_way = Some(ticket);
        let (store, session) = (cx.around.store.clone(), cx.record.id);
        cx.fetch(async move {
            let found = match chat {
                Some(jid) => listing::find(&store, session, &jid).await,
                None => Ok(None),
            };
            Fetched::Chat(ticket, found.map(|chat| chat.map(Box::new)))
        });
    }

    /// It is known what is kept of the chat.
    pub(super) fn on_found(
        &mut self,
        cx: &mut Context,
        link: &Link,
        ticket: u64,
        found: Result<Option<Box<ChatRecord>>, StoreError>,
    ) -> Result<(), StoreError> {
        let found = found?;
        if self.under_way != Some(ticket) {
            return Ok(());
        }
        let Some(first) = self.waiting.front_mut() else {
            return Ok(());
        };
        let wanted = match &first.job.stage {
            Stage::Read(Job::Chat(asked)) => request(asked, found.as_deref()),
            Stage::Read(Job::Profile(asked)) => of_profile(asked),
            _ => None,
        };
        let Some(wanted) = wanted else {
            self.give_up(cx, FailureCode::InvalidJob, "a field is missing");
            return Ok(());
        };
        first.tries += 1;
        let request = Box::new(wanted);
        if !link.tell(Command::Sync { ticket, request }) {
            // There is no connection any more, or it has too much to do: at the next look.
            self.under_way = None;
        }
        Ok(())
    }

    /// WhatsApp has taken it, or not. What it made is in the write that gathers.
    pub(super) fn on_answer(&mut self, cx: &mut Context, ticket: u64, result: Result<(), QueryError>) {
        if self.under_way != Some(ticket) {
            return;
        }
        match result {
            Ok(()) => {
                self.under_way = None;
                if let Some(Waiting { job, .. }) = self.waiting.pop_front() {
                    cx.answer_when_durable(job, None);
                }
            }
            Err(error) => self.on_failure(cx, &error),
        }
    }

    fn on_failure(&mut self, cx: &mut Context, error: &QueryError) {
        self.under_way = None;
        let tries = self.waiting.front().map_or(TRIES_MAX, |first| first.tries);
        let may_repeat = matches!(error, QueryError::NotConnected | QueryError::TimedOut);
        if !may_repeat || tries >= TRIES_MAX {
            let (code, words) = failure(error);
            self.give_up(cx, code, &words);
        }
    }

    fn give_up(&mut self, cx: &mut Context, code: FailureCode, words: &str) {
        self.under_way = None;
        if let Some(Waiting { job, .. }) = self.waiting.pop_front() {
            cx.refuse(job, code, words);
        }
    }

    /// The connection is gone: what was under way is asked again on the next.
    pub(super) fn on_disconnected(&mut self) {
        self.under_way = None;
    }
}

fn of_profile(asked: &ProfileJob) -> Option<SyncRequest> {
    asked.text.clone().map(SyncRequest::PushName)
}

/// Jobs of one session that wait.
const WAITING_MAX: usize = 32;
/// How long a job waits for a connection and for WhatsApp. The broker takes one back that is not settled in half an hour.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often WhatsApp is asked for the same.
const TRIES_MAX: u32 = 5;
const NOT_CONNECTED: &str = "the session is not connected";
