//! The `data` of `call`; every field explained.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::named::named;

/// Somebody calls the account, or a call has come further.
#[derive(Clone, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// The call's id, the same in all events of it; `reject` wants it.
    pub call_id: String,
    /// How far it is.
    pub status: CallStatus,
    /// Who calls, by number where that is known.
    pub wuid: String,
    /// Their hidden id, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// Their phone number, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// The name that they go by, where WhatsApp tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller_name: Option<String>,
    /// Whether it is a video call. Of a call whose beginning this session has not seen: false.
    pub is_video: bool,
    /// Whether it is a call of a group.
    pub is_group: bool,
    /// The jid of the group, where it is called as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether the session rejected it by itself, as its setting `calls` says.
    pub automatic: bool,
    /// WhatsApp's word for why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it waited while the session was away: then nobody rings any more.
    pub offline: bool,
    /// When, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
}

/// Who calls is never logged.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({:?})", self.status)
    }
}

named! {
    /// How far a call is.
    CallStatus {
        /// It rings.
        Offer = "offer",
        /// Somebody took it on another device of the account.
        Accept = "accept",
        /// It was rejected: by this session, or on another device of the account.
        Reject = "reject",
        /// Nobody took it.
        Missed = "missed",
        /// It ended.
        Terminate = "terminate",
    }
}
