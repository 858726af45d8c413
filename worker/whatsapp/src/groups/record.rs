//! What is kept of a group between sends: who is in it, and which devices have our sender key.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::group::{AddressingMode, GroupInfo, Role};
use crate::jid::{Jid, Server};
use crate::time::Timestamp;

/// How long a list of members is believed. Servers tell of changes, and dispute the devices that a message names: one that
/// neither tells of is found within a day.
pub(super) const MEMBERS_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// Says that a record tells who is an admin.
const ROLES: &str = "roles";
/// Behind the names of an admin.
const ADMIN: &str = "*";

/// Who is in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Members {
    /// How its stanzas name people.
    pub(super) addressing: AddressingMode,
    /// When the server said so.
    pub(super) since: Timestamp,
    /// By that kind of name, and by the other where it is known.
    pub(super) people: Vec<(Jid, Option<Jid>)>,
    /// Which of them are admins, by that kind of name.
    admins: Vec<Jid>,
}

impl Members {
    /// What the server says.
    pub(super) fn of(group: &GroupInfo, now: Timestamp) -> Self {
        let people = group.members.iter();
        let admins = people.clone().filter(|member| member.role != Role::Member);
        Self {
            addressing: group.addressing,
            since: now,
            admins: admins.map(|member| member.jid.clone()).collect(),
            people: people
                .map(|member| (member.jid.clone(), member.other.clone()))
                .collect(),
        }
    }

    /// Whether it is still believed.
    pub(super) fn counts(&self, now: Timestamp) -> bool {
        now.since(self.since) < MEMBERS_TTL
    }

    /// Whether this user is in the group, by either name.
    pub(super) fn contains(&self, user: &Jid) -> bool {
        self.people.iter().any(|(jid, other)| {
            jid.same_user(user) || other.as_ref().is_some_and(|other| other.same_user(user))
        })
    }

    /// Whether this user is an admin of the group, by either name.
    pub(super) fn is_admin(&self, user: &Jid) -> bool {
        let is_one = |jid: &Jid| self.admins.iter().any(|admin| admin.same_user(jid));
        let other = self.people.iter().find_map(|(jid, other)| {
            let is_same = other.as_ref().is_some_and(|other| other.same_user(user));
            is_same.then_some(jid)
        });
        is_one(user) || other.is_some_and(is_one)
    }

    /// A line with the kind of name, the time and what else is told, then one for each member with one name or both, and a
    /// mark if it is an admin.
    pub(super) fn encode(&self) -> String {
        let mut text = format!("{} {} {ROLES}", self.addressing.as_str(), self.since.as_secs());
        for (jid, other) in &self.people {
            let other = other.as_ref().map(Jid::user).unwrap_or_default();
            let mark = if self.admins.contains(jid) { ADMIN } else { "" };
            for part in ["\n", jid.user(), " ", other, mark] {
                text.push_str(part);
            }
        }
        text
    }

    /// Reads what [`Self::encode`] wrote; `None` if it is something else, and then the server is asked.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.split('\n');
        let (addressing, since) = lines.next()?.split_once(' ')?;
        // What an earlier version wrote does not say who is an admin.
        let since = since.strip_suffix(ROLES)?.trim_end();
        let addressing = AddressingMode::from_name(addressing)?;
        let (own, other) = match addressing {
            AddressingMode::Phone => (Server::User, Server::Lid),
            AddressingMode::Lid => (Server::Lid, Server::User),
        };
        let mut admins = Vec::new();
        let person = |line: &str| {
            let (user, known) = line.split_once(' ')?;
            let jid = Jid::new(user, own);
            let plain = known.strip_suffix(ADMIN);
            if plain.is_some() {
                admins.push(jid.clone());
            }
            let known = plain.unwrap_or(known);
            let known = (!known.is_empty()).then(|| Jid::new(known, other));
            Some((jid, known))
        };
        Some(Self {
            addressing,
            since: Timestamp::from_secs(since.parse().ok()?),
            people: lines.map(person).collect::<Option<_>>()?,
            admins,
        })
    }
}

/// Which devices have our sender key of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Handed(BTreeMap<Jid, Certainty>);

/// Whether a device has a key that was sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Certainty {
    /// It may have got it: the server has not taken the message that carried it.
    Maybe,
    /// The server has taken it.
    Sure,
}

impl Handed {
    /// Whether this device need not be sent the key.
    pub(super) fn has(&self, device: &Jid) -> bool {
        self.0.get(device) == Some(&Certainty::Sure)
    }

    /// Whether somebody may have the key who is none of these devices (sorted).
    pub(super) fn has_other_than(&self, devices: &[Jid]) -> bool {
        self.0.keys().any(|device| devices.binary_search(device).is_err())
    }

