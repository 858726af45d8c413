//! Which numbers have an account, for the owner.

use std::fmt;

use compact_str::format_compact;

use super::Op;
use super::directory::Directory;
use super::resolution;
use crate::binary::Node;
use crate::connection::Context;
use crate::event::{Event, QueryError, Registration};
use crate::stanza::usync::{MAX_USERS, Protocols, Purpose, Query, Subject, UserAnswer};

/// A question of the owner, answered query by query if it names many numbers.
pub(crate) struct Lookup {
    ticket: u64,
    asked: Vec<String>,
    rest: Vec<String>,
    answered: Vec<Registration>,
}

/// Numbers are counted, not printed.
impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup")
            .field("ticket", &self.ticket)
            .field("asked", &self.asked.len())
            .field("rest", &self.rest.len())
            .field("answered", &self.answered.len())
            .finish()
    }
}

impl Lookup {
    /// Asks the server.
    pub(super) fn start(cx: &mut Context<'_>, ticket: u64, numbers: Vec<String>) {
        let capacity = numbers.len();
        Box::new(Self {
            ticket,
            asked: Vec::new(),
            rest: numbers,
            answered: Vec::with_capacity(capacity),
        })
        .ask(cx);
    }

    /// The server has answered, or not.
    pub(super) fn on_reply(
        mut self: Box<Self>,
        cx: &mut Context<'_>,
        directory: &mut Directory,
        reply: Result<Node, QueryError>,
    ) {
        let answer = match resolution::read(reply) {
            Ok(answer) => answer,
            Err(error) => return self.fail(cx, error),
        };
        for number in std::mem::take(&mut self.asked) {
            let found = answer.users.iter().find(|user| is_about(user, &number));
            if let Some((phone, lid)) = found.and_then(|user| user.phone_jid().zip(user.lid_jid())) {
                directory.learn(cx, phone, lid);
            }
            self.answered.push(Registration {
                number,
                jid: found
                    .and_then(|user| user.phone_jid().or(user.jid.as_ref()))
                    .map(|jid| jid.to_bare()),
                lid: found.and_then(UserAnswer::lid_jid).cloned(),
            });
        }
        self.ask(cx);
    }

    /// There will be no answer.
    pub(crate) fn fail(self, cx: &mut Context<'_>, error: QueryError) {
        cx.emit(Event::IsOnWhatsApp {
            ticket: self.ticket,
            result: Err(error),
        });
    }

    fn ask(mut self: Box<Self>, cx: &mut Context<'_>) {
        if self.rest.is_empty() {
            return cx.emit(Event::IsOnWhatsApp {
                ticket: self.ticket,
                result: Ok(self.answered),
            });
        }
        let rest = self.rest.split_off(self.rest.len().min(MAX_USERS));
        self.asked = std::mem::replace(&mut self.rest, rest);
        let query = Query {
            sid: format_compact!("n{}-{}", self.ticket, self.answered.len()),
            purpose: Purpose::Interactive,
            protocols: Protocols {
                contact: true,
                devices: false,
                lid: true,
            },
            subjects: self
                .asked
                .iter()
                .map(|number| Subject::Phone(number.as_str().into()))
                .collect(),
        };
        cx.iq(query.to_node(), Op::IsOnWhatsApp(self));
    }
}

/// Whether the server answers for this number, and it has an account.
fn is_about(user: &UserAnswer, number: &str) -> bool {
    let Some(contact) = user.contact.as_ref().filter(|contact| contact.registered) else {
        return false;
    };
    if contact.asked.is_empty() {
        return user.phone_jid().is_some_and(|jid| jid.user() == number);
    }
    contact.asked == number
}
