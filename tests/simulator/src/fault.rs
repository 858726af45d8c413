//! The switchboard of faults: what goes wrong, for whom, how often. Decides; the world does it.
//!
//! Whether a fault with a probability strikes depends on the seed, the fault, who writes to whom, and the how-manieth
//! time that is, never on the order in which sessions get their turn. So the same seed strikes the same messages.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::{Deserialize, Serialize};

use crate::number::Number;
use crate::refusal::Refusal;

/// Most faults that are active at once.
pub const MAX_FAULTS: usize = 256;
/// Longest delay.
pub const MAX_DELAY_MS: u64 = 3_600_000;
/// Most copies of a duplicated message.
pub const MAX_COPIES: u32 = 16;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The message is not handled and not acked; the connection is cut unless `cut` is false.
    DropBefore,
    /// The message is handled, its ack withheld; the connection is cut unless `cut` is false.
    DropAfter,
    /// The message is handled, its ack withheld, the connection stays.
    WithholdAck,
    /// The message is refused with `code` (default 500).
    Nack,
    /// The message is delivered `delay_ms` late; the ack too if `ack` is true.
    Delay,
    /// The message is delivered `copies` times (default 2).
    Duplicate,
    /// A stream error `code` (none: the connection was replaced) and the end, `on` a message, a login, or now.
    StreamError,
    /// The socket is closed without a word, `on` a message, a login, or now.
    Cut,
    /// The stream ends in good order and without a reason, `on` as above.
    StreamEnd,
    /// The server says nothing more on this connection, `on` as above; it is the client that has to find out.
    Silence,
    /// A frame that nobody can open, `on` as above.
    Rubbish,
    /// The account is not set up for linked devices any more, `on` as above.
    Downgrade,
    /// Logins are refused with `reason` (default 401).
    Failure,
    /// The last byte of the other side's copies is changed, so that their MAC is wrong.
    CorruptMac,
    /// A contact asks for the message again though it could read it; with new keys if `keys` is true.
    ForceRetry,
}

/// What a [`Kind::StreamError`] says beside its code, or instead of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// `<conflict type="replaced"/>`.
    Replaced,
    /// `<conflict type="device_removed"/>`.
    DeviceRemoved,
    /// A message was not acknowledged.
    Ack,
    /// `<xml-not-well-formed/>`.
    NotWellFormed,
    /// Nothing.
    Nothing,
}

/// What ends of connections ([`Kind::ends`]) wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// The next message of a matching session, before it is handled.
    #[default]
    Message,
    /// The next login of a matching session.
    Login,
    /// Nothing: all matching sessions, at once.
    Now,
}

impl Kind {
    /// Whether it ends the connection, or what is said on it, and waits for what [`On`] says.
    #[must_use]
    pub const fn ends(self) -> bool {
        matches!(
            self,
            Self::StreamError | Self::Cut | Self::StreamEnd | Self::Silence | Self::Rubbish | Self::Downgrade
        )
    }
}

/// Whom a fault strikes. A pattern is a number, or the beginning of numbers followed by `*`. An absent one is everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Who sends (or logs in).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Who would get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// A fault as it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// Whom it strikes.
    #[serde(rename = "match", default)]
    pub matching: Match,
    /// How likely it strikes a match, 0 to 1. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// How often it strikes before it is over. Absent: once, or without end if there is a probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// For [`Kind::Delay`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// For [`Kind::Delay`]: whether the ack is late too.
    #[serde(default)]
    pub ack: bool,
    /// For [`Kind::StreamError`] and [`Kind::Nack`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// For [`Kind::Failure`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<u16>,
    /// For [`Kind::Duplicate`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<u32>,
    /// For [`Kind::DropBefore`] and [`Kind::DropAfter`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<bool>,
    /// For those that end a connection.
    #[serde(default)]
    pub on: On,
    /// For [`Kind::StreamError`]. Absent: what goes with the code, and without one that the connection was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<Says>,
    /// For [`Kind::ForceRetry`].
    #[serde(default)]
    pub keys: bool,
}

