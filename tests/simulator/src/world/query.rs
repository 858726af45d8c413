//! The table of queries: what the server answers to each `<iq>` of a linked device.
//!
//! Facts: docs/PROTOCOL.md, "Queries".

use whatsapp::binary::Node;
use whatsapp::jid::Server;

use super::World;
use super::port::ConnId;
use super::stanza::{error, iq_from_server};
use crate::number::{Addressing, DeviceAddr, Number};

/// Longest about text that is taken, in characters.
const MAX_ABOUT: usize = 139;
/// Most entries of a block list.
const MAX_BLOCKED: usize = 10_000;

impl World {
    pub(super) fn on_iq(&mut self, conn: ConnId, from: DeviceAddr, iq: &Node) {
        let (Some(id), Some(kind)) = (iq.attr_str("id"), iq.attr_str("type")) else {
            return;
        };
        if kind != "get" && kind != "set" {
            return;
        }
        let id = id.into_owned();
        let xmlns = iq.attr_str("xmlns").unwrap_or_default();
        match (xmlns.as_ref(), kind.as_ref()) {
            ("encrypt", "get") => self.on_encrypt_get(conn, from, &id, iq),
            ("encrypt", "set") => self.on_encrypt_set(conn, from, &id, iq),
            ("usync", "get") => self.on_usync(conn, &id, iq),
            ("passive", "set") => {
                self.write(conn, &iq_from_server("result", &id));
                if iq.child("active").is_some() {
                    self.activate(conn);
                }
            }
            ("md", "set") => self.on_unlink(conn, from, &id, iq),
            ("w:sync:app:state", _) => {
                let answer = self.app_state_answer(from, &id, iq);
                self.write(conn, &answer);
            }
            ("privacy", "set") if iq.child("tokens").is_some() => self.on_issue(conn, from, &id, iq),
            _ => {
                let mut reply = self.simple_answer(from, &xmlns, &kind, &id, iq);
                // Who was asked answers: a group for itself.
                if let Some(to) = iq.attr_jid("to").filter(|to| to.server() == Server::Group) {
                    reply.set_attr("from", to);
                }
                self.write(conn, &reply);
            }
        }
    }

    /// Whatever nobody knows gets an empty result.
    pub(super) fn empty_result(&mut self, conn: ConnId, iq: &Node) {
        if let Some(id) = iq.attr_str("id") {
            self.write(conn, &iq_from_server("result", &id));
        }
    }

    fn simple_answer(&mut self, from: DeviceAddr, xmlns: &str, kind: &str, id: &str, iq: &Node) -> Node {
        let result = iq_from_server("result", id);
        match (xmlns, kind) {
            ("w:p", _) => result.attr("t", self.clock.unix_seconds()),
            ("abt", "get") => match self.accounts.get(&from.number) {
                Some(account) => account.properties.answer(id),
                None => result,
            },
            ("blocklist", _) => result.with_child(self.blocklist(from.number, iq)),
            ("privacy", _) => match self.privacy(from, iq) {
                Some(settings) => result.with_child(settings),
                None => error(id, 400, "bad-request"),
            },
            ("status", "set") => match self.set_about(from.number, iq) {
                true => result,
                false => error(id, 400, "bad-request"),
            },
            ("status", "get") => result.with_child(Node::new("privacy").with_child(contacts_list())),
            ("w:profile:picture", "get") => self.picture(id, iq),
            ("w:profile:picture", _) => self.set_picture(from.number, id, iq),
            ("w:biz", "get") => result.with_child(self.business(iq)),
            ("w:g2", _) => self.group_answer(from, id, iq),
            ("w:m", "set") if iq.child("media_conn").is_some() => {
                self.audit.count.media_conns += 1;
                match self.files.media_conn() {
                    Some(conn) => result.with_child(conn),
                    None => error(id, 503, "service-unavailable"),
                }
            }
            ("w:m", _) => error(id, 503, "service-unavailable"),
            ("w:mex", _) => self.mex(from.number, id, iq),
            ("w:qr", _) => error(id, 404, "item-not-found"),
            ("bot", "get") => result.with_child(bot_list()),
            _ => result,
        }
    }

    fn on_unlink(&mut self, conn: ConnId, from: DeviceAddr, id: &str, iq: &Node) {
        self.write(conn, &iq_from_server("result", id));
        let Some(target) = iq.child("remove-companion-device") else {
            return;
        };
        let who = target
            .attr_jid("jid")
            .and_then(|jid| self.seed.resolve(&jid))
            .map_or(from, |(who, _)| who);
        if who.number == from.number {
            self.remove_device(who);
        }
    }

