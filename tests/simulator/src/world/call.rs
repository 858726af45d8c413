//! A call as the control API tells it.

use serde::{Deserialize, Serialize, Serializer};

use crate::number::Number;

/// A contact calls.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCall {
    /// Which phone.
    pub to: String,
    /// With pictures.
    #[serde(default)]
    pub video: bool,
    /// As a group.
    #[serde(default)]
    pub group: Option<String>,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallTurn {
    /// The phone shows it.
    Preaccept,
    /// The phone's user takes it.
    Accept,
    /// The same, as the server tells other devices.
    AcceptedElsewhere,
    /// The phone's user rejects it.
    RejectedElsewhere,
    /// Nobody took it.
    Timeout,
    /// The caller hangs up.
    Terminate,
}

/// A call, as `GET /calls/{id}` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct CallShown {
    /// Its id.
    pub id: String,
    /// Who calls.
    #[serde(serialize_with = "as_text")]
    pub from: Number,
    /// Whom.
    #[serde(serialize_with = "as_text")]
    pub to: Number,
    /// The linked device that rejected it.
    pub rejected_by: Option<u16>,
    /// Whether it is over.
    pub over: bool,
}

fn as_text<S: Serializer>(number: &Number, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(number)
}