/// An active fault.
#[derive(Clone, Debug, Serialize)]
pub struct Active {
    /// Its number.
    pub id: u64,
    /// What was asked for.
    #[serde(flatten)]
    pub fault: Fault,
    /// How often it struck.
    pub struck: u64,
    #[serde(skip)]
    seen: HashMap<(Number, Option<Number>), u32>,
}

/// The moment at which a fault may strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A session sent a message.
    Message,
    /// A session logs in.
    Login,
}

/// All active faults.
#[derive(Debug, Default)]
pub struct Faults {
    seed: u64,
    last_id: u64,
    active: Vec<Active>,
}

impl Faults {
    /// None yet.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            last_id: 0,
            active: Vec::new(),
        }
    }

    /// Adds one and returns its number.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub fn add(&mut self, fault: Fault) -> Result<u64, Refusal> {
        fault.check()?;
        if self.active.len() >= MAX_FAULTS {
            return Err(Refusal::conflict("kind", "too many faults are active"));
        }
        self.last_id += 1;
        self.active.push(Active {
            id: self.last_id,
            fault,
            struck: 0,
            seen: HashMap::new(),
        });
        Ok(self.last_id)
    }

    /// Ends all.
    pub fn clear(&mut self) {
        self.active.clear();
    }

    /// Ends one; `false` if there is none of this number.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.active.len();
        self.active.retain(|fault| fault.id != id);
        self.active.len() != before
    }

    /// The active ones.
    #[must_use]
    pub fn active(&self) -> &[Active] {
        &self.active
    }

    /// The faults that strike here, in the order in which they were added.
    pub fn strike(&mut self, moment: Moment, from: Number, to: Option<Number>) -> Vec<Fault> {
        let mut struck = Vec::new();
        if self.active.is_empty() {
            return struck;
        }
        let seed = self.seed;
        for active in &mut self.active {
            if active.fault.moment() == Some(moment) && active.strikes(seed, from, to) {
                struck.push(active.fault.clone());
            }
        }
        struck
    }

    /// Whether sessions of `number` are struck by a fault that waits for nothing.
    #[must_use]
    pub fn matches_now(fault: &Fault, number: Number) -> bool {
        matches(fault.matching.from.as_deref(), Some(number))
    }
}

impl Active {
    fn strikes(&mut self, seed: u64, from: Number, to: Option<Number>) -> bool {
        if self.is_spent()
            || !matches(self.fault.matching.from.as_deref(), Some(from))
            || !matches(self.fault.matching.to.as_deref(), to)
        {
            return false;
        }
        if let Some(probability) = self.fault.probability {
            let turn = self.seen.entry((from, to)).or_default();
            *turn += 1;
            let mut hasher = DefaultHasher::new();
            (seed, self.id, from, to, *turn).hash(&mut hasher);
            let draw = (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64;
            if draw >= probability {
                return false;
            }
        }
        self.struck += 1;
        true
    }

    fn is_spent(&self) -> bool {
        let limit = match (self.fault.count, self.fault.probability) {
            (Some(count), _) => u64::from(count),
            (None, Some(_)) => u64::MAX,
            (None, None) => 1,
        };
        self.struck >= limit
    }
}

impl Fault {
    /// Whether a fault of this kind ends the connection of the sender.
    #[must_use]
    pub fn cuts(&self) -> bool {
        matches!(self.kind, Kind::DropBefore | Kind::DropAfter) && self.cut.unwrap_or(true)
    }

    fn moment(&self) -> Option<Moment> {
        match (self.kind, self.on) {
            (Kind::Failure, _) => Some(Moment::Login),
            (kind, On::Login) if kind.ends() => Some(Moment::Login),
            (kind, On::Now) if kind.ends() => None,
            _ => Some(Moment::Message),
        }
    }

