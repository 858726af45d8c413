//! The session, the queues, the people and the times that all examples are about.

use std::str::FromStr;

use time::OffsetDateTime;
use time::macros::datetime;

/// The session of the examples.
pub const TOKEN: &str = "shop";
/// A token that no session has.
pub const NOBODY: &str = "nobody";
/// The account that the session is paired with.
pub const ACCOUNT: &str = "5531900000000";
/// Somebody who is written to.
pub const ANA: &str = "5531900000001";
/// Somebody else, who is not on WhatsApp.
pub const BRUNO: &str = "5531900000002";
/// A group.
pub const GROUP: &str = "1203630001@g.us";
/// A broadcast.
pub const QUEUE: &str = "0b0f7bb0-4f3a-4c5f-9d3c-2f5c1a0e7d11";
/// A queue that has ended.
pub const ENDED_QUEUE: &str = "6c1d2d0e-0c56-4d0b-8a2f-6f3c9f2b4e22";
/// A schedule.
pub const SCHEDULE: &str = "daily";
/// A message.
pub const MESSAGE: &str = "3EB0A1B2C3D4E5F60718";
/// A webhook.
pub const WEBHOOK: &str = "9f8d6a1e-3b7c-4e52-8a44-1d2e3f405162";
/// An uploaded file.
pub const MEDIA: &str = "5d1f0c3a-8e2b-4f6d-9a77-3c4e5b6a7d80";
/// One that is disabled.
pub const DISABLED_WEBHOOK: &str = "4b0c9a55-7d31-4f0a-9c27-6a5b4c3d2e1f";
/// A delivery of the first.
pub const DELIVERY: &str = "019a0000-0000-7000-8000-000000000001";
/// An event.
pub const EVENT: &str = "019a0000-0000-7000-8000-000000000002";
/// An id of nothing.
pub const NOTHING: &str = "00000000-0000-4000-8000-000000000000";
/// What is sent.
pub const TEXT: &str = "We open at nine.";

/// When it began.
pub const AT: OffsetDateTime = datetime!(2026-11-21 10:00 UTC);
/// A moment later.
pub const LATER: OffsetDateTime = datetime!(2026-11-21 10:00:12 UTC);

/// The value that one of these texts stands for.
pub fn fixed<T: FromStr<Err: std::fmt::Debug>>(text: &'static str) -> T {
    // Unwrap safety: each text is of its form, and a test makes all examples.
    #[allow(clippy::unwrap_used)]
    text.parse().unwrap()
}
