//! Which numbers have an account, for the owner.

use compact_str::format_compact;

use crate::binary::Node;
use crate::e2e::{self, Directory};
use crate::event::{Event, QueryError, Registration};
use crate::jid::Jid;
use crate::part::{Answer, Context};
use crate::stanza::usync::{MAX_USERS, Protocols, Purpose, Query, Subject, UserAnswer};

/// A question of the owner, answered query by query if it names many numbers.
pub(super) struct Lookup {
    ticket: u64,
    asked: Vec<String>,
    rest: Vec<String>,
    answered: Vec<Registration>,
}

impl Lookup {
    /// Nothing is asked yet.
    pub(super) fn new(ticket: u64, numbers: Vec<String>) -> Self {
        Self {
            ticket,
            asked: Vec::new(),
            answered: Vec::with_capacity(numbers.len()),
            rest: numbers,
        }
    }

    /// The next question for the server; none if all numbers are answered for.
    pub(super) fn next_query(&mut self) -> Option<Node> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = self.rest.split_off(self.rest.len().min(MAX_USERS));
        self.asked = std::mem::replace(&mut self.rest, rest);
        let phone = |number: &String| Subject::Phone(number.as_str().into());
        let query = Query {
            sid: format_compact!("n{}-{}", self.ticket, self.answered.len()),
            purpose: Purpose::Interactive,
            protocols: Protocols {
                contact: true,
                devices: false,
                lid: true,
            },
            subjects: self.asked.iter().map(phone).collect(),
        };
        Some(query.to_node())
    }

    /// Takes the server's answer.
    ///
    /// # Errors
    /// If there is none: the owner is to be told.
    pub(super) fn on_reply(
        &mut self,
        cx: &mut Context<'_>,
        directory: &mut Directory,
        reply: Answer,
    ) -> Result<(), QueryError> {
        let answer = e2e::read_users(reply)?;
        for number in std::mem::take(&mut self.asked) {
            let found = answer.users.iter().find(|user| is_about(user, &number));
            if let (Some(found), Ok(phone)) = (found, Jid::phone(&number)) {
                e2e::learn_found(cx, directory, phone, found);
            }
            self.answered.push(Registration {
                number,
                jid: found
                    .and_then(|user| user.phone_jid().or(user.jid.as_ref()))
                    .map(|jid| jid.to_bare()),
                lid: found.and_then(UserAnswer::lid_jid).cloned(),
            });
        }
        Ok(())
    }

    /// Answers the owner: with all that the server said, or with why there is nothing.
    pub(super) fn finish(self, cx: &mut Context<'_>, result: Result<(), QueryError>) {
        cx.emit(Event::IsOnWhatsApp {
            ticket: self.ticket,
            result: result.map(|()| self.answered),
        });
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