    fn check(&self) -> Result<(), Refusal> {
        for (field, pattern) in [
            ("match.from", &self.matching.from),
            ("match.to", &self.matching.to),
        ] {
            let digits = pattern
                .as_deref()
                .map_or("1", |pattern| pattern.strip_suffix('*').unwrap_or(pattern));
            let is_everybody = pattern.as_deref() == Some("*");
            if !is_everybody && (digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit())) {
                return Err(Refusal::bad(field, "must be digits, or digits followed by *"));
            }
        }
        if self.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err(Refusal::bad("probability", "must be 0 to 1"));
        }
        if self.count == Some(0) {
            return Err(Refusal::bad("count", "must be at least 1"));
        }
        if self.kind == Kind::Delay && self.delay_ms.is_none_or(|ms| ms > MAX_DELAY_MS) {
            return Err(Refusal::bad("delay_ms", format!("must be 0 to {MAX_DELAY_MS}")));
        }
        if self
            .copies
            .is_some_and(|copies| !(1..=MAX_COPIES).contains(&copies))
        {
            return Err(Refusal::bad("copies", format!("must be 1 to {MAX_COPIES}")));
        }
        Ok(())
    }
}

fn matches(pattern: Option<&str>, number: Option<Number>) -> bool {
    let Some(pattern) = pattern else { return true };
    let Some(number) = number else { return false };
    let number = compact_str::format_compact!("{number}");
    match pattern.strip_suffix('*') {
        Some(prefix) => number.starts_with(prefix),
        None => number == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(digits: u64) -> Number {
        Number::new(digits).unwrap()
    }

    fn fault(json: &str) -> Fault {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_fault_without_count_strikes_once_and_only_whom_it_matches() {
        let mut faults = Faults::new(1);
        faults
            .add(fault(
                r#"{"kind":"nack","match":{"from":"15551230001","to":"1777*"},"code":463}"#,
            ))
            .unwrap();
        assert!(
            faults
                .strike(Moment::Message, number(15_551_230_002), Some(number(17_770_001)))
                .is_empty()
        );
        assert!(
            faults
                .strike(Moment::Message, number(15_551_230_001), Some(number(18_880_001)))
                .is_empty()
        );
        assert!(
            faults
                .strike(Moment::Login, number(15_551_230_001), Some(number(17_770_001)))
                .is_empty()
        );
        let struck = faults.strike(Moment::Message, number(15_551_230_001), Some(number(17_770_001)));
        assert_eq!(struck[0].code, Some(463));
        assert!(
            faults
                .strike(Moment::Message, number(15_551_230_001), Some(number(17_770_001)))
                .is_empty()
        );
    }

    #[test]
    fn chance_does_not_depend_on_the_order_of_events() {
        let strikes = |order: &mut dyn Iterator<Item = u64>| {
            let mut faults = Faults::new(3);
            faults
                .add(fault(r#"{"kind":"drop_after","probability":0.5}"#))
                .unwrap();
            let mut struck: Vec<u64> = order
                .filter(|i| {
                    !faults
                        .strike(
                            Moment::Message,
                            number(15_551_230_001),
                            Some(number(17_770_000 + i)),
                        )
                        .is_empty()
                })
                .collect();
            struck.sort_unstable();
            struck
        };
        let forwards = strikes(&mut (0..200));
        assert_eq!(forwards, strikes(&mut (0..200).rev()));
        assert!((60..140).contains(&forwards.len()));
    }

    #[test]
    fn bad_faults_are_refused_by_the_name_of_the_field() {
        let mut faults = Faults::new(1);
        for (json, field) in [
            (r#"{"kind":"delay"}"#, "delay_ms"),
            (r#"{"kind":"nack","probability":2.0}"#, "probability"),
            (r#"{"kind":"nack","count":0}"#, "count"),
            (r#"{"kind":"nack","match":{"from":"abc"}}"#, "match.from"),
            (r#"{"kind":"duplicate","copies":99}"#, "copies"),
        ] {
            assert_eq!(faults.add(fault(json)).unwrap_err().field, field);
        }
    }
}
