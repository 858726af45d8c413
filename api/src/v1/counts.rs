//! How many recipients of a queue are in each state, as the API shows it.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::store::recipients::RecipientState;
use utoipa::ToSchema;

/// How many recipients of a queue are in each state.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// By state, all of them: `queued`, `sending`, `sent`, `delivered`, `read`, `failed`, `skipped`, `unknown`, `duplicate`.
    pub by_state: BTreeMap<&'static str, u32>,
    /// Those that failed by status, as in `send.message:ERROR`; none that is 0.
    pub failed_by_status: BTreeMap<String, u32>,
}

impl Counts {
    /// What was counted: by state, and by status where they failed.
    pub fn new(tally: Vec<(RecipientState, Option<u16>, u32)>) -> Self {
        let mut counts = Self {
            by_state: RecipientState::ALL.map(|state| (state.as_str(), 0)).into(),
            failed_by_status: BTreeMap::new(),
        };
        for (state, status, count) in tally {
            *counts.by_state.entry(state.as_str()).or_default() += count;
            // Those that are unknown have a status, too.
            if let Some(status) = status.filter(|_| state == RecipientState::Failed) {
                *counts.failed_by_status.entry(status.to_string()).or_default() += count;
            }
        }
        counts
    }
}
