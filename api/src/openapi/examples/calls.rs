//! Calls.

use super::names::{NOBODY, fixed};
use super::operation::Examples;
use crate::tokens::unknown;
use crate::v1::calls::RejectedCall;

/// A call's id.
const CALL: &str = "8F1C2A3B4D5E6F708192A3B4C5D6E7F8";

/// The examples of this family.
pub(super) fn all() -> Vec<Examples> {
    let rejected = RejectedCall {
        call_id: CALL.to_owned(),
    };
    vec![
        Examples::of("post /v1/sessions/{token}/calls/{call}/reject")
            .answers(200, "rejected", &rejected)
            .refuses(
                &format!("/v1/sessions/nobody/calls/{CALL}/reject"),
                unknown(&fixed(NOBODY)),
            ),
    ]
}
