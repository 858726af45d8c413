//! Logged in by the handshake's last message; waits for the server to say yes or no.

use super::{CloseReason, Context, State, core::Core, online::Online};
use crate::{binary::Node, command::Command, time::Timestamp};

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

    pub(super) fn node(self, core: &mut Core, node: &Node, now: Timestamp) -> State {
        if !node.is("success") {
            tracing::debug!(stanza = node.tag(), "stanza before success ignored");
            return State::AwaitSuccess(self);
        }
        let mut online = Online::start(&mut core.context(now), node);
        if let Some(presence) = core.wants_presence {
            online.command(&mut core.context(now), Command::SetPresence(presence));
        }
        if core.wants_logout {
            online.command(&mut core.context(now), Command::Logout);
        }
        State::Online(Box::new(online))
    }

    pub(super) fn tick(&self, cx: &mut Context<'_>) {
        if self.deadline <= cx.now {
            cx.close(CloseReason::LoginTimeout);
        }
    }
}
