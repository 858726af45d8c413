//! Finding out who is on WhatsApp and has which devices.
//!
//! One query is open at a time; whoever is missing meanwhile goes into the next. A number that is known to have an account
//! is asked for by its address: look-ups of numbers are what servers allow an account only so often.

use compact_str::{CompactString, format_compact};
use smallvec::SmallVec;

use super::addressing::Addressing;
use super::directory::{Directory, is_own};
use super::lists::{DeviceList, LIST_TTL, SUPPOSED_LIST_TTL};
use super::outcome::{AskedFor, By, Question, Questions};
use crate::event::{QueryError, SendError};
use crate::jid::{Jid, Server};
use crate::part::{Answer as Reply, Context};
use crate::stanza::usync::{Answer, ListedDevice, MAX_USERS, Protocols, Purpose, Query, Subject, UserAnswer};

#[derive(Default)]
pub(super) struct Resolution {
    open: bool,
    queries: u32,
    /// Users whose list by number was empty: they are asked for by hidden id next.
    empty: Vec<Jid>,
}

/// What is known of everybody, to be asked and added to.
pub(super) struct Known<'a> {
    pub(super) directory: &'a mut Directory,
    pub(super) addressing: &'a Addressing,
}

impl Resolution {
    /// Asks for the device lists of these users and of ourselves, as far as they are not known, if no query is open.
    /// With each user goes whether it is a number that may have no account.
    pub(super) fn ask<'a>(
        &mut self,
        cx: &mut Context<'_>,
        questions: &mut Questions,
        known: &Known<'_>,
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
            let is_missing = known.directory.devices(cx.device, user, cx.now).is_none();
            if is_missing && has_room && !is_own(cx.device, user) {
                users.push((user.clone(), is_number));
            }
        }
        let is_missing = known.directory.devices(cx.device, &own, cx.now).is_none();
        if wants_any && is_missing {
            users.push((own, false));
        }
        if users.is_empty() {
            return;
        }
        self.open = true;
        self.queries = self.queries.wrapping_add(1);
        let asked = users.into_iter().map(|(user, is_number)| AskedFor {
            by: self.by(cx, known, &user, is_number),
            user,
        });
        let asked: Vec<AskedFor> = asked.collect();
        let query = query(self.queries, &asked);
        let ticket = questions.open(Question::Devices(asked));
        cx.ask(query.to_node(), ticket);
    }

    /// How a user is asked for.
    fn by(&self, cx: &Context<'_>, known: &Known<'_>, user: &Jid, is_number: bool) -> By {
        if is_number && !known.directory.is_resolved(cx.device, user, cx.now) {
            return By::Number;
        }
        if self.empty.contains(user)
            && let Some(lid) = known.directory.other_name(user).filter(Jid::is_lid)
        {
            return By::Name(lid);
        }
        By::Name(known.addressing.chat(cx.device, known.directory, user))
    }

    /// Takes the answer into the directory; gives those who can't be sent to, and why: without an answer all who were
    /// asked for, and ourselves.
    pub(super) fn on_reply(
        &mut self,
        cx: &mut Context<'_>,
        known: &mut Known<'_>,
        asked: Vec<AskedFor>,
        reply: Reply,
    ) -> Vec<(Jid, SendError)> {
        self.open = false;
        let answer = match read(reply) {
            Ok(answer) => answer,
            Err(error) => {
                let users = asked.into_iter().map(|asked| asked.user);
                let users = users.chain(cx.device.jid().map(Jid::to_bare));
                return users
                    .map(|user| (user, SendError::Query(error.clone())))
                    .collect();
            }
        };
        let mut failed = Vec::new();
        for asked in asked {
            self.empty.retain(|user| *user != asked.user);
            match take_in(cx, known.directory, &asked, &answer) {
                Ok(()) => {}
                // Servers give no devices by number for some accounts that are addressed by hidden id.
                Err(SendError::NoDevices) if may_ask_by_lid(known.directory, &asked) => {
                    self.empty.push(asked.user);
                }
                Err(error) => failed.push((asked.user, error)),
            }
        }
        // Whoever wanted them may be gone.
        self.empty.truncate(MAX_USERS);
        failed
    }
}

