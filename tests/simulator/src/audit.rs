//! What the server saw: the judge of what clients claim. Counts, never contents.
//!
//! The world's half counts what sessions sent; the crowd's half ([`crate::crowd::Tally`]) what contacts made of it.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::crowd::Tally;
use crate::number::{DeviceAddr, Number};

/// Most message keys that are remembered; beyond, reuse is no longer noticed and the audit says so.
pub const MAX_MESSAGE_KEYS: usize = 16_000_000;
/// Most messages that are remembered; beyond, one that is accepted again counts as another.
pub const MAX_MESSAGES: usize = 16_000_000;
/// Most gaps that are remembered per session for the median.
pub const MAX_GAPS: usize = 1_000_000;

/// How an encrypted copy uses a message key.
pub struct KeyUse<'a> {
    /// Who encrypted.
    pub from: DeviceAddr,
    /// For whom.
    pub to: DeviceAddr,
    /// The sender's ratchet key.
    pub ratchet: &'a [u8],
    /// The index in its chain.
    pub counter: u32,
    /// What was encrypted.
    pub ciphertext: &'a [u8],
}

/// A message that the server accepted.
pub struct Accepted<'a> {
    /// Who sent it.
    pub from: DeviceAddr,
    /// The chat.
    pub to: Number,
    /// Its id.
    pub id: &'a str,
    /// Whether a contact gets it.
    pub is_for_contact: bool,
}

/// The world's half of the audit.
#[derive(Default)]
pub struct Audit {
    hasher: BuildHasherDefault<DefaultHasher>,
    /// Copies to each contact are counted once per message id.
    accepted: HashSet<u64>,
    keys: HashMap<u64, u32>,
    sessions: HashMap<DeviceAddr, Session>,
    /// Numbers that were looked up.
    looked_up: HashSet<Number>,
    /// Plain counters.
    pub count: Counters,
}

/// Counters of the server.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counters {
    /// Different messages that were accepted from sessions.
    pub messages_accepted: u64,
    /// Acceptances of a message id that had been accepted before.
    pub accepted_again: u64,
    /// Different messages among `messages_accepted` whose recipient is a contact.
    pub accepted_for_contacts: u64,
    /// Messages refused with an error.
    pub messages_nacked: u64,
    /// Messages refused because they went to new contacts of a restricted account.
    pub refused_new: u64,
    /// Those of them to a contact that was refused before in the same restriction.
    pub refused_again: u64,
    /// Messages that a fault made disappear.
    pub messages_dropped: u64,
    /// Copies for devices that do not exist.
    pub unknown_devices: u64,
    /// Message keys used for more than one copy.
    pub message_keys_reused: u64,
    /// Those among `message_keys_reused` whose bytes were the same both times.
    pub message_keys_reused_identical: u64,
    /// Whether so many keys were seen that reuse may go unnoticed.
    pub message_keys_forgotten: bool,
    /// Numbers that were asked for as such, whether they have an account; repetitions included.
    pub contact_lookups: u64,
    /// Different numbers among `contact_lookups`.
    pub numbers_looked_up: u64,
    /// Messages that were refused for naming a user by the wrong kind of name, or a device twice, or the sending one.
    pub misaddressed: u64,
    /// Messages by number of accounts that are migrated, refused or not.
    pub numbers_on_migrated: u64,
    /// Stanzas that a real client would not have sent: malformed, or a signature missing or wrong.
    pub violations: u64,
    /// Prekeys that came again under the ids that they had.
    pub prekeys_offered_again: u64,
    /// Changes of the app state that clients added.
    pub app_state_patches: u64,
    /// Those that were refused because another device was first.
    pub app_state_conflicts: u64,
    /// Statuses that a client refused with an error: nothing was delivered to it after that.
    pub statuses_refused: u64,
    /// Streams that were ended because a client never said that it has a copy of an own message.
    pub copies_unsettled: u64,
    /// Stanzas that were waiting for a device and had to go because there were too many.
    pub pending_dropped: u64,
    /// Receipts that told a sender what the account keeps to itself.
    pub reads_told: u64,
    /// Questions for the media hosts.
    pub media_conns: u64,
    /// Typing that was told to somebody who has WhatsApp, as it is to be told.
    pub typing_told: u64,
    /// Files that clients uploaded.
    pub uploads: u64,
    /// Uploads that were refused.
    pub uploads_refused: u64,
    /// Files that phones were asked for again, as they should be.
    pub media_retries: u64,
    /// Presences of linked devices that said no name.
    pub unnamed_presences: u64,
    /// Requests to issue tokens.
    pub token_requests: u64,
    /// Tokens that those were for.
    pub tokens_issued: u64,
    /// Those among `tokens_issued` that the same device had issued for the same contact in the same bucket before.
    pub tokens_issued_again: u64,
    /// Messages that showed the token that their contact gave.
    pub tokens_shown: u64,
    /// Messages that showed the right token made from the account's salt.
    pub salted_tokens_shown: u64,
    /// Tokens that were not those of the contact, had run out, or were one too many.
    pub tokens_wrong: u64,
    /// Messages with a token that should have none: between own devices, or sent again.
    pub tokens_misplaced: u64,
    /// Messages of an account to somebody whom it blocks: no client sends them.
    pub sent_to_blocked: u64,
    /// Different messages to groups that were accepted from sessions; they are in `messages_accepted` too.
    pub group_messages: u64,
    /// Contacts' phones that those were for.
    pub group_copies_for_contacts: u64,
    /// Devices that were handed a key with a message to a group.
    pub group_keys_handed: u64,
    /// Messages to groups refused: by somebody who may not write there, by the wrong kind of name, or with a key for
    /// somebody who is not in it.
    pub group_messages_refused: u64,
    /// Messages to groups that named other devices than the group has, by their hash.
    pub group_hashes_disputed: u64,
    /// Messages refused because they proved nothing (error 463).
    pub messages_unproved: u64,
}

