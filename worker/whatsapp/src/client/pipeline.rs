//! The store at work: one request at a time, started here and awaited while other things happen.

use std::{
    future::{Future, pending},
    mem,
    pin::Pin,
    time::Duration,
};

use bytes::Bytes;

use crate::{
    connection::{CloseReason, Listing, Step},
    event::Event,
    store::{KeyStore, RecordKey, StoreError},
};

/// The store and what it is busy with. Loads see every earlier commit, because nothing overlaps.
pub(super) struct Pipeline<S> {
    state: State<S>,
}

enum State<S> {
    Idle(S),
    Busy(Work<S>),
    /// A request failed or was dropped with its future; what is stored is unknown here.
    Lost,
}

type Work<S> = Pin<Box<dyn Future<Output = (S, Result<Done, StoreError>)> + Send>>;

/// What the store did.
pub(super) enum Done {
    /// A step is durable: its frames may leave now.
    Committed {
        frames: Vec<Bytes>,
        close: Option<CloseReason>,
    },
    /// The values of records, in the order asked.
    Loaded(Vec<Option<Bytes>>),
    /// The names of records, in their order.
    Listed(Vec<Vec<u8>>),
}

impl<S: KeyStore> Pipeline<S> {
    pub(super) fn new(store: S) -> Self {
        Self {
            state: State::Idle(store),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle(_))
    }

    /// Begins to commit a step. Only while idle.
    /// The protocol worked on it for so long.
    pub(super) fn commit(&mut self, step: Step, took: Duration) {
        self.start(|mut store| async move {
            let Step {
                changes,
                events,
                frames,
                close,
            } = step;
            store.made(&events, took);
            let result = store.commit(changes, events).await;
            (store, result.map(|()| Done::Committed { frames, close }))
        });
    }

    /// Begins to load records. Only while idle.
    pub(super) fn load(&mut self, keys: Vec<RecordKey>) {
        self.start(|mut store| async move {
            let result = store.load(keys).await;
            (store, result.map(Done::Loaded))
        });
    }

    /// Begins to list names of records. Only while idle.
    pub(super) fn list(&mut self, listing: Listing) {
        self.start(|mut store| async move {
            let Listing { kind, after, most } = listing;
            let result = store.names(kind, after, most).await;
            (store, result.map(Done::Listed))
        });
    }

    /// Waits for what was begun; for ever while idle. Dropping the wait does not drop the work.
    pub(super) async fn done(&mut self) -> Result<Done, StoreError> {
        let State::Busy(work) = &mut self.state else {
            return pending().await;
        };
        let (store, result) = work.as_mut().await;
        self.state = if result.is_ok() {
            State::Idle(store)
        } else {
            State::Lost
        };
        result
    }

    /// Makes one event durable on its own, after what was begun before.
    pub(super) async fn tell(&mut self, event: Event) -> Result<(), StoreError> {
        let events = vec![event];
        self.commit(
            Step {
                events,
                ..Step::default()
            },
            Duration::ZERO,
        );
        self.done().await.map(|_| ())
    }

    fn start<F>(&mut self, work: impl FnOnce(S) -> F)
    where
        F: Future<Output = (S, Result<Done, StoreError>)> + Send + 'static,
    {
        match mem::replace(&mut self.state, State::Lost) {
            State::Idle(store) => self.state = State::Busy(Box::pin(work(store))),
            other => {
                debug_assert!(false, "one request at a time");
                self.state = other;
            }
        }
    }
}
