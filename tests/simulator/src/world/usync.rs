//! The `usync` query: who is on WhatsApp, under which ids, with which devices.
//!
//! Facts: docs/PROTOCOL.md, "User queries".

use whatsapp::binary::Node;
use whatsapp::phash::devices_hash;

use super::port::ConnId;
use super::stanza::{error, iq_from_server};
use super::{ConnState, World};
use crate::number::{Addressing, DeviceAddr, Number};

/// Most users of one query.
const MAX_USERS: usize = 20_000;

impl World {
    pub(super) fn on_usync(&mut self, conn: ConnId, id: &str, iq: &Node) {
        let Some(usync) = iq.child("usync") else {
            return self.write(conn, &error(id, 400, "bad-request"));
        };
        let protocols: Vec<&Node> = usync
            .child("query")
            .map(Node::nodes)
            .unwrap_or_default()
            .iter()
            .collect();
        let asked = usync.child("list").map(Node::nodes).unwrap_or_default();
        self.note_look_ups(asked);
        let asker = self.online(conn);
        let users: Vec<Node> = asked
            .iter()
            .filter(|user| user.is("user"))
            .take(MAX_USERS)
            .filter_map(|user| self.usync_user(asker, user, &protocols))
            .collect();
        let results =
            Node::new("result").with_children(protocols.iter().map(|protocol| Node::new(&protocol.tag)));
        let mut answer = Node::new("usync").attr("index", "0").attr("last", "true");
        for name in ["sid", "mode", "context"] {
            if let Some(value) = usync.value(name) {
                answer.set_attr(name, value);
            }
        }
        let answer = answer
            .with_child(results)
            .with_child(Node::new("list").with_children(users));
        self.write(conn, &iq_from_server("result", id).with_child(answer));
    }

    /// The answer for one user; `None` where a real server has no entry.
    fn usync_user(&self, asker: Option<Number>, user: &Node, protocols: &[&Node]) -> Option<Node> {
        let queried = user.child("contact").and_then(Node::text).unwrap_or_default();
        let by_jid = user.attr_jid("jid").and_then(|jid| self.seed.resolve(&jid));
        let (number, form) = match by_jid {
            Some((who, form)) => (Some(who.number), form),
            None => {
                let asked = number_in(&queried);
                let spelled = asked.map(|asked| *self.spellings.get(&asked).unwrap_or(&asked));
                (spelled, Addressing::Pn)
            }
        };
        let known = number.filter(|number| self.exists(*number));
        let wants_contact = protocols.iter().find(|protocol| protocol.is("contact"));
        if known.is_none() && wants_contact.is_none() {
            return None;
        }
        let by_lid = wants_contact.is_some_and(|contact| contact.attr_is("addressing_mode", "lid"));
        let mut answer = Node::new("user");
        if let Some(number) = number {
            let who = DeviceAddr::phone(number);
            let form = if by_lid { Addressing::Lid } else { form };
            // Who is not on WhatsApp has no hidden id.
            if known.is_some() || form == Addressing::Pn {
                answer = answer.attr("jid", self.seed.jid(who, form));
            }
            if form == Addressing::Lid {
                answer = answer.attr("pn_jid", self.seed.jid(who, Addressing::Pn));
            }
        }
        for protocol in protocols {
            if protocol.is("contact") {
                let kind = if known.is_some() { "in" } else { "out" };
                let text = match number.filter(|_| queried.is_empty()) {
                    Some(number) => format!("+{number}"),
                    None => queried.to_string(),
                };
                answer.push_child(
                    Node::new("contact")
                        .attr("type", kind)
                        .with_slice(text.as_bytes()),
                );
            } else if let Some(number) = known {
                let is_empty =
                    protocol.is("devices") && form == Addressing::Pn && self.hides_devices(asker, number);
                answer = match is_empty {
                    true => answer.with_child(Node::new("devices").with_child(Node::new("device-list"))),
                    false => answer.with_children(self.usync_protocol(number, protocol.tag())),
                };
            }
        }
        Some(answer)
    }

    /// Counts the numbers that are asked for as such.
    fn note_look_ups(&mut self, users: &[Node]) {
        let by_number = users.iter().filter(|user| user.value("jid").is_none());
        for number in by_number.filter_map(|user| number_in(&user.child("contact")?.text()?)) {
            self.audit.looked_up(number);
        }
    }

    /// Whether this account gets no devices of another by its number.
    fn hides_devices(&self, asker: Option<Number>, number: Number) -> bool {
        let account = asker
            .filter(|asker| *asker != number)
            .and_then(|asker| self.accounts.get(&asker));
        account.is_some_and(|account| account.addressing.migrated && account.addressing.empty_lists)
    }

    fn online(&self, conn: ConnId) -> Option<Number> {
        match &self.conns.get(&conn)?.state {
            ConnState::Online(who) => Some(who.number),
            ConnState::Pairing(_) => None,
        }
    }

    fn usync_protocol(&self, number: Number, protocol: &str) -> Option<Node> {
        let account = self.accounts.get(&number);
        Some(match protocol {
            "devices" => self.usync_devices(number),
            "lid" => Node::new("lid").attr("val", self.seed.jid(DeviceAddr::phone(number), Addressing::Lid)),
            "status" => Node::new("status")
                .attr("t", self.clock.unix_seconds())
                .with_slice(
                    account
                        .map_or("Available", |account| account.about.as_str())
                        .as_bytes(),
                ),
            "disappearing_mode" => Node::new("disappearing_mode")
                .attr("duration", 0u32)
                .attr("t", self.clock.unix_seconds()),
            _ => return None,
        })
    }

    /// Companions are valid only with the account's signed list of their key indexes.
    fn usync_devices(&self, number: Number) -> Node {
        let companions: Vec<(u16, u32)> = match self.accounts.get(&number) {
            Some(account) => account
                .devices
                .iter()
                .map(|(id, device)| (*id, device.key_index))
                .collect(),
            None => self
                .contacts
                .get(&number)
                .map(|contact| contact.companions.to_vec())
                .unwrap_or_default(),
        };
        let phone = Node::new("device").attr("id", 0u32);
        let linked = companions
            .iter()
            .map(|(device, index)| Node::new("device").attr("id", *device).attr("key-index", *index));
        let list = Node::new("device-list")
            .attr("hash", self.device_hash(&[number], Addressing::Pn))
            .with_children(std::iter::once(phone).chain(linked));
        let devices = Node::new("devices").with_child(list);
        if companions.is_empty() {
            return devices;
        }
        let (signed, since) = self.key_index_list(number);
        devices.with_child(Node::new("key-index-list").attr("ts", since).with_bytes(signed))
    }

    /// The hash of the devices of users, under the addresses of this form.
    pub(super) fn device_hash(&self, numbers: &[Number], form: Addressing) -> String {
        let jids: Vec<_> = numbers
            .iter()
            .flat_map(|number| {
                let devices = self.devices_of(*number).unwrap_or_default();
                devices
                    .into_iter()
                    .map(|device| self.seed.jid(DeviceAddr::new(*number, device), form))
            })
            .collect();
        devices_hash(&jids)
    }
}

/// The number in what a client asks for: `+15551230001`, or with `@c.us` behind it.
fn number_in(queried: &str) -> Option<Number> {
    let digits = queried.split('@').next()?.trim_start_matches('+');
    digits.parse().ok()
}
