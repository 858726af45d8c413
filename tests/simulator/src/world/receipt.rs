//! Receipts: from a linked device to whom it thanks, and from simulated devices to the senders.
//!
//! Facts: docs/PROTOCOL.md, "Receipts" and "Retry receipts".

use compact_str::CompactString;
use whatsapp::binary::Node;
use whatsapp::jid::Server;
use whatsapp::signal::curve::PublicKey;
use whatsapp::signal::{PreKeyBundle, PreKeyId, RegistrationId, SignedPreKeyId};

use super::World;
use super::account::PendingKey;
use super::port::ConnId;
use crate::crowd::{Job, ReceiptIn, ReceiptOut, RetryIn, RetryOut};
use crate::number::{Addressing, DeviceAddr};

/// Receipts that tell only the own devices.
const OWN_KINDS: [&str; 3] = ["sender", "peer_msg", "hist_sync"];

impl World {
    pub(super) fn on_receipt(&mut self, conn: ConnId, from: DeviceAddr, node: &Node) {
        let Some(first) = node.attr_str("id") else {
            self.audit.count.violations += 1;
            return;
        };
        self.ack(conn, node);
        let ids = all_ids(&first, node);
        let kind = node
            .attr_str("type")
            .map(|kind| CompactString::from(kind.as_ref()))
            .unwrap_or_default();
        if kind != "retry" {
            self.settle_messages(from, &ids, &kind);
        }
        if node
            .attr_jid("to")
            .is_some_and(|to| to.server() == Server::Newsletter)
        {
            self.audit.count.violations += 1;
        }
        if let Some(group) = node.attr_jid("to").filter(whatsapp::jid::Jid::is_group) {
            return self.on_group_receipt(from, &group, &kind, node);
        }
        let Some((to, addressing)) = node.attr_jid("to").and_then(|jid| self.seed.resolve(&jid)) else {
            return;
        };
        if matches!(kind.as_str(), "read-self" | "played-self") {
            let told = self.shown(from, addressing, node);
            return self.tell_own_devices(from, (to, addressing), &told);
        }
        if kind == "server-error" {
            return self.on_media_retry(from, node);
        }
        if OWN_KINDS.contains(&kind.as_str()) || (to.number == from.number && kind != "retry") {
            return;
        }
        let is_about_user = matches!(kind.as_str(), "read" | "played");
        if is_about_user && self.reads_in_private(from.number) {
            self.audit.count.violations += 1;
            self.audit.count.reads_told += 1;
        }
        let shown_from = if is_about_user {
            DeviceAddr::phone(from.number)
        } else {
            from
        };
        let stanza = self.shown(shown_from, addressing, node);
        let key = PendingKey::receipt(&ids[0], shown_from);
        for who in self.receivers(to, &kind) {
            self.enqueue(who, key.clone(), stanza.clone());
        }
        if is_about_user {
            self.tell_own_devices(from, (to, addressing), &stanza);
        }
        self.tell_simulated(from, (to, addressing), kind, ids, node);
    }

    /// A receipt as those see it who are told.
    fn shown(&self, from: DeviceAddr, form: Addressing, receipt: &Node) -> Node {
        Node::new("receipt")
            .attr("from", self.seed.jid(from, form))
            .attr("id", receipt.attr_str("id").unwrap_or_default())
            .attr("t", self.clock.unix_seconds())
            .attr_opt("type", receipt.value("type"))
            .attr_opt("recipient", receipt.value("recipient"))
            .with_children(receipt.nodes().iter().cloned())
    }

    /// What one device has read, the others of its account have: they are told so, as of the account and by chat.
    fn tell_own_devices(&mut self, from: DeviceAddr, (to, form): (DeviceAddr, Addressing), receipt: &Node) {
        let own = DeviceAddr::phone(from.number);
        let chat = self.seed.jid(DeviceAddr::phone(to.number), form);
        let mut told = receipt.clone();
        told.set_attr("from", self.seed.jid(own, form));
        told.set_attr("recipient", chat);
        let id = receipt.attr_str("id").unwrap_or_default().into_owned();
        let others: Vec<_> = self
            .linked_devices(from.number)
            .filter(|who| *who != from)
            .collect();
        for who in others {
            self.enqueue(who, PendingKey::receipt(&id, own), told.clone());
        }
    }

    /// A receipt is the acknowledgement of the messages that it names.
    fn settle_messages(&mut self, from: DeviceAddr, ids: &[CompactString], kind: &str) {
        let Some(device) = self.device_mut(from) else {
            return;
        };
        for id in ids {
            let key = PendingKey::message(id);
            device.pending.acked(&key, Some(kind));
        }
    }

    /// The linked devices that a receipt for `to` goes to: a request to send again only to the one that is asked.
    pub(super) fn receivers(&self, to: DeviceAddr, kind: &str) -> Vec<DeviceAddr> {
        self.linked_devices(to.number)
            .filter(|who| kind != "retry" || *who == to)
            .collect()
    }

