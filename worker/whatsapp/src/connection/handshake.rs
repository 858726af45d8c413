//! The first state: our ClientHello is out, the server's half of the handshake is awaited.

use bytes::BytesMut;

use super::{core::Core, keepalive::KeepAlive};
use crate::{
    crypto::{HandshakeError, Initiator},
    frame, payload,
    reason::CloseReason,
    time::Timestamp,
};

pub(super) struct AwaitServerHello {
    initiator: Box<Initiator>,
    pub(super) deadline: Timestamp,
    /// A pairing by code that was asked for already: number and custom code.
    pub(super) wanted_code: Option<(String, Option<String>)>,
}

impl AwaitServerHello {
    /// Puts the connection's header and the ClientHello into the first step.
    pub(super) fn start(core: &mut Core, now: Timestamp) -> Self {
        let mut first = frame::connection_header(core.device.routing_info.as_deref());
        let (initiator, hello) = Initiator::start(core.device.noise.clone(), &mut core.rng);
        frame::write(&hello, &mut first);
        core.raw.push(first.into());
        let deadline = now + core.config.timing.handshake;
        Self {
            initiator: Box::new(initiator),
            deadline,
            wanted_code: None,
        }
    }

    /// Checks who the server is and says who we are; false if the server can't be believed. Pairing or login follows.
    pub(super) fn server_hello(self, core: &mut Core, hello: &BytesMut, now: Timestamp) -> bool {
        let profile = core.config.profile();
        let payload = payload::login(&core.device, &profile)
            .unwrap_or_else(|| payload::registration(&core.device, &profile));
        match self.initiator.finish(hello, &core.config.root_key, now, &payload) {
            Ok((finish, transport)) => {
                let mut framed = Vec::with_capacity(finish.len() + 3);
                frame::write(&finish, &mut framed);
                core.raw.push(framed.into());
                core.transport = Some(transport);
            }
            Err(error) => {
                core.close(match error {
                    HandshakeError::Certificate(error) => CloseReason::BadCertificate(error.to_string()),
                    error => CloseReason::BadHandshake(error.to_string()),
                });
                return false;
            }
        }
        core.keep_alive = Some(KeepAlive::new(&core.config.timing, &mut core.rng, now));
        true
    }
}
