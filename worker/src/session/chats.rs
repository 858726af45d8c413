//! Jobs that forget: a chat, or all that is kept of a person.
//!
//! One at a time, so that they keep their order; those that wait are as many as the broker lets a shard have. What the
//! connection has in memory of a person it would write again: it ends before their records go, and begins anew after that.

use std::collections::VecDeque;

use shared::job::{self, Answer, ChatId, FailureCode, Job};
use shared::store::chats::change::Peer;
use shared::store::chats::deletion::{self, Forgotten, Person};
use shared::store::{StoreError, chats};

use super::adapter::people;
use super::context::{Context, Fetched, Forgetting};
use super::link::Link;
use crate::job::outcome::JobOutcome;
use crate::job::pending::{PendingJob, Stage};

/// The jobs of one session that forget, oldest first; the first is being done.
#[derive(Default)]
pub(super) struct Chats {
    open: VecDeque<Box<PendingJob>>,
    /// The person whose records go as soon as the connection has ended.
    ending_for: Option<Vec<String>>,
}

impl Chats {
    /// Takes a job.
    pub(super) fn take(&mut self, cx: &mut Context, job: Box<PendingJob>) {
        self.open.push_back(job);
        if self.open.len() == 1 {
            self.begin(cx);
        }
    }

    fn begin(&mut self, cx: &mut Context) {
        let (store, session, fence) = (cx.around.store.clone(), cx.record.id, cx.lease.fence());
        match self.open.front().map(|job| &job.stage) {
            Some(Stage::Read(Job::ForgetChat(asked))) => {
                let chat = asked.chat.clone();
                cx.fetch(async move {
                    Fetched::Forgetting(
                        async move {
                            let names = names(&store, session, &chat).await?;
                            let forgotten = deletion::forget_chat(&store, fence, session, &names).await?;
                            Ok(Forgetting::Done(forgotten))
                        }
                        .await,
                    )
                });
            }
            Some(Stage::Read(Job::ForgetPerson(asked))) => {
                let jid = asked.person.0.jid();
                cx.fetch(async move { Fetched::Forgetting(look(&store, session, jid).await) });
            }
            _ => {}
        }
    }

    /// The first has come further.
    pub(super) fn on_fetched(
        &mut self,
        cx: &mut Context,
        link: &mut Link,
        outcome: Result<Forgetting, StoreError>,
    ) {
        match outcome {
            Ok(Forgetting::Names(jids)) => {
                self.ending_for = Some(jids);
                link.hold();
                if !link.close() {
                    self.go_on(cx);
                }
            }
            Ok(Forgetting::Awaited(queue)) => {
                let words = format!(
                    "queue {queue} is not finished and has this person among its recipients: delete it, or wait for its end"
                );
                self.finish(cx, link, |cx, job| cx.refuse(job, FailureCode::Conflict, &words));
            }
            Ok(Forgetting::Done(forgotten)) => self.finish(cx, link, |_, job| {
                job.count(JobOutcome::Done);
                job.finish(answer(forgotten));
            }),
            Err(StoreError::Fenced) => cx.lose(&StoreError::Fenced),
            Err(error) => {
                tracing::warn!(session.id = %cx.record.id, %error, "what is to be forgotten waits for the database; its job comes again");
                // Unsettled, the job comes again.
                self.finish(cx, link, |_, job| drop(job));
            }
        }
    }

    /// The connection has ended: the records of the person who waits for that go.
    pub(super) fn go_on(&mut self, cx: &mut Context) {
        let Some(jids) = self.ending_for.take() else {
            return;
        };
        let (store, session, fence) = (cx.around.store.clone(), cx.record.id, cx.lease.fence());
        cx.fetch(async move {
            Fetched::Forgetting(
                async move {
                    let records = people::records(&store, session, &jids).await?;
                    let person = Person { jids, records };
                    let forgotten = deletion::forget_person(&store, fence, session, &person).await?;
                    Ok(Forgetting::Done(forgotten))
                }
                .await,
            )
        });
    }

    fn finish(
        &mut self,
        cx: &mut Context,
        link: &mut Link,
        settle: impl FnOnce(&mut Context, Box<PendingJob>),
    ) {
        link.release(cx);
        if let Some(job) = self.open.pop_front() {
            settle(cx, job);
        }
        self.begin(cx);
    }
}

/// Who a person is, and whether a queue waits for them.
async fn look(
    store: &shared::store::Store,
    session: shared::id::SessionId,
    jid: String,
) -> Result<Forgetting, StoreError> {
    let jids = people::names(store, session, jid).await?;
    let person = Person {
        jids,
        records: Vec::new(),
    };
    Ok(match deletion::unfinished_queue(store, session, &person).await? {
        Some(queue) => Forgetting::Awaited(queue.to_string()),
        None => Forgetting::Names(person.jids),
    })
}

/// The names of a chat.
async fn names(
    store: &shared::store::Store,
    session: shared::id::SessionId,
    chat: &ChatId,
) -> Result<Vec<String>, StoreError> {
    let Peer { jid, lid } = chats::names(store, session, chat.as_str()).await?;
    Ok([Some(jid), lid].into_iter().flatten().collect())
}

fn answer(forgotten: Forgotten) -> Answer {
    let Forgotten {
        messages,
        recipients,
        records,
    } = forgotten;
    Answer::Forgotten(job::Forgotten {
        messages,
        recipients,
        records,
    })
}
