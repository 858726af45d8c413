//! The restrictions of an account: no new contacts for a time, a cap on new chats, "too fast"; and how they are told.
//!
//! Facts: docs/PROTOCOL.md, "Restrictions".

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::number::Number;

/// A reach-out time lock, as it is asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restrict {
    /// The server's word for why.
    #[serde(rename = "type", default = "all_companions")]
    pub kind: String,
    /// How long it lasts.
    pub seconds: u64,
    /// How its end is told.
    #[serde(default)]
    pub ends: Ends,
    /// Whether the account is told when it begins and ends; if not, it must ask.
    #[serde(default = "yes")]
    pub tell: bool,
    /// Whether questions for it are answered; if not, as if the document were gone.
    #[serde(default = "yes")]
    pub answer: bool,
}

/// How the end of a lock is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ends {
    /// As a text of digits.
    #[default]
    Text,
    /// As a number.
    Number,
    /// Not at all.
    Absent,
}

/// A cap on new chats, as it is asked for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// How many new chats a cycle has.
    pub total: u64,
    /// How many of them were begun.
    #[serde(default)]
    pub used: u64,
    /// When the cycle ends, in seconds from now; then none are used.
    #[serde(default = "a_month")]
    pub seconds: u64,
}

fn all_companions() -> String {
    "RESTRICT_ALL_COMPANIONS".into()
}

const fn yes() -> bool {
    true
}

const fn a_month() -> u64 {
    30 * 86_400
}

/// The restrictions of one account.
#[derive(Default)]
pub(super) struct Limits {
    /// Who has written to the account.
    pub(super) heard: HashSet<Number>,
    pub(super) lock: Option<Lock>,
    pub(super) cap: Option<CapState>,
    pub(super) too_fast_until: Option<Instant>,
    /// New contacts that were refused in the present lock or cycle.
    pub(super) refused: HashSet<Number>,
    /// Tells one restriction from the next.
    pub(super) last: u64,
}

pub(super) struct Lock {
    pub(super) number: u64,
    pub(super) asked: Restrict,
    /// Unix seconds.
    pub(super) ends: u64,
}

pub(super) struct CapState {
    pub(super) number: u64,
    pub(super) cap: Cap,
    /// Unix seconds.
    pub(super) ends: u64,
    /// Whether the half and the whole were told.
    pub(super) told: [bool; 2],
}

impl Lock {
    pub(super) fn to_json(&self) -> Value {
        let mut lock = json!({ "is_active": true, "enforcement_type": self.asked.kind });
        match self.asked.ends {
            Ends::Text => lock["time_enforcement_ends"] = self.ends.to_string().into(),
            Ends::Number => lock["time_enforcement_ends"] = self.ends.into(),
            Ends::Absent => {}
        }
        lock
    }
}

impl CapState {
    pub(super) fn to_json(&self, now: u64) -> Value {
        json!({
            "capping_status": self.status(),
            "total_quota": self.cap.total,
            "used_quota": self.cap.used.to_string(),
            "cycle_end_timestamp": self.ends.to_string(),
            "server_sent_timestamp": now.to_string(),
            "ote_status": "NOT_ELIGIBLE",
            "mv_status": "NOT_ELIGIBLE",
        })
    }

    const fn status(&self) -> &'static str {
        let Cap { total, used, .. } = self.cap;
        if used >= total {
            "CAPPED"
        } else if used * 2 >= total {
            "FIRST_WARNING"
        } else {
            "NONE"
        }
    }
}