/// Whether a user who has no devices by number can be asked for by hidden id.
fn may_ask_by_lid(directory: &Directory, asked: &AskedFor) -> bool {
    let by_lid = matches!(&asked.by, By::Name(name) if name.is_lid());
    !by_lid && asked.user.is_user() && directory.other_name(&asked.user).is_some()
}

fn query(number: u32, asked: &[AskedFor]) -> Query {
    let subject = |asked: &AskedFor| match &asked.by {
        By::Number => Subject::Phone(asked.user.user().into()),
        By::Name(name) => Subject::User(name.clone()),
    };
    Query {
        sid: format_compact!("d{number}"),
        purpose: Purpose::Message,
        protocols: Protocols {
            contact: asked.iter().any(|asked| asked.by == By::Number),
            devices: true,
            lid: true,
        },
        subjects: asked.iter().map(subject).collect(),
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

/// Takes what an answer says of one user into the directory: names, and the devices if there are any. An empty list is
/// never kept.
fn take_in(
    cx: &mut Context<'_>,
    directory: &mut Directory,
    asked: &AskedFor,
    answer: &Answer,
) -> Result<(), SendError> {
    let own = is_own(cx.device, &asked.user);
    let name = match &asked.by {
        By::Number => &asked.user,
        By::Name(name) => name,
    };
    let found = answer.users.iter().find(|found| is_about(found, name));
    // The verdict on a number says nothing of an address that was not asked for as one.
    let is_out = |found: &UserAnswer| found.contact.as_ref().is_some_and(|contact| !contact.registered);
    let unregistered = found.is_none_or(|found| asked.by == By::Number && is_out(found));
    if unregistered && !own {
        return Err(SendError::NotOnWhatsApp);
    }
    if let Some(found) = found.filter(|_| !own) {
        learn_names(cx, directory, asked, found);
    }
    let listed: &[ListedDevice] = match found.and_then(|found| found.devices.as_ref()) {
        Some(Ok(devices)) => devices,
        Some(Err(code)) if !own => {
            return Err(SendError::Query(QueryError::Refused { code: to_u16(*code) }));
        }
        _ => &[],
    };
    let valid = listed.iter().filter(|device| device.is_valid());
    let devices: SmallVec<[u16; 4]> = valid.map(|device| device.id).collect();
    let list = match devices.is_empty() {
        false => DeviceList {
            devices,
            expires: cx.now + LIST_TTL,
        },
        true if !own => return Err(SendError::NoDevices),
        // The server says nothing of us: at least the phone is there.
        true => DeviceList {
            devices: SmallVec::from_iter([0]),
            expires: cx.now + SUPPOSED_LIST_TTL,
        },
    };
    let present = directory
        .present(asked.user.user())
        .filter(|_| asked.user.is_user());
    let user = match present {
        Some(present) => Jid::new(present, Server::User),
        None => asked.user.clone(),
    };
    directory.put_devices(cx.device, &user, list, cx.now);
    Ok(())
}

/// Learns what a look-up of a number found, whoever asked for it.
pub(crate) fn learn_found(cx: &mut Context<'_>, directory: &mut Directory, number: Jid, found: &UserAnswer) {
    let asked = AskedFor {
        user: number,
        by: By::Number,
    };
    learn_names(cx, directory, &asked, found);
}

/// Learns the names in an answer; and of a number that was asked for, that it has an account, under which number.
fn learn_names(cx: &mut Context<'_>, directory: &mut Directory, asked: &AskedFor, found: &UserAnswer) {
    let phone = found.phone_jid().unwrap_or(&asked.user);
    let lid = found.lid_jid();
    if let Some(lid) = lid {
        directory.learn(cx, phone, lid);
    }
    // Who is asked for by hidden id may have left the number to somebody else.
    let by_phone = asked.user.is_user() && !matches!(&asked.by, By::Name(name) if name.is_lid());
    let is_same = phone.same_user(&asked.user);
    // The pair of the number and its hidden id says as much.
    let says_nothing = is_same && (lid.is_some() || asked.by != By::Number);
    if by_phone && !says_nothing {
        directory.learn_present(cx, asked.user.user(), phone.user());
    }
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
    use crate::stanza::usync::Contact;

    fn phone() -> Jid {
        Jid::phone("15550002").unwrap()
    }

    fn lid() -> Jid {
        "100000000000002@lid".parse().unwrap()
    }

    fn found(devices: &[u16]) -> UserAnswer {
        let listed = |id: &u16| ListedDevice {
            id: *id,
            key_index: Some(1),
            hosted: false,
        };
        UserAnswer {
            jid: Some(phone()),
            devices: Some(Ok(devices.iter().map(listed).collect())),
            ..UserAnswer::default()
        }
    }

    fn take(directory: &mut Directory, by: By, found: UserAnswer) -> Result<(), SendError> {
        let answer = Answer {
            users: vec![found],
            error: None,
        };
        let asked = AskedFor { user: phone(), by };
        take_in(&mut Lender::new().context(), directory, &asked, &answer)
    }

    #[test]
    fn a_verdict_on_a_number_says_nothing_of_an_address() {
        let mut directory = Directory::default();
        let out = UserAnswer {
            contact: Some(Contact {
                registered: false,
                asked: CompactString::const_new(""),
            }),
            ..found(&[0])
        };
        let verdict = take(&mut directory, By::Number, out.clone());
        assert_eq!(verdict, Err(SendError::NotOnWhatsApp));
        assert_eq!(take(&mut directory, By::Name(phone()), out), Ok(()));
    }

    #[test]
    fn an_empty_list_is_not_kept_and_is_asked_for_by_hidden_id() {
        let (mut lender, mut directory, addressing) =
            (Lender::new(), Directory::default(), Addressing::default());
        let mut resolution = Resolution::default();
        let mut reply = |directory: &mut Directory, by: By, lid: Option<Jid>| {
            let jid = match &by {
                By::Number => phone(),
                By::Name(name) => name.clone(),
            };
            let user = UserAnswer {
                jid: Some(jid),
                lid,
                ..found(&[])
            };
            let answer = Answer {
                users: vec![user],
                error: None,
            };
            let asked = AskedFor { user: phone(), by };
            let node = answer.to_node(&query(1, std::slice::from_ref(&asked)));
            let cx = &mut lender.context();
            let mut known = Known {
                directory,
                addressing: &addressing,
            };
            let failed = resolution.on_reply(cx, &mut known, vec![asked], Ok(node));
            let is_by_lid = resolution.by(cx, &known, &phone(), true) == By::Name(self::lid());
            (failed, is_by_lid)
        };
        let nobody = vec![(phone(), SendError::NoDevices)];
        assert_eq!(reply(&mut directory, By::Number, None), (nobody.clone(), false));
        assert_eq!(reply(&mut directory, By::Number, Some(lid())), (Vec::new(), true));
        assert_eq!(reply(&mut directory, By::Name(lid()), None), (nobody, false));
        let now = lender.context().now;
        assert!(
            directory
                .devices(lender.context().device, &phone(), now)
                .is_none()
        );
    }

    #[test]
    fn a_number_that_was_resolved_once_is_not_looked_up_again() {
        let (mut lender, addressing, resolution) =
            (Lender::new(), Addressing::default(), Resolution::default());
        for lid in [None, Some(lid())] {
            let mut directory = Directory::default();
            let mut by = |directory: &mut Directory| {
                let known = Known {
                    directory,
                    addressing: &addressing,
                };
                resolution.by(&lender.context(), &known, &phone(), true)
            };
            assert!(by(&mut directory) == By::Number);
            let found = UserAnswer { lid, ..found(&[0]) };
            assert_eq!(take(&mut directory, By::Number, found), Ok(()));
            assert!(by(&mut directory) == By::Name(phone()));
        }
    }
}
