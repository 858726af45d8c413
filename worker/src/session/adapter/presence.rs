//! What a session says of itself, in the library's words.

use shared::job;
use whatsapp::command::Presence;

/// A session's own setting as the library has it.
pub(crate) fn presence(setting: job::Presence) -> Presence {
    match setting {
        job::Presence::Unavailable => Presence::Unavailable,
        job::Presence::Available => Presence::Available,
    }
}