    /// Gives a receipt to the simulated device that it is for, if there is one.
    pub(super) fn tell_simulated(
        &mut self,
        from: DeviceAddr,
        (to, addressing): (DeviceAddr, Addressing),
        kind: CompactString,
        ids: Vec<CompactString>,
        node: &Node,
    ) {
        let is_phone = self.accounts.contains_key(&to.number) && to.device == 0;
        if !is_phone && !self.population.contains(to.number) {
            return;
        }
        let retry = node.child("retry").map(|retry| RetryIn {
            count: retry
                .attr_u64("count")
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(1),
            registration_id: node
                .child("registration")
                .and_then(Node::data)
                .and_then(|data| RegistrationId::from_be_slice(&data)),
            bundle: node
                .child("keys")
                .and_then(|keys| retry_keys(node, keys))
                .map(Box::new),
        });
        if kind == "retry"
            && retry
                .as_ref()
                .is_none_or(|retry| node.child("keys").is_some() && retry.bundle.is_none())
        {
            self.audit.count.violations += 1;
        }
        let receipt = ReceiptIn {
            to,
            from,
            addressing,
            kind,
            ids,
            t: self.clock.unix_seconds(),
            retry,
        };
        self.crowd.give(to.number, Job::Receipt(Box::new(receipt)));
    }

    /// A simulated device sends a receipt.
    pub(super) fn crowd_receipt(&mut self, receipt: ReceiptOut) {
        if let Some(group) = &receipt.group {
            return self.crowd_group_receipt(group, &receipt);
        }
        let from = match receipt.kind {
            Some("read") => DeviceAddr::phone(receipt.from.number),
            _ => receipt.from,
        };
        let mut stanza = Node::new("receipt")
            .attr("from", self.seed.jid(from, receipt.addressing))
            .attr("id", &receipt.id)
            .attr("t", self.clock.unix_seconds())
            .attr_opt("type", receipt.kind);
        if let Some(retry) = &receipt.retry {
            if let Some(chat) = receipt.own_chat {
                stanza.set_attr(
                    "recipient",
                    self.seed.jid(DeviceAddr::phone(chat), receipt.addressing),
                );
            }
            stanza = stanza.with_children(retry_children(&receipt.id, retry));
        }
        let key = PendingKey::receipt(&receipt.id, from);
        for who in self.receivers(receipt.to, receipt.kind.unwrap_or_default()) {
            self.enqueue(who, key.clone(), stanza.clone());
        }
        let is_simulated = receipt.to.device == 0 || !self.accounts.contains_key(&receipt.to.number);
        if is_simulated {
            let retry = receipt.retry.map(|retry| RetryIn {
                count: retry.count,
                registration_id: Some(retry.registration_id),
                bundle: retry.bundle,
            });
            let told = ReceiptIn {
                to: receipt.to,
                from: receipt.from,
                addressing: receipt.addressing,
                kind: receipt.kind.unwrap_or_default().into(),
                ids: vec![receipt.id],
                t: self.clock.unix_seconds(),
                retry,
            };
            self.crowd.give(receipt.to.number, Job::Receipt(Box::new(told)));
        }
    }
}

/// The messages that a receipt names, `first` and those in its list.
fn all_ids(first: &str, receipt: &Node) -> Vec<CompactString> {
    let items = receipt.child("list").map(Node::nodes).unwrap_or_default();
    let others = items.iter().filter_map(|item| item.attr_str("id"));
    let others = others.filter(|id| id != first).map(|id| id.as_ref().into());
    std::iter::once(first.into()).chain(others).collect()
}

/// The children of a request to send again.
pub(super) fn retry_children(id: &CompactString, retry: &RetryOut) -> Vec<Node> {
    let request = Node::new("retry")
        .attr("count", retry.count)
        .attr("id", id)
        .attr("t", retry.t)
        .attr("v", 1u32)
        .attr("error", retry.error);
    let registration = Node::new("registration").with_slice(&retry.registration_id.to_be_bytes());
    let mut children = vec![request, registration];
    if let Some(bundle) = &retry.bundle {
        let mut keys = vec![
            Node::new("type").with_slice(&[5]),
            Node::new("identity").with_slice(bundle.identity.as_bytes()),
        ];
        keys.extend(super::bundle::key_nodes(bundle));
        children.push(Node::new("keys").with_children(keys));
    }
    children
}

/// The keys in a client's request to send again. Some clients write the type of a key before it here (whatsapp-rust 0.5).
fn retry_keys(receipt: &Node, keys: &Node) -> Option<PreKeyBundle> {
    let public = |node: &Node| PublicKey::parse(&node.data()?).ok();
    let registration = receipt.child("registration")?.data()?;
    let signed = keys.child("skey")?;
    let prekey = keys.child("key").and_then(|key| {
        let id = PreKeyId::from_be_bytes3(&key.child("id")?.data()?)?;
        Some((id, public(key.child("value")?)?))
    });
    let bundle = PreKeyBundle {
        registration_id: RegistrationId::from_be_slice(&registration)?,
        identity: public(keys.child("identity")?)?,
        signed_prekey_id: SignedPreKeyId::from_be_bytes3(&signed.child("id")?.data()?)?,
        signed_prekey: public(signed.child("value")?)?,
        signature: signed.child("signature")?.require_array::<64>().ok()?,
        prekey,
    };
    bundle.verify().ok()?;
    Some(bundle)
}