#[derive(Default)]
struct Session {
    sends: u64,
    connects: u64,
    last: Option<Instant>,
    min_us: Option<u64>,
    max_us: u64,
    gaps_us: Vec<u32>,
}

/// The whole audit, as `GET /audit` answers.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The server's counters.
    #[serde(flatten)]
    pub server: Counters,
    /// What contacts made of it.
    #[serde(flatten)]
    pub contacts: Tally,
    /// Different messages that were accepted for contacts and that no contact was shown. Some may still be on their way
    /// (delayed, or asked for again).
    pub lost: u64,
    /// One entry for each device that ever logged in, by number.
    pub sessions: Vec<SessionReport>,
}

/// What one session did.
#[derive(Clone, Debug, Serialize)]
pub struct SessionReport {
    /// The account.
    pub number: String,
    /// Its device.
    pub device: u16,
    /// Different messages that were accepted.
    pub sends: u64,
    /// Logins.
    pub connects: u64,
    /// Time between one accepted message and the next different one.
    pub gap_ms: GapReport,
}

/// The gaps of a session, in milliseconds; nothing before its second message.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GapReport {
    /// The shortest.
    pub min: Option<f64>,
    /// The median.
    pub p50: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
}

impl Audit {
    /// Notes the use of a message key. Costs the same however many there are.
    pub fn key_used(&mut self, key: &KeyUse<'_>) {
        let name = self.hash(&(key.from, key.to, key.ratchet, key.counter));
        let print = self.hash(key.ciphertext) as u32;
        if let Some(before) = self.keys.get(&name) {
            self.count.message_keys_reused += 1;
            self.count.message_keys_reused_identical += u64::from(*before == print);
        } else if self.keys.len() < MAX_MESSAGE_KEYS {
            self.keys.insert(name, print);
        } else {
            self.count.message_keys_forgotten = true;
        }
    }

    /// Notes a message that the server accepted at `now`. Says whether it is the first of its id.
    pub fn accepted(&mut self, message: &Accepted<'_>, now: Instant) -> bool {
        let name = self.hash(&(message.from, message.to, message.id));
        if self.accepted.contains(&name) {
            self.count.accepted_again += 1;
            return false;
        }
        if self.accepted.len() < MAX_MESSAGES {
            self.accepted.insert(name);
        }
        self.count.messages_accepted += 1;
        self.count.accepted_for_contacts += u64::from(message.is_for_contact);
        self.sessions.entry(message.from).or_default().sent(now);
        true
    }

    /// Notes a number that a client looked up.
    pub fn looked_up(&mut self, number: Number) {
        self.count.contact_lookups += 1;
        if self.looked_up.len() < MAX_MESSAGES {
            self.count.numbers_looked_up += u64::from(self.looked_up.insert(number));
        }
    }

