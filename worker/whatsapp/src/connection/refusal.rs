//! Answers to what the owner asks for in a state that can't do it.

use crate::{command::Command, event::Event, part::Context};

/// Answers a command that the session is in no state for.
pub(super) fn refuse(cx: &mut Context<'_>, command: Command) {
    if let Command::RequestPairingCode { .. } = command {
        refuse_code(cx, ALREADY_PAIRED);
    } else if let Some(event) = command.not_connected() {
        cx.emit(event);
    }
}

/// Says that there will be no pairing code.
pub(super) fn refuse_code(cx: &mut Context<'_>, code: u16) {
    cx.emit(Event::PairingCodeRefused { code });
}

/// What `PairingCodeRefused` says when the connection ended before there was a code.
pub(super) const CONNECTION_LOST: u16 = 428;
/// What `PairingCodeRefused` says when there is nothing to pair.
pub(super) const ALREADY_PAIRED: u16 = 409;
