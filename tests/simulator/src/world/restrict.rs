//! How the server restricts an account.
//!
//! A contact is new to an account as long as it has not written to it, and for messages that do not show a token that the
//! contact gave it and that still counts: one from before the account was linked is as good.
//!
//! Facts: docs/PROTOCOL.md, "Restrictions".

use std::time::Duration;

use serde_json::{Value, json};
use whatsapp::binary::Node;
use whatsapp::jid::Jid;
use whatsapp::stanza::mex::{NEW_CHAT_CAPS, TIME_LOCK};

use super::World;
use super::limits::{Cap, CapState, Limits, Lock, Restrict};
use super::stanza::{iq_from_server, notification};
use crate::number::{DeviceAddr, Number};
use crate::refusal::Refusal;

/// The longest that a restriction lasts.
const MAX_SECONDS: u64 = 366 * 86_400;
/// Most contacts of one account that are remembered for having written to it, or for having been refused.
const MAX_REMEMBERED: usize = 1_000_000;

/// Codes of refusals.
mod code {
    pub(super) const TOO_FAST: u16 = 429;
    pub(super) const NEW_CONTACT: u16 = 463;
    pub(super) const NEW_CHAT_CAP: u16 = 475;
}

/// What the control API asks for.
impl World {
    /// Begins a lock, or ends the present one.
    pub(super) fn restrict(&mut self, phone: Number, asked: Option<Restrict>) -> Result<(), Refusal> {
        if asked.as_ref().is_some_and(|asked| asked.seconds > MAX_SECONDS) {
            return Err(Refusal::bad("seconds", format!("must be at most {MAX_SECONDS}")));
        }
        let now = self.clock.unix_seconds();
        let limits = self.limits_mut(phone)?;
        let Some(asked) = asked else {
            let lock = limits.lock.take();
            if lock.is_some_and(|lock| lock.asked.tell) {
                self.tell_lock(phone, json!({ "is_active": false }));
            }
            return Ok(());
        };
        limits.last += 1;
        limits.refused.clear();
        let (number, tell, ends_in) = (limits.last, asked.tell, Duration::from_secs(asked.seconds));
        let ends = now + asked.seconds;
        let lock = Lock { number, asked, ends };
        let told = lock.to_json();
        limits.lock = Some(lock);
        if tell {
            self.tell_lock(phone, told);
        }
        self.at(self.clock.now() + ends_in, move |world| {
            let limits = world.limits_mut(phone);
            let present = limits.ok().and_then(|limits| limits.lock.as_ref());
            if present.is_some_and(|lock| lock.number == number) {
                drop(world.restrict(phone, None));
            }
        });
        Ok(())
    }

    /// Caps new chats, or ends that.
    pub(super) fn cap(&mut self, phone: Number, cap: Option<Cap>) -> Result<(), Refusal> {
        if cap.is_some_and(|cap| cap.seconds > MAX_SECONDS) {
            return Err(Refusal::bad("seconds", format!("must be at most {MAX_SECONDS}")));
        }
        let now = self.clock.unix_seconds();
        let limits = self.limits_mut(phone)?;
        let Some(cap) = cap else {
            limits.cap = None;
            return Ok(());
        };
        limits.last += 1;
        limits.refused.clear();
        let number = limits.last;
        let ends = now + cap.seconds;
        limits.cap = Some(CapState {
            number,
            cap,
            ends,
            told: [false; 2],
        });
        self.tell_cap(phone);
        self.at(
            self.clock.now() + Duration::from_secs(cap.seconds),
            move |world| {
                let limits = world.limits_mut(phone);
                let present = limits.ok().and_then(|limits| limits.cap.as_ref());
                if present.is_some_and(|cap| cap.number == number) {
                    drop(world.cap(phone, Some(Cap { used: 0, ..cap })));
                }
            },
        );
        Ok(())
    }

    /// Refuses every message of an account for a while.
    pub(super) fn rate_limit(&mut self, phone: Number, seconds: u64) -> Result<(), Refusal> {
        if seconds > MAX_SECONDS {
            return Err(Refusal::bad("seconds", format!("must be at most {MAX_SECONDS}")));
        }
        let until = self.clock.now() + Duration::from_secs(seconds);
        self.limits_mut(phone)?.too_fast_until = Some(until);
        Ok(())
    }

    fn limits_mut(&mut self, phone: Number) -> Result<&mut Limits, Refusal> {
        let account = self.accounts.get_mut(&phone);
        let account = account.ok_or_else(|| Refusal::unknown("number"))?;
        Ok(&mut account.limits)
    }
}

/// What becomes of messages.
impl World {
    /// Somebody has written to an account.
    pub(super) fn note_heard(&mut self, from: Number, to: Number) {
        if let Some(account) = self.accounts.get_mut(&to).filter(|_| from != to) {
            let heard = &mut account.limits.heard;
            if heard.len() < MAX_REMEMBERED {
                heard.insert(from);
            }
        }
    }