    /// Begins anew with the gaps: the time until each session's next message is none, as after a pause on purpose.
    pub fn mark(&mut self) {
        for session in self.sessions.values_mut() {
            session.last = None;
        }
    }

    /// Notes a login.
    pub fn connected(&mut self, who: DeviceAddr) {
        self.sessions.entry(who).or_default().connects += 1;
    }

    /// What the server knows of the report.
    #[must_use]
    pub fn half(&self) -> ServerHalf {
        let mut sessions: Vec<_> = self
            .sessions
            .iter()
            .map(|(who, session)| session.report(*who))
            .collect();
        sessions.sort_by(|a, b| (&a.number, a.device).cmp(&(&b.number, b.device)));
        ServerHalf {
            count: self.count.clone(),
            sessions,
        }
    }

    fn hash<T: Hash + ?Sized>(&self, value: &T) -> u64 {
        self.hasher.hash_one(value)
    }
}

/// The report without what the contacts know.
pub struct ServerHalf {
    count: Counters,
    sessions: Vec<SessionReport>,
}

impl ServerHalf {
    /// The whole report.
    #[must_use]
    pub fn complete(self, contacts: Tally) -> Report {
        let shown = (contacts.shown_once + contacts.shown_twice).saturating_sub(contacts.shown_from_phones);
        let accepted = self.count.accepted_for_contacts + self.count.group_copies_for_contacts;
        let lost = accepted.saturating_sub(shown);
        Report {
            server: self.count,
            contacts,
            lost,
            sessions: self.sessions,
        }
    }
}

impl Session {
    fn sent(&mut self, now: Instant) {
        self.sends += 1;
        let gap = self
            .last
            .replace(now)
            .map(|last| micros(now.saturating_duration_since(last)));
        if let Some(gap) = gap {
            self.min_us = Some(self.min_us.map_or(gap, |min| min.min(gap)));
            self.max_us = self.max_us.max(gap);
            if self.gaps_us.len() < MAX_GAPS {
                self.gaps_us.push(u32::try_from(gap).unwrap_or(u32::MAX));
            }
        }
    }

    fn report(&self, who: DeviceAddr) -> SessionReport {
        let mut gaps = self.gaps_us.clone();
        let middle = gaps.len() / 2;
        let p50 = (!gaps.is_empty()).then(|| u64::from(*gaps.select_nth_unstable(middle).1));
        let gap_ms = GapReport {
            min: self.min_us.map(millis),
            p50: p50.map(millis),
            max: self.min_us.map(|_| millis(self.max_us)),
        };
        SessionReport {
            number: who.number.to_string(),
            device: who.device,
            sends: self.sends,
            connects: self.connects,
            gap_ms,
        }
    }
}

fn micros(gap: Duration) -> u64 {
    u64::try_from(gap.as_micros()).unwrap_or(u64::MAX)
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(device: u16) -> DeviceAddr {
        DeviceAddr::new(Number::new(15_551_230_001).unwrap(), device)
    }

    #[test]
    fn using_a_message_key_again_is_noticed() {
        let mut audit = Audit::default();
        let mut used = |counter, ciphertext: &[u8]| {
            audit.key_used(&KeyUse {
                from: who(1),
                to: who(0),
                ratchet: &[7; 33],
                counter,
                ciphertext,
            });
            (
                audit.count.message_keys_reused,
                audit.count.message_keys_reused_identical,
            )
        };
        assert_eq!(used(0, b"a"), (0, 0));
        assert_eq!(used(1, b"a"), (0, 0));
        assert_eq!(used(0, b"a"), (1, 1));
        assert_eq!(used(0, b"b"), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn gaps_are_between_different_messages() {
        let mut audit = Audit::default();
        let to = Number::new(17_770_001).unwrap();
        for (id, wait) in [("A", 100), ("B", 20), ("B", 40), ("C", 300), ("D", 0)] {
            let message = Accepted {
                from: who(1),
                to,
                id,
                is_for_contact: true,
            };
            audit.accepted(&message, Instant::now());
            tokio::time::advance(Duration::from_millis(wait)).await;
        }
        let report = audit.half().complete(Tally::default());
        let gaps = &report.sessions[0].gap_ms;
        assert_eq!(
            (gaps.min, gaps.p50, gaps.max),
            (Some(60.0), Some(100.0), Some(300.0))
        );
        assert_eq!(
            (
                report.server.messages_accepted,
                report.server.accepted_again,
                report.lost
            ),
            (4, 1, 4)
        );
    }
}
