//! A client comes in: to be linked, or to log in as a device that is.
//!
//! Facts: docs/PROTOCOL.md, "Login" and "Ends of a stream".

use std::time::Duration;

use whatsapp::binary::Node;
use whatsapp::jid::Jid;
use whatsapp::proto::ClientPayload;
use whatsapp::time::Timestamp;

use super::pairing::Pairing;
use super::port::{ConnId, Opening, Outbound, OutboundQueue};
use super::stanza::{ib, stream_error};
use super::{Conn, ConnState, World, Writing};
use crate::fault::{Kind, Moment};
use crate::number::{Addressing, DeviceAddr, Number};
use crate::refusal::Refusal;

/// A client that did not ask to be passive gets its backlog after this time even if it never says that it is ready.
const ACTIVE_ANYWAY: Duration = Duration::from_secs(2);
/// Answer to a login that is none.
const LOGGED_OUT: u16 = 401;
/// Answer to the login of an account that is banned for a time, which it names, and the reason.
const BANNED: u16 = 402;
const SENT_TO_TOO_MANY: u32 = 101;
const BAN_SECONDS: u32 = 3_600;
/// Answer to the login of an account that is locked, with what its user is told.
const LOCKED: u16 = 403;
/// Answer to a client of a version that is too old.
const OUTDATED: u16 = 405;

impl World {
    pub(super) fn open(&mut self, opening: Opening) {
        let Opening {
            conn,
            noise_key,
            payload,
            outbound,
        } = opening;
        let now = Timestamp::from_secs(self.clock.unix_seconds());
        if !self.versions.takes(&payload, now) {
            return refuse(&outbound, OUTDATED);
        }
        if let Some(data) = payload.device_pairing_data.clone() {
            return match Pairing::new(noise_key, &data, self.clock.now()) {
                Some(pairing) => self.begin_pairing(conn, outbound, pairing),
                None => {
                    self.audit.count.violations += 1;
                    refuse(&outbound, 400);
                }
            };
        }
        let Some(who) = claimed(&payload) else {
            return refuse(&outbound, LOGGED_OUT);
        };
        let known = self
            .device_mut(who)
            .is_some_and(|device| device.noise_key == noise_key);
        if !known {
            return refuse(&outbound, LOGGED_OUT);
        }
        let faults = self.faults.strike(Moment::Login, who.number, None);
        if let Some(fault) = faults.iter().find(|fault| fault.kind == Kind::Failure) {
            return refuse(&outbound, fault.reason.unwrap_or(LOGGED_OUT));
        }
        self.replace_connection(who);
        self.conns.insert(
            conn,
            Conn {
                outbound,
                state: ConnState::Online(who),
                is_mute: false,
            },
        );
        if let Some(fault) = faults.first() {
            return self.end_by_fault(conn, fault);
        }
        self.welcome(conn, who);
        if !payload.passive() {
            self.at(self.clock.now() + ACTIVE_ANYWAY, move |world| {
                world.activate(conn)
            });
        }
    }

    fn welcome(&mut self, conn: ConnId, who: DeviceAddr) {
        let Some(device) = self.device_mut(who) else {
            return;
        };
        device.conn = Some(conn);
        device.is_active = false;
        device.is_available = false;
        device.logins += 1;
        device.pending.rewind();
        self.audit.connected(who);
        let name = self
            .accounts
            .get(&who.number)
            .map(|account| account.name.clone())
            .unwrap_or_default();
        let success = Node::new("success")
            .attr("t", self.clock.unix_seconds())
            .attr("lid", self.seed.jid(who, Addressing::Lid))
            .attr("props", 27u32)
            .attr("abprops", 2u32)
            .attr("location", "frc")
            .attr("display_name", name);
        self.write(conn, &success);
        let routing = Node::new("routing_info").with_slice(&[8, 2, 8, 5]);
        self.write(conn, &ib(Node::new("edge_routing").with_child(routing)));
    }

    fn replace_connection(&mut self, who: DeviceAddr) {
        let old = self.device_mut(who).and_then(|device| device.conn.take());
        if let Some(old) = old {
            self.end_stream(old, &stream_error(None, Some("replaced")));
        }
    }

    /// Takes a linked device away: from its account, and off the line.
    pub(super) fn remove_device(&mut self, who: DeviceAddr) -> bool {
        let Some(account) = self.accounts.get_mut(&who.number) else {
            return false;
        };
        let Some(device) = account.devices.remove(&who.device) else {
            return false;
        };
        account.devices_changed = self.clock.unix_seconds();
        if let Some(conn) = device.conn {
            self.end_stream(conn, &stream_error(Some(LOGGED_OUT), Some("device_removed")));
        }
        self.notify_devices(who, device.key_index, "remove");
        true
    }

