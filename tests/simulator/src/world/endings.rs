//! Ends of connections that a test asks for: what the server says, or does not say any more.
//!
//! Facts: docs/PROTOCOL.md, "Ends of a stream".

use whatsapp::binary::Node;

use super::port::{ConnId, Outbound};
use super::stanza::{ib, stream_error};
use super::{ConnState, World};
use crate::fault::{Fault, Faults, Kind, Says};

/// The code of a device that is not its account's any more.
const LOGGED_OUT: u16 = 401;

impl World {
    /// Ends a connection as a fault says.
    pub(super) fn end_by_fault(&mut self, conn: ConnId, fault: &Fault) {
        match fault.kind {
            Kind::StreamError => self.end_stream(conn, &error_of(fault)),
            Kind::StreamEnd => {
                self.write(conn, &Node::new("xmlstreamend"));
                self.put(conn, Outbound::CloseSoon);
                self.drop_conn(conn);
            }
            Kind::Silence => {
                if let Some(open) = self.conns.get_mut(&conn) {
                    open.is_mute = true;
                }
            }
            Kind::Rubbish => self.put(conn, Outbound::Rubbish),
            Kind::Downgrade => self.write(conn, &ib(Node::new("downgrade_webclient"))),
            _ => self.close(conn),
        }
    }

    /// Strikes all online sessions that a fault matches.
    pub(super) fn strike_now(&mut self, fault: &Fault) -> usize {
        let struck: Vec<ConnId> = self
            .conns
            .iter()
            .filter_map(|(conn, open)| match open.state {
                ConnState::Online(who) if Faults::matches_now(fault, who.number) => Some(*conn),
                _ => None,
            })
            .collect();
        for conn in &struck {
            self.end_by_fault(*conn, fault);
        }
        struck.len()
    }
}

fn error_of(fault: &Fault) -> Node {
    let says = fault.says.unwrap_or(match fault.code {
        Some(LOGGED_OUT) => Says::DeviceRemoved,
        Some(_) => Says::Nothing,
        None => Says::Replaced,
    });
    let plain = || stream_error(fault.code, None);
    match says {
        Says::Replaced => stream_error(fault.code, Some("replaced")),
        Says::DeviceRemoved => stream_error(fault.code, Some("device_removed")),
        Says::Ack => plain().with_child(Node::new("ack").attr("class", "receipt").attr("id", "1")),
        Says::NotWellFormed => plain().with_child(Node::new("xml-not-well-formed")),
        Says::Nothing => plain(),
    }
}
