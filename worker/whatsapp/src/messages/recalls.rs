//! What is kept of numbers that were resolved once, for the owner.
//!
//! Kept are the pair of a number and its hidden id, wherever it was learned, and under which number a number was found.
//! Both say that it had an account then; that a number has none is never kept.

use crate::e2e::E2e;
use crate::event::{Event, Registration};
use crate::jid::{Jid, Server};
use crate::part::Context;

/// Most questions that wait for the store; of more nothing is said to be kept.
const MAX_RECALLS: usize = 256;

/// The questions that wait for the store.
#[derive(Default)]
pub(super) struct Recalls {
    open: Vec<Recall>,
}

struct Recall {
    ticket: u64,
    number: String,
    /// Who has the number, as far as is known.
    user: Jid,
    /// The store has answered for that name.
    is_read: bool,
}

impl Recalls {
    /// Takes a question of the owner.
    pub(super) fn push(&mut self, cx: &mut Context<'_>, ticket: u64, number: String) {
        match Jid::phone(&number) {
            Ok(user) if self.open.len() < MAX_RECALLS => self.open.push(Recall {
                ticket,
                number,
                user,
                is_read: false,
            }),
            _ => answer(cx, ticket, None),
        }
    }

    /// Answers those that can be, and asks the store for the others.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>, e2e: &mut E2e) {
        if self.open.is_empty() {
            return;
        }
        for recall in &mut self.open {
            recall.take_present(e2e);
        }
        let is_settled = |recall: &mut Recall| recall.is_read || e2e.is_named(cx, &recall.user);
        let settled: Vec<Recall> = self.open.extract_if(.., is_settled).collect();
        for recall in settled {
            let registration = recall.registration(cx, e2e);
            answer(cx, recall.ticket, registration);
        }
        e2e.ask_names(cx, self.open.iter().map(|recall| &recall.user));
    }

    /// The store has answered for the names of these users, sorted.
    pub(super) fn on_names(&mut self, named: &[Jid]) {
        for recall in &mut self.open {
            recall.is_read |= named.binary_search(&recall.user).is_ok();
        }
    }

    /// The connection is over: every question gets an answer.
    pub(super) fn on_closed(&mut self, cx: &mut Context<'_>) {
        for recall in std::mem::take(&mut self.open) {
            answer(cx, recall.ticket, None);
        }
    }
}

impl Recall {
    /// Goes over to the number that the account has now.
    fn take_present(&mut self, e2e: &E2e) {
        if let Some(present) = e2e.directory.present(&self.number)
            && present != self.user.user()
        {
            self.user = Jid::new(present, Server::User);
            self.is_read = false;
        }
    }

    fn registration(&self, cx: &Context<'_>, e2e: &E2e) -> Option<Registration> {
        let was_found = e2e.directory.present(&self.number).is_some() || e2e.is_resolved(cx, &self.user);
        was_found.then(|| Registration {
            number: self.number.clone(),
            jid: Some(self.user.clone()),
            lid: e2e.directory.other_name(&self.user),
        })
    }
}

fn answer(cx: &mut Context<'_>, ticket: u64, registration: Option<Registration>) {
    cx.emit(Event::Recalled { ticket, registration });
}