    /// Nobody has the key: it is a new one.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The key is about to be sent to these devices.
    pub(super) fn send_to(&mut self, devices: impl IntoIterator<Item = Jid>) {
        let sent = devices.into_iter().map(|device| (device, Certainty::Maybe));
        // Made at once and merged: a new key goes to hundreds.
        self.0.append(&mut sent.collect());
    }

    /// The server has taken what was sent to this device. Says whether that is news.
    pub(super) fn confirm(&mut self, device: &Jid) -> bool {
        match self.0.get_mut(device) {
            Some(certainty @ Certainty::Maybe) => {
                *certainty = Certainty::Sure;
                true
            }
            _ => false,
        }
    }

    /// The device says that it can't read: it is sent the key again. Says whether that is news.
    pub(super) fn doubt(&mut self, device: &Jid) -> bool {
        match self.0.get_mut(device) {
            Some(certainty @ Certainty::Sure) => {
                *certainty = Certainty::Maybe;
                true
            }
            _ => false,
        }
    }

    /// A line for each device.
    pub(super) fn encode(&self) -> String {
        let mut text = String::new();
        for (device, certainty) in &self.0 {
            let mark = match certainty {
                Certainty::Sure => '+',
                Certainty::Maybe => '?',
            };
            text.push(mark);
            device.push_to(&mut text);
            text.push('\n');
        }
        text
    }

    /// Reads what [`Self::encode`] wrote; `None` if it is something else: then nobody knows who has the key, and a new one
    /// is made.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let lines = std::str::from_utf8(bytes).ok()?.lines();
        let device = |line: &str| {
            let certainty = match line.as_bytes().first()? {
                b'+' => Certainty::Sure,
                b'?' => Certainty::Maybe,
                _ => return None,
            };
            Some((line[1..].parse().ok()?, certainty))
        };
        lines.map(device).collect::<Option<_>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        text.parse().unwrap()
    }

    #[test]
    fn members_are_read_as_they_were_written() {
        for (addressing, one, other) in [
            (AddressingMode::Lid, "100@lid", "15550001@s.whatsapp.net"),
            (AddressingMode::Phone, "15550001@s.whatsapp.net", "100@lid"),
        ] {
            let members = Members {
                addressing,
                since: Timestamp::from_secs(1_700_000_000),
                people: vec![
                    (jid(one), Some(jid(other))),
                    (Jid::new("7", addressing.server()), None),
                    (Jid::new("8", addressing.server()), None),
                ],
                admins: vec![jid(one), Jid::new("7", addressing.server())],
            };
            assert_eq!(
                Members::decode(members.encode().as_bytes()),
                Some(members.clone())
            );
            assert!(members.contains(&jid(one)) && members.contains(&jid(other)));
            assert!(!members.contains(&jid("9@lid")));
            assert!(members.is_admin(&jid(one)) && members.is_admin(&jid(other)));
            assert!(members.is_admin(&Jid::new("7", addressing.server())));
            assert!(!members.is_admin(&Jid::new("8", addressing.server())));
        }
        for bad in ["", "lid", "lid x", "lid 1", "xx 1 roles", "lid 1 roles\nnobody"] {
            assert_eq!(Members::decode(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_list_counts_for_a_day() {
        let members = Members {
            addressing: AddressingMode::Lid,
            since: Timestamp::from_secs(100),
            people: Vec::new(),
            admins: Vec::new(),
        };
        assert!(members.counts(Timestamp::from_secs(100) + MEMBERS_TTL / 2));
        assert!(!members.counts(Timestamp::from_secs(100) + MEMBERS_TTL));
    }

    #[test]
    fn who_may_have_a_key_is_known_before_who_has_it() {
        let (ann, bob) = (jid("100:3@lid"), jid("101@lid"));
        let mut handed = Handed::default();
        handed.send_to([ann.clone()]);
        assert!(!handed.has(&ann) && handed.has_other_than(std::slice::from_ref(&bob)));
        assert!(handed.confirm(&ann) && !handed.confirm(&ann) && !handed.confirm(&bob));
        assert!(handed.has(&ann) && !handed.has_other_than(std::slice::from_ref(&ann)));
        handed.send_to([bob.clone()]);
        assert_eq!(Handed::decode(handed.encode().as_bytes()), Some(handed.clone()));
        assert!(handed.doubt(&ann) && !handed.has(&ann));
        assert!(
            handed.has_other_than(std::slice::from_ref(&bob)),
            "it may still have it"
        );
        assert_eq!(Handed::decode(b"x"), None);
    }
}
