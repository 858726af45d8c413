//! Hidden ids that servers say are out of date: the present ones are asked for, once per user and connection.
//!
//! Facts: docs/PROTOCOL.md, "LID".

use std::collections::HashSet;

use compact_str::{CompactString, format_compact};

use super::directory::{Directory, is_own};
use super::outcome::{Question, Questions};
use super::resolution::read;
use crate::jid::Jid;
use crate::part::{Answer, Context};
use crate::stanza::usync::{Protocols, Purpose, Query, Subject};

/// Most users that are asked for on one connection; for more the ids stay as they are.
const MAX_ASKED: usize = 256;

#[derive(Default)]
pub(super) struct FreshLids {
    /// The numbers that were asked for.
    asked: HashSet<CompactString>,
}

impl FreshLids {
    /// Asks for the hidden id of a user whose number is known, if that was not done yet. By number: the id is what is in
    /// doubt.
    pub(super) fn ask(
        &mut self,
        cx: &mut Context<'_>,
        questions: &mut Questions,
        directory: &Directory,
        user: &Jid,
    ) {
        let phone = if user.is_user() {
            Some(user.to_bare())
        } else {
            directory.other_name(user)
        };
        let Some(phone) = phone.filter(|phone| !is_own(cx.device, phone)) else {
            return;
        };
        if self.asked.len() >= MAX_ASKED || !self.asked.insert(phone.user().into()) {
            return;
        }
        let query = Query {
            sid: format_compact!("l{}", self.asked.len()),
            purpose: Purpose::Background,
            protocols: Protocols {
                lid: true,
                ..Protocols::default()
            },
            subjects: vec![Subject::User(phone.clone())],
        };
        cx.ask(query.to_node(), questions.open(Question::FreshLid(phone)));
    }
}

/// The server has answered; without an id in the answer the known one stays.
pub(super) fn on_reply(cx: &mut Context<'_>, directory: &mut Directory, phone: &Jid, reply: Answer) {
    let found = read(reply).ok().and_then(|answer| {
        let mut users = answer.users.into_iter();
        users.find(|found| found.jid.as_ref().is_none_or(|jid| jid.same_user(phone)))
    });
    if let Some(lid) = found.and_then(|found| found.lid) {
        directory.learn(cx, phone, &lid);
    }
}