    /// Why the server does not take a message, if it does not; a message that it takes counts for the cap.
    pub(super) fn refuses(&mut self, from: DeviceAddr, to: Number, node: &Node) -> Option<u16> {
        let is_repeat = node.attr_is("device_fanout", "false");
        if to == from.number || is_repeat || node.attr_is("category", "peer") {
            return None;
        }
        let has_written = self.has_written(from.number, to);
        let shows_token = self.shows_token(from.number, to, node);
        let now = self.clock.now();
        let limits = self.limits_mut(from.number).ok()?;
        if limits.too_fast_until.is_some_and(|until| until > now) {
            return Some(code::TOO_FAST);
        }
        let is_new = !shows_token && !limits.heard.contains(&to);
        let refusal = match (&limits.lock, &limits.cap) {
            (Some(_), _) if is_new => code::NEW_CONTACT,
            (_, Some(cap)) if is_new && !has_written && cap.cap.used >= cap.cap.total => code::NEW_CHAT_CAP,
            _ => {
                if is_new && !has_written {
                    self.count_chat(from.number);
                }
                return None;
            }
        };
        if limits.refused.len() < MAX_REMEMBERED && !limits.refused.insert(to) {
            self.audit.count.refused_again += 1;
        }
        self.audit.count.refused_new += 1;
        Some(refusal)
    }

    /// Whether an account has written to somebody.
    fn has_written(&self, from: Number, to: Number) -> bool {
        match self.accounts.get(&to) {
            Some(account) => account.peers.contains(&from),
            None => self
                .contacts
                .get(&to)
                .is_some_and(|contact| contact.peers.contains(&from)),
        }
    }

    fn count_chat(&mut self, phone: Number) {
        let cap = self.limits_mut(phone).ok().and_then(|limits| limits.cap.as_mut());
        if let Some(cap) = cap {
            cap.cap.used += 1;
            self.tell_cap(phone);
        }
    }
}

/// What is told and answered.
impl World {
    fn tell_lock(&mut self, phone: Number, lock: Value) {
        let data = json!({ "data": { "xwa2_notify_account_reachout_timelock": lock } });
        self.tell_by_mex(phone, "NotificationUserReachoutTimelockUpdate", &data);
    }

    /// Tells of the half and of the whole, each once.
    fn tell_cap(&mut self, phone: Number) {
        let now = self.clock.unix_seconds();
        let Ok(Limits { cap: Some(state), .. }) = self.limits_mut(phone) else {
            return;
        };
        let reached = [
            state.cap.used * 2 >= state.cap.total,
            state.cap.used >= state.cap.total,
        ];
        let is_news = reached != state.told && reached[0];
        state.told = reached;
        if is_news {
            let data = json!({ "data": { "xwa2_notify_new_chat_messages_capping_info_update": state.to_json(now) } });
            self.tell_by_mex(phone, "MessageCappingInfoNotification", &data);
        }
    }

    fn tell_by_mex(&mut self, phone: Number, operation: &'static str, data: &Value) {
        let devices: Vec<_> = self.linked_devices(phone).collect();
        for device in devices {
            let update = Node::new("update")
                .attr("op_name", operation)
                .with_slice(data.to_string().as_bytes());
            self.notify(device, notification(&Jid::SERVER, "mex"), update);
        }
    }

    /// The answer to a question in the server's JSON dialect. A document that the server does not know is an error in it.
    pub(super) fn mex(&mut self, phone: Number, id: &str, iq: &Node) -> Node {
        let query = iq.child("query");
        let document = query.and_then(|query| query.attr_str("query_id"));
        let now = self.clock.unix_seconds();
        let limits = self.limits_mut(phone).ok();
        let answered = limits.as_ref().and_then(|limits| limits.lock.as_ref());
        let is_answered = answered.is_none_or(|lock| lock.asked.answer);
        let cap_documents = NEW_CHAT_CAPS.map(|document| document.id);
        let data = match (document.as_deref(), limits) {
            (Some(document), Some(limits)) if document == TIME_LOCK.id && is_answered => {
                let none = || json!({ "is_active": false, "time_enforcement_ends": "0", "enforcement_type": "DEFAULT" });
                json!({ TIME_LOCK.path: limits.lock.as_ref().map_or_else(none, Lock::to_json) })
            }
            (Some(document), Some(limits)) if cap_documents.contains(&document) => {
                let none = || json!({ "capping_status": "NONE", "total_quota": -1, "used_quota": 0 });
                let cap = limits.cap.as_ref();
                json!({ NEW_CHAT_CAPS[0].path: cap.map_or_else(none, |cap| cap.to_json(now)) })
            }
            _ => {
                let problem = json!({ "errors": [{
                    "message": "The persisted query was not found",
                    "extensions": { "error_code": 400, "is_retryable": false, "severity": "CRITICAL" },
                }] });
                return mex_result(id, &problem);
            }
        };
        mex_result(id, &json!({ "data": data }))
    }
}

fn mex_result(id: &str, body: &Value) -> Node {
    let result = Node::new("result").with_slice(body.to_string().as_bytes());
    iq_from_server("result", id).with_child(result)
}
