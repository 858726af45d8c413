//! Stanzas on their way to a linked device: queued until acknowledged, written while the connection takes them, written
//! again on the next one.
//!
//! Facts: docs/PROTOCOL.md, "Login" and "Acks".

use std::sync::atomic::Ordering;

use compact_str::CompactString;
use whatsapp::binary::Node;

use super::account::{Class, PendingKey};
use super::port::{ConnId, OUTBOUND_RESERVE, Outbound};
use super::stanza::{ack_missing, ib, notification};
use super::{ConnState, World};
use crate::number::{Addressing, DeviceAddr, Number};
use crate::persona::Persona;

impl World {
    /// Queues a stanza for a linked device and writes what can be written.
    pub(super) fn enqueue(&mut self, to: DeviceAddr, key: PendingKey, node: Node) {
        let Some(device) = self.device_mut(to) else { return };
        if !device.pending.push(key, node) {
            self.audit.count.pending_dropped += 1;
        }
        self.flush(to);
    }

    /// Writes what waits for a device, as far as its connection takes it.
    pub(super) fn flush(&mut self, to: DeviceAddr) {
        let Some(device) = self
            .accounts
            .get_mut(&to.number)
            .and_then(|account| account.devices.get_mut(&to.device))
        else {
            return;
        };
        let Some(conn) = device.conn.filter(|_| device.is_active && !device.is_held) else {
            return;
        };
        let Some(open) = self.conns.get(&conn).filter(|open| !open.is_mute) else {
            return;
        };
        loop {
            if open.outbound.sender.capacity() <= OUTBOUND_RESERVE {
                open.outbound.awaits_room.store(true, Ordering::SeqCst);
                // What is queued is written after this, and whoever wrote it looks at the flag then.
                if open.outbound.sender.capacity() <= OUTBOUND_RESERVE {
                    return;
                }
                open.outbound.awaits_room.store(false, Ordering::SeqCst);
            }
            if device.pending.take_drained() {
                let end = ib(Node::new("offline").attr("count", device.pending.drained));
                if open.outbound.sender.try_send(Outbound::stanza(&end)).is_err() {
                    return;
                }
            }
            let Some((node, backlog)) = device.pending.next() else {
                return;
            };
            let stanza = match backlog {
                Some(place) => {
                    let mut node = node.clone();
                    node.set_attr("offline", place);
                    Outbound::stanza(&node)
                }
                None => Outbound::stanza(node),
            };
            if open.outbound.sender.try_send(stanza).is_err() {
                // The connection is gone: all of it is written again on the next.
                return;
            }
        }
    }

    /// The client is ready: tells it of the backlog and begins to write.
    pub(super) fn activate(&mut self, conn: ConnId) {
        let Some(ConnState::Online(who)) = self.conns.get(&conn).map(|conn| &conn.state) else {
            return;
        };
        let who = *who;
        let Some(device) = self.device_mut(who) else {
            return;
        };
        if device.is_active {
            return;
        }
        device.is_active = true;
        let is_first = !std::mem::replace(&mut device.is_shared_with, true);
        let [messages, receipts, notifications] = device.pending.begin_backlog();
        let preview = Node::new("offline_preview")
            .attr("count", messages + receipts + notifications)
            .attr("message", messages)
            .attr("receipt", receipts)
            .attr("notification", notifications)
            .attr("appdata", 0u32);
        let overdue = device.pending.overdue_copy();
        self.write(conn, &ib(preview));
        self.flush(who);
        if is_first {
            self.share(who);
        }
        if let Some(copy) = overdue {
            self.audit.count.copies_unsettled += 1;
            self.end_stream(conn, &ack_missing(&copy));
        }
    }

    /// The device's connection is gone; what it did not acknowledge waits for the next.
    pub(super) fn gone_offline(&mut self, who: DeviceAddr, conn: ConnId) {
        if let Some(device) = self.device_mut(who).filter(|device| device.conn == Some(conn)) {
            device.conn = None;
            device.is_active = false;
            device.is_available = false;
            device.pending.rewind();
        }
    }

    /// A client acknowledges a stanza, or refuses it, which is the same to the queue.
    pub(super) fn on_ack(&mut self, from: DeviceAddr, node: &Node) {
        let class = match node.attr_str("class").as_deref() {
            Some("message" | "status") => Class::Message,
            Some("receipt") => Class::Receipt,
            Some("notification" | "call") => Class::Notification,
            _ => return,
        };
        let Some(id) = node.attr_str("id") else { return };
        let of = node
            .attr_jid("to")
            .and_then(|jid| self.seed.resolve(&jid))
            .map(|(who, _)| who);
        let key = PendingKey {
            class,
            id: CompactString::from(id.as_ref()),
            from: of.filter(|_| class == Class::Receipt),
        };
        let kind = node.attr_str("type");
        let is_status = node.attr_is("to", "status@broadcast");
        let Some(device) = self.device_mut(from) else {
            return;
        };
        if is_status && node.value("error").is_some() {
            // All that waits stays behind it.
            device.is_held = true;
            self.audit.count.statuses_refused += 1;
            return;
        }
        device.pending.acked(&key, kind.as_deref());
        if is_status && std::mem::take(&mut device.is_held) {
            self.flush(from);
        }
    }

