//! Finding out who is on WhatsApp and has which devices.
//!
//! One query is open at a time; whoever is missing meanwhile goes into the next.

use compact_str::{CompactString, format_compact};
use smallvec::SmallVec;

use super::directory::{DeviceList, Directory, LIST_TTL, SUPPOSED_LIST_TTL, is_own};
use super::outcome::{Question, Questions};
use crate::event::{QueryError, SendError};
use crate::jid::Jid;
use crate::part::{Answer as Reply, Context};
use crate::stanza::usync::{Answer, MAX_USERS, Protocols, Purpose, Query, Subject, UserAnswer};

#[derive(Default)]
pub(super) struct Resolution {
    open: bool,
    queries: u32,
}

impl Resolution {
    /// Asks for the device lists of these users and of ourselves, as far as they are not known, if no query is open.
    /// With each user goes whether it is a number that may have no account.
    pub(super) fn ask<'a>(
        &mut self,
        cx: &mut Context<'_>,
        questions: &mut Questions,
        directory: &Directory,
        wanted: impl Iterator<Item = (&'a Jid, bool)>,
    ) {
        if self.open {
            return;
        }
        let Some(own) = cx.device.jid().map(Jid::to_bare) else {
            return;
        };
        let mut users: SmallVec<[(Jid, bool); 2]> = SmallVec::new();
        let mut wants_any = false;
        for (user, is_number) in wanted {
            wants_any = true;
            if let Some((_, asked_as_number)) = users.iter_mut().find(|(other, _)| other == user) {
                *asked_as_number |= is_number;
                continue;
            }
            // One place is for ourselves.
            let has_room = users.len() + 1 < MAX_USERS;
            let is_missing = directory.devices(user, cx.now).is_none();
            if is_missing && has_room {
                users.push((user.clone(), is_number));
            }
        }
        let is_missing = directory.devices(&own, cx.now).is_none();
        if wants_any && is_missing && !users.iter().any(|(other, _)| *other == own) {
            users.push((own, false));
        }
        if users.is_empty() {
            return;
        }
        self.open = true;
        self.queries = self.queries.wrapping_add(1);
        let subject = |(user, is_number): &(Jid, bool)| match is_number {
            true => Subject::Phone(user.user().into()),
            false => Subject::User(user.clone()),
        };
        let query = Query {
            sid: format_compact!("d{}", self.queries),
            purpose: Purpose::Message,
            protocols: Protocols {
                contact: users.iter().any(|(_, is_number)| *is_number),
                devices: true,
                lid: true,
            },
            subjects: users.iter().map(subject).collect(),
        };
        let ticket = questions.open(Question::Devices(users.into_vec()));
        cx.ask(query.to_node(), ticket);
    }

    /// Takes the answer into the directory; gives those who can't be sent to, and why: without an answer all who were
    /// asked for, and ourselves.
    pub(super) fn on_reply(
        &mut self,
        cx: &mut Context<'_>,
        directory: &mut Directory,
        asked: Vec<(Jid, bool)>,
        reply: Reply,
    ) -> Vec<(Jid, SendError)> {
        self.open = false;
        match read(reply) {
            Ok(answer) => {
                let failure = |(user, is_number): (Jid, bool)| {
                    let failure = take_in(cx, directory, &user, is_number, &answer).err()?;
                    Some((user, failure))
                };
                asked.into_iter().filter_map(failure).collect()
            }
            Err(error) => {
                let users = asked.into_iter().map(|(user, _)| user);
                let users = users.chain(cx.device.jid().map(Jid::to_bare));
                users
                    .map(|user| (user, SendError::Query(error.clone())))
                    .collect()
            }
        }
    }
}

/// The answer to a user query, if it is one.
pub(crate) fn read(reply: Reply) -> Result<Answer, QueryError> {
    let answer = Answer::parse(&reply?).map_err(|_| QueryError::Malformed)?;
    match answer.error {
        Some(code) => Err(QueryError::Refused { code: to_u16(code) }),
        None => Ok(answer),
    }
}

/// Takes what an answer says of one user into the directory.
fn take_in(
    cx: &mut Context<'_>,
    directory: &mut Directory,
    user: &Jid,
    is_number: bool,
    answer: &Answer,
) -> Result<(), SendError> {
    let own = is_own(cx.device, user);
    let found = answer.users.iter().find(|found| is_about(found, user));
    // The verdict on a number says nothing of an address that was not asked for as one.
    let verdict = |found: &UserAnswer| found.contact.as_ref().map(|contact| contact.registered);
    let unregistered = found.is_none_or(|found| is_number && verdict(found) == Some(false));
    let devices = match found.and_then(|found| found.devices.as_ref()) {
        _ if own && found.is_none() => None,
        _ if unregistered && !own => return Err(SendError::NotOnWhatsApp),
        Some(Ok(devices)) => Some(devices),
        _ if own => None,
        Some(Err(code)) => return Err(SendError::Query(QueryError::Refused { code: to_u16(*code) })),
        None => return Err(SendError::NoDevices),
    };
    let phone = found.and_then(UserAnswer::phone_jid).unwrap_or(user);
    if let Some(lid) = found.and_then(UserAnswer::lid_jid) {
        directory.learn(cx, phone, lid);
    }
    let list = match devices {
        Some(devices) => DeviceList {
            jid: if user.is_lid() {
                user.clone()
            } else {
                phone.to_bare()
            },
            devices: devices
                .iter()
                .filter(|device| device.is_valid())
                .map(|device| device.id)
                .collect(),
            expires: cx.now + LIST_TTL,
        },
        // The server says nothing of us: at least the phone is there.
        None => DeviceList {
            jid: user.clone(),
            devices: SmallVec::from_iter([0]),
            expires: cx.now + SUPPOSED_LIST_TTL,
        },
    };
    directory.put_devices(user.clone(), list, cx.now);
    Ok(())
}

fn is_about(answer: &UserAnswer, user: &Jid) -> bool {
    let asked = answer
        .contact
        .as_ref()
        .map(|contact| &contact.asked)
        .filter(|asked| !asked.is_empty());
    let by_number =
        user.is_user() && asked.is_some_and(|asked: &CompactString| asked.as_str() == user.user());
    let named = |jid: &Option<Jid>| jid.as_ref().is_some_and(|jid| jid.same_user(user));
    by_number || named(&answer.jid) || named(&answer.pn) || named(&answer.lid)
}

/// Server codes have three digits.
fn to_u16(code: u32) -> u16 {
    u16::try_from(code).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::testing::Lender;
    use crate::stanza::usync::{Contact, ListedDevice};

    #[test]
    fn a_verdict_on_a_number_says_nothing_of_an_address() {
        let (mut lender, mut directory) = (Lender::new(), Directory::default());
        let user = Jid::phone("15550002").unwrap();
        let phone = ListedDevice {
            id: 0,
            key_index: None,
            hosted: false,
        };
        let found = UserAnswer {
            jid: Some(user.clone()),
            contact: Some(Contact {
                registered: false,
                asked: CompactString::const_new(""),
            }),
            devices: Some(Ok(vec![phone])),
            ..UserAnswer::default()
        };
        let answer = Answer {
            users: vec![found],
            error: None,
        };
        let mut take_in = |is_number| {
            let cx = &mut lender.context();
            take_in(cx, &mut directory, &user, is_number, &answer)
        };
        assert_eq!(take_in(true), Err(SendError::NotOnWhatsApp));
        assert_eq!(take_in(false), Ok(()));
    }
}
