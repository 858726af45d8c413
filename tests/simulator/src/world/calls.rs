//! Calls: a contact calls a phone, whose companions are told; what becomes of the call, and who rejects it. No sound is there.
//!
//! Facts: docs/PROTOCOL.md, "Calls".

use whatsapp::binary::Node;
use whatsapp::jid::Jid;

use super::World;
use super::account::PendingKey;
use super::call::{CallShown, CallTurn, NewCall};
use super::port::ConnId;
use crate::number::{Addressing, DeviceAddr, Number};
use crate::refusal::Refusal;

/// Most calls that are remembered.
const MAX_CALLS: usize = 1_024;

impl World {
    /// A contact calls a phone; answers the call's id.
    pub(super) fn call(&mut self, from: Number, new: &NewCall) -> Result<String, Refusal> {
        self.require_contact("number", from)?;
        let to: Number = new
            .to
            .parse()
            .map_err(|error: crate::number::BadNumber| Refusal::bad("to", error.to_string()))?;
        if !self.accounts.contains_key(&to) {
            return Err(Refusal::bad("to", "is no phone"));
        }
        if self.calls.len() >= MAX_CALLS {
            self.calls.pop_front();
        }
        let serial = self.next_id();
        let number = self.seed.number_of(&serial, from.get());
        let id = format!("{number:016X}{:016X}", !number);
        self.calls.push_back(CallShown {
            id: id.clone(),
            from,
            to,
            rejected_by: None,
            over: false,
        });
        let mut offer = Node::new("offer").attr("caller_pn", self.of(from, Addressing::Pn));
        if let Some(group) = &new.group {
            let jid: Jid = group
                .parse()
                .map_err(|_| Refusal::bad("group", "is no address"))?;
            offer = offer.attr("type", "group").attr("group-jid", jid);
        }
        offer.push_child(Node::new("audio").attr("enc", "opus").attr("rate", "16000"));
        if new.video {
            offer.push_child(Node::new("video"));
        }
        self.tell_call(&id, &offer, None);
        Ok(id)
    }

    /// A call goes on.
    pub(super) fn turn_call(&mut self, id: &str, turn: CallTurn) -> Result<(), Refusal> {
        let call = self.calls.iter_mut().find(|call| call.id == id);
        let call = call.ok_or_else(|| Refusal::unknown("id"))?;
        let end = |reason: Option<&'static str>| Node::new("terminate").attr_opt("reason", reason);
        let told = match turn {
            CallTurn::Preaccept => Node::new("preaccept"),
            CallTurn::Accept => Node::new("accept"),
            CallTurn::AcceptedElsewhere => end(Some("accepted_elsewhere")),
            CallTurn::RejectedElsewhere => end(Some("rejected_elsewhere")),
            CallTurn::Timeout => end(Some("timeout")),
            CallTurn::Terminate => end(None),
        };
        call.over = !matches!(turn, CallTurn::Preaccept | CallTurn::Accept);
        self.tell_call(id, &told, None);
        Ok(())
    }

    pub(super) fn show_call(&self, id: &str) -> Result<CallShown, Refusal> {
        let call = self.calls.iter().find(|call| call.id == id).cloned();
        call.ok_or_else(|| Refusal::unknown("id"))
    }

    /// A client says something of a call: none but rejections are expected, by the names that its offer had.
    pub(super) fn on_call(&mut self, conn: ConnId, from: DeviceAddr, node: &Node) {
        self.ack(conn, node);
        let reject = node.child("reject").filter(|reject| reject.attr_is("count", "0"));
        let id = reject.and_then(|reject| reject.attr_str("call-id"));
        let at = self
            .calls
            .iter()
            .position(|call| id.as_deref() == Some(call.id.as_str()) && call.to == from.number && !call.over);
        let (Some(reject), Some(at)) = (reject, at) else {
            self.audit.count.violations += 1;
            return;
        };
        let caller = self.calls[at].from;
        let is_of = |jid: Option<Jid>, number: Number| {
            let who = jid.and_then(|jid| self.seed.resolve(&jid));
            who.is_some_and(|(who, _)| who.number == number)
        };
        let is_right = is_of(node.attr_jid("to"), caller)
            && is_of(reject.attr_jid("call-creator"), caller)
            && is_of(node.attr_jid("from"), from.number);
        if !is_right {
            self.audit.count.violations += 1;
            return;
        }
        let call = &mut self.calls[at];
        call.over = true;
        call.rejected_by = Some(from.device);
        let id = call.id.clone();
        let told = Node::new("terminate").attr("reason", "rejected_elsewhere");
        self.tell_call(&id, &told, Some(from));
    }

    fn of(&self, number: Number, form: Addressing) -> Jid {
        self.seed.jid(DeviceAddr::phone(number), form)
    }

    /// Tells the companions of the phone that is called, but one.
    fn tell_call(&mut self, id: &str, told: &Node, but: Option<DeviceAddr>) {
        let Some(call) = self.calls.iter().find(|call| call.id == id) else {
            return;
        };
        let (from, to) = (call.from, call.to);
        let creator = self.of(from, Addressing::Lid);
        let told = told
            .clone()
            .attr("call-id", id.to_owned())
            .attr("call-creator", &creator);
        for who in self
            .linked_devices(to)
            .filter(|who| Some(*who) != but)
            .collect::<Vec<_>>()
        {
            let stanza = self.next_id();
            let call = Node::new("call")
                .attr("from", &creator)
                .attr("id", &stanza)
                .attr("t", self.clock.unix_seconds())
                .attr("notify", self.push_name_of(from))
                .attr("platform", "android")
                .with_child(told.clone());
            self.enqueue(who, PendingKey::notification(&stanza), call);
        }
    }
}
