//! Logged in by the handshake's last message; waits for the server to say yes or no.

use crate::{part::Context, reason::CloseReason, time::Timestamp};

#[derive(Debug)]
pub(super) struct AwaitSuccess {
    deadline: Timestamp,
}

impl AwaitSuccess {
    pub(super) fn new(cx: &Context<'_>) -> Self {
        Self {
            deadline: cx.now + cx.config.timing.login,
        }
    }

    pub(super) fn deadline(&self) -> Timestamp {
        self.deadline
    }

    pub(super) fn tick(&self, cx: &mut Context<'_>) {
        if self.deadline <= cx.now {
            cx.close(CloseReason::LoginTimeout);
        }
    }
}