    pub(super) fn on_presence(&mut self, conn: ConnId, from: DeviceAddr, node: &Node) {
        let name = node.attr_str("name").filter(|name| !name.is_empty());
        let name = name.map(std::borrow::Cow::into_owned);
        if let (Some(name), Some(account)) = (&name, self.accounts.get_mut(&from.number)) {
            account.name.clone_from(name);
        }
        match node.attr_str("type").as_deref() {
            Some(kind @ ("available" | "unavailable")) => {
                let is_available = kind == "available";
                self.audit.count.unnamed_presences += u64::from(name.is_none());
                if let Some(device) = self.device_mut(from) {
                    device.is_available = is_available;
                    device.named = name;
                }
            }
            Some("subscribe") => {
                let Some(target) = node.attr_jid("to") else { return };
                let Some((who, _)) = self.seed.resolve(&target) else {
                    return;
                };
                if !self.exists(who.number) {
                    return;
                }
                let is_online = self.population.contains(who.number)
                    || self
                        .accounts
                        .get(&who.number)
                        .is_some_and(|account| account.devices.values().any(|device| device.is_available));
                let presence = Node::new("presence").attr("from", target);
                let presence = if is_online {
                    presence
                } else {
                    presence.attr("type", "unavailable").attr("last", "deny")
                };
                self.write(conn, &presence);
            }
            _ => {}
        }
    }

    /// Typing: forwarded to who is there, never kept.
    pub(super) fn on_chatstate(&mut self, from: DeviceAddr, node: &Node) {
        let Some((to, addressing)) = node.attr_jid("to").and_then(|jid| self.seed.resolve(&jid)) else {
            return;
        };
        let is_well_formed = match node.nodes() {
            [state] if state.is("paused") => true,
            [state] if state.is("composing") => {
                state.value("media").is_none() || state.attr_is("media", "audio")
            }
            _ => false,
        };
        match is_well_formed && self.exists(to.number) {
            true => self.audit.count.typing_told += 1,
            false => self.audit.count.violations += 1,
        }
        let sender: Jid = self.seed.jid(DeviceAddr::phone(from.number), addressing);
        let forwarded = Node::new("chatstate")
            .attr("from", sender)
            .with_children(node.nodes().to_vec());
        self.write_to_active(to.number, &forwarded);
    }

    /// A contact writes in the chat with a phone, by hidden id as people do today.
    pub(super) fn writes(&mut self, contact: Number, to: Number, writing: Writing) -> Result<(), Refusal> {
        if !self.population.contains(contact) {
            return Err(Refusal::unknown("number"));
        }
        let state = match writing {
            Writing::Composing => Node::new("composing"),
            Writing::Recording => Node::new("composing").attr("media", "audio"),
            Writing::Paused => Node::new("paused"),
        };
        let from = self.seed.jid(DeviceAddr::phone(contact), Addressing::Pn);
        let told = Node::new("chatstate").attr("from", from).with_child(state);
        self.write_to_active(to, &told);
        Ok(())
    }

    fn write_to_active(&mut self, number: Number, stanza: &Node) {
        let account = self.accounts.get(&number).into_iter();
        let devices = account.flat_map(|account| account.devices.values());
        let conns = devices.filter_map(|device| device.conn.filter(|_| device.is_active));
        for conn in conns.collect::<Vec<ConnId>>() {
            self.write(conn, stanza);
        }
    }
}

/// Which device a login claims to be.
fn claimed(payload: &ClientPayload) -> Option<DeviceAddr> {
    let number = Number::new(payload.username?)?;
    let device = u16::try_from(payload.device?).ok()?;
    Some(DeviceAddr::new(number, device))
}

/// Refuses a client before it is one: its connection ends when the queue is dropped.
fn refuse(outbound: &OutboundQueue, reason: u16) {
    let failure = Node::new("failure")
        .attr("reason", reason)
        .attr("location", "sim");
    let failure = match reason {
        BANNED => failure.attr("code", SENT_TO_TOO_MANY).attr("expire", BAN_SECONDS),
        LOCKED => failure
            .attr("logout_message_header", "Logged out")
            .attr(
                "logout_message_subtext",
                "This account can no longer use WhatsApp",
            )
            .attr("logout_message_locale", "en_US"),
        _ => failure,
    };
    // It may have gone by itself.
    drop(outbound.sender.try_send(Outbound::stanza(&failure)));
}