    /// Acknowledges a receipt or a call of a client.
    pub(super) fn ack(&mut self, conn: ConnId, node: &Node) {
        let Some(id) = node.value("id") else { return };
        let ack = Node::new("ack")
            .attr("class", node.tag())
            .attr("id", id)
            .attr_opt("from", node.value("to"))
            .attr_opt("type", node.value("type"))
            .attr_opt("participant", node.value("participant"))
            .attr("t", self.clock.unix_seconds());
        self.write(conn, &ack);
    }

    /// Queues a notification for a linked device: its head says from whom and of which type it is.
    pub(super) fn notify(&mut self, to: DeviceAddr, head: Node, child: Node) {
        let id = self.next_id();
        let node = head
            .attr("id", &id)
            .attr("t", self.clock.unix_seconds())
            .with_child(child);
        self.enqueue(to, PendingKey::notification(&id), node);
    }

    /// Tells an account's other devices and the accounts that know it that a device came (`add`) or went (`remove`).
    pub(super) fn notify_devices(&mut self, changed: DeviceAddr, key_index: u32, change: &'static str) {
        let own_jid = self.seed.jid(DeviceAddr::phone(changed.number), Addressing::Pn);
        let lid = self.seed.jid(DeviceAddr::phone(changed.number), Addressing::Lid);
        let (list, since) = self.key_index_list(changed.number);
        let indexes = Node::new("key-index-list").attr("ts", since);
        let device = Node::new("device")
            .attr("jid", self.seed.jid(changed, Addressing::Pn))
            .attr("lid", self.seed.jid(changed, Addressing::Lid))
            .attr("key-index", key_index);
        let hash = self.device_hash(&[changed.number], Addressing::Pn);
        let lid_hash = self.device_hash(&[changed.number], Addressing::Lid);
        let own: Vec<_> = self
            .linked_devices(changed.number)
            .filter(|who| *who != changed)
            .collect();
        for who in own {
            let devices = self.own_device_nodes(changed.number);
            let child = Node::new("devices").attr("dhash", &hash).with_children(devices);
            self.notify(who, notification(&own_jid, "account_sync"), child);
        }
        let indexes = if change == "add" {
            indexes.with_bytes(list)
        } else {
            indexes
        };
        for peer in self.peers_of(changed.number) {
            let devices: Vec<_> = self.linked_devices(peer).collect();
            for who in devices {
                let child = Node::new(change)
                    .attr("device_hash", &hash)
                    .attr("device_lid_hash", &lid_hash)
                    .with_child(device.clone())
                    .with_child(indexes.clone());
                let head = Node::new("notification")
                    .attr("from", &own_jid)
                    .attr("lid", &lid)
                    .attr("type", "devices");
                self.notify(who, head, child);
            }
        }
    }

    fn own_device_nodes(&self, number: Number) -> Vec<Node> {
        let phone = Node::new("device").attr("jid", self.seed.jid(DeviceAddr::phone(number), Addressing::Pn));
        let linked = self
            .accounts
            .get(&number)
            .into_iter()
            .flat_map(|account| &account.devices);
        let linked = linked.map(|(id, device)| {
            Node::new("device")
                .attr("jid", self.seed.jid(DeviceAddr::new(number, *id), Addressing::Pn))
                .attr("key-index", device.key_index)
        });
        std::iter::once(phone).chain(linked).collect()
    }

    pub(super) fn peers_of(&self, number: Number) -> Vec<Number> {
        match self.accounts.get(&number) {
            Some(account) => account.peers.iter().copied().collect(),
            None => self
                .contacts
                .get(&number)
                .map(|contact| contact.peers.to_vec())
                .unwrap_or_default(),
        }
    }

    /// The addresses of an account's linked devices.
    pub(super) fn linked_devices(&self, number: Number) -> impl Iterator<Item = DeviceAddr> + '_ {
        let devices = self
            .accounts
            .get(&number)
            .into_iter()
            .flat_map(|account| account.devices.keys());
        devices.map(move |device| DeviceAddr::new(number, *device))
    }

    /// The signed list of an account's key indexes and when it was made.
    pub(super) fn key_index_list(&self, number: Number) -> (bytes::Bytes, u64) {
        let (indexes, since) = match self.accounts.get(&number) {
            Some(account) => (account.key_indexes(), account.devices_changed),
            None => {
                let companions = self
                    .contacts
                    .get(&number)
                    .map(|contact| contact.companions.as_slice());
                let indexes = companions
                    .unwrap_or_default()
                    .iter()
                    .map(|(_, index)| *index)
                    .collect();
                (indexes, crate::persona::ACCOUNTS_SINCE)
            }
        };
        (
            Persona::new(&self.seed, DeviceAddr::phone(number)).key_index_list(&indexes, since),
            since,
        )
    }

    pub(super) fn device_mut(&mut self, who: DeviceAddr) -> Option<&mut super::account::Device> {
        self.accounts.get_mut(&who.number)?.devices.get_mut(&who.device)
    }
}