    fn blocklist(&mut self, number: Number, iq: &Node) -> Node {
        let mut odd = 0;
        let changes: Vec<_> = iq
            .nodes_named("item")
            .filter_map(|item| {
                let (who, by) = self.seed.resolve(&item.attr_jid("jid")?)?;
                let is_block = item.attr_is("action", "block");
                // Somebody is blocked by hidden id, with the number beside it, and unblocked by the id alone.
                odd += u64::from(by != Addressing::Lid || is_block != item.attr_jid("pn_jid").is_some());
                Some((who.number, is_block))
            })
            .collect();
        self.audit.count.violations += odd;
        let mut list = Node::new("list").attr("dhash", "1");
        let Some(account) = self.accounts.get_mut(&number) else {
            return list;
        };
        for (who, is_block) in changes {
            if !is_block {
                account.blocked.remove(&who);
            } else if account.blocked.len() < MAX_BLOCKED {
                account.blocked.insert(who);
            }
        }
        for blocked in &account.blocked {
            let jid = self.seed.jid(DeviceAddr::phone(*blocked), Addressing::Lid);
            list.push_child(Node::new("item").attr("jid", jid));
        }
        list
    }

    /// The settings, changed as asked; `None` where there is no such setting or value.
    fn privacy(&mut self, from: DeviceAddr, iq: &Node) -> Option<Node> {
        for category in iq.child("privacy").map(Node::nodes).unwrap_or_default() {
            let (name, value) = (category.attr_str("name")?, category.attr_str("value")?);
            let is_known = PRIVACY_VALUES.contains(&value.as_ref());
            if !is_known || !self.set_privacy(from.number, &name, &value, Some(from)) {
                return None;
            }
        }
        let mut answer = Node::new("privacy");
        for (name, value) in self
            .accounts
            .get(&from.number)
            .iter()
            .flat_map(|one| &one.privacy)
        {
            answer.push_child(category(name, value));
        }
        Some(answer)
    }

    /// The account lets others know something else of it; its devices hear of it, but for the one that said so. Whether
    /// there is such a setting.
    pub(super) fn set_privacy(
        &mut self,
        number: Number,
        name: &str,
        value: &str,
        by: Option<DeviceAddr>,
    ) -> bool {
        let account = self.accounts.get_mut(&number);
        let Some(setting) = account.and_then(|account| account.privacy.get_mut(name)) else {
            return false;
        };
        value.clone_into(setting);
        let own = self.seed.jid(DeviceAddr::phone(number), Addressing::Pn);
        let others = self.linked_devices(number).filter(|who| Some(*who) != by);
        for who in others.collect::<Vec<_>>() {
            let head = Node::new("notification")
                .attr("from", &own)
                .attr("type", "account_sync");
            self.notify(who, head, Node::new("privacy").with_child(category(name, value)));
        }
        true
    }

    /// Whether the account keeps to itself what it has read.
    pub(super) fn reads_in_private(&self, number: Number) -> bool {
        let account = self.accounts.get(&number);
        account.is_some_and(|account| {
            account
                .privacy
                .get("readreceipts")
                .is_some_and(|value| value != "all")
        })
    }

    fn set_about(&mut self, number: Number, iq: &Node) -> bool {
        let text = iq.child("status").and_then(Node::text);
        let text = text.filter(|text| text.chars().count() <= MAX_ABOUT);
        match (text, self.accounts.get_mut(&number)) {
            (Some(text), Some(account)) => account.about = text.into_owned(),
            _ => return false,
        }
        true
    }
}

/// What a privacy setting may be.
const PRIVACY_VALUES: &[&str] = &[
    "all",
    "contacts",
    "contact_blacklist",
    "contact_allowlist",
    "match_last_seen",
    "known",
    "none",
    "on_standard",
    "off",
];

/// No bot is known; the list has its version and its sections all the same.
fn bot_list() -> Node {
    Node::new("bot")
        .attr("v", "2")
        .with_child(Node::new("section").attr("type", "all").attr("name", "all"))
}

fn category(name: &str, value: &str) -> Node {
    Node::new("category").attr("name", name).attr("value", value)
}

fn contacts_list() -> Node {
    Node::new("list").attr("type", "contacts").attr("default", "true")
}
