//! Questions in the server's JSON dialect ("mex"), and its news in it: what restricts an account.
//!
//! Every question is a stored document that goes by a number, and the numbers change with WhatsApp Web's builds: an answer
//! that says so is no answer.
//!
//! Facts: docs/PROTOCOL.md, "Restrictions".

use serde_json::Value;

use crate::binary::Node;
use crate::event::NewChatCap;
use crate::jid::Jid;
use crate::time::Timestamp;

/// A document: its number, its variables and where its answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Document {
    /// The number that it goes by.
    pub id: &'static str,
    /// Its variables, as JSON.
    pub variables: &'static str,
    /// The member of `data` that answers it.
    pub path: &'static str,
}

/// The reach-out time lock.
pub const TIME_LOCK: Document = Document {
    id: "23983697327930364",
    variables: "{}",
    path: "xwa2_fetch_account_reachout_timelock",
};

/// The cap on new chats, as two clients ask for it: they agree on nothing but the answer.
pub const NEW_CHAT_CAPS: [Document; 2] = [
    Document {
        id: "27910975521856601",
        variables: r#"{"input":{"type":"INDIVIDUAL_NEW_CHAT_THREAD"}}"#,
        path: "xwa2_message_capping_info",
    },
    Document {
        id: "24503548349331633",
        variables: r#"{"input":{"type":"INDIVIDUAL_NEW_CHAT_MSG"}}"#,
        path: "xwa2_message_capping_info",
    },
];

impl Document {
    /// The question, without its id.
    #[must_use]
    pub fn to_node(self) -> Node {
        let body = format!(r#"{{"variables":{}}}"#, self.variables);
        let query = Node::new("query")
            .attr("query_id", self.id)
            .with_slice(body.as_bytes());
        Node::new("iq")
            .attr("to", Jid::SERVER)
            .attr("type", "get")
            .attr("xmlns", "w:mex")
            .with_child(query)
    }

    /// What the reply says; `None` if it says nothing: an error, another form, another document.
    #[must_use]
    pub fn read(self, reply: &Node) -> Option<Value> {
        let result = reply.child("result")?;
        let mut data = data(result)?;
        data.get_mut(self.path).map(Value::take).filter(Value::is_object)
    }
}

/// News in a `<notification type="mex">`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The reach-out time lock.
    TimeLock(TimeLock),
    /// The cap on new chats.
    NewChatCap(NewChatCap),
    /// Something that we do not act on.
    Other,
}

impl News {
    /// Reads the notification. What it is about is said twice, by `op_name` and by the member of `data`; the second counts.
    /// `None` if it is about a restriction and can't be read.
    #[must_use]
    pub fn parse(notification: &Node) -> Option<Self> {
        let update = notification.child("update").filter(|update| !has_form(update));
        let Some(update) = update else {
            return Some(Self::Other);
        };
        let is_ours = update
            .attr_str("op_name")
            .is_some_and(|name| OPERATIONS.contains(&name.as_ref()));
        let data = data(update);
        let member = |name: &str| data.as_ref().and_then(|data| data.get(name));
        if let Some(lock) = member("xwa2_notify_account_reachout_timelock") {
            return TimeLock::read(lock).map(Self::TimeLock);
        }
        if let Some(cap) = member("xwa2_notify_new_chat_messages_capping_info_update") {
            return read_cap(cap).map(Self::NewChatCap);
        }
        (!is_ours).then_some(Self::Other)
    }
}

/// The reach-out time lock, as the server tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeLock {
    /// Whether new contacts can't be written to.
    pub is_active: bool,
    /// The server's word for why.
    pub reason: Option<String>,
    /// Until when; none if it does not say.
    pub ends: Option<Timestamp>,
}

impl TimeLock {
    /// Reads the object; `None` if it does not say whether the lock is active.
    #[must_use]
    pub fn read(lock: &Value) -> Option<Self> {
        Some(Self {
            is_active: lock.get("is_active")?.as_bool()?,
            reason: word(lock, "enforcement_type"),
            ends: number(lock, "time_enforcement_ends")
                .filter(|ends| *ends > 0)
                .map(Timestamp::from_secs),
        })
    }
}

/// Reads what an answer or a notification says of the cap; `None` if that is nothing.
#[must_use]
pub fn read_cap(cap: &Value) -> Option<NewChatCap> {
    let read = NewChatCap {
        status: word(cap, "capping_status"),
        // -1 is no cap, and so is no number.
        total: number(cap, "total_quota"),
        used: number(cap, "used_quota"),
        cycle_ends: number(cap, "cycle_end_timestamp")
            .filter(|ends| *ends > 0)
            .map(Timestamp::from_secs),
    };
    (read != NewChatCap::default() || cap.get("total_quota").is_some()).then_some(read)
}

/// The `data` of an answer or a notification, unless there are errors beside it.
fn data(node: &Node) -> Option<Value> {
    if has_form(node) {
        return None;
    }
    let bytes = node.bytes().filter(|bytes| bytes.len() <= MAX_BYTES)?;
    let mut body: Value = serde_json::from_slice(&bytes).ok()?;
    let has_errors = body
        .get("errors")
        .is_some_and(|errors| !errors.as_array().is_some_and(Vec::is_empty) && !errors.is_null());
    if has_errors {
        return None;
    }
    body.get_mut("data").map(Value::take).filter(Value::is_object)
}

/// Whether the content is in a binary form that nobody reads.
fn has_form(node: &Node) -> bool {
    node.attr_str("format").is_some_and(|form| form != "json")
}

/// A number, written as one or as text; none if it is negative.
fn number(object: &Value, name: &str) -> Option<u64> {
    match object.get(name)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn word(object: &Value, name: &str) -> Option<String> {
    let word = object.get(name)?.as_str()?;
    let is_word = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (!word.is_empty() && word.len() <= MAX_WORD_BYTES && word.bytes().all(is_word)).then(|| word.to_owned())
}

/// The names that notifications of restrictions go by.
const OPERATIONS: [&str; 2] = [
    "NotificationUserReachoutTimelockUpdate",
    "MessageCappingInfoNotification",
];
/// Longest answer that is read.
const MAX_BYTES: usize = 64 * 1024;
/// Longest word of the server that is handed on.
const MAX_WORD_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(form: &'static str, body: &str) -> Node {
        let result = Node::new("result").with_slice(body.as_bytes());
        let result = match form {
            "" => result,
            form => result.attr("format", form),
        };
        Node::new("iq").attr("type", "result").with_child(result)
    }

    fn lock(body: &str) -> Option<TimeLock> {
        let body = format!(r#"{{"data":{{"{}":{body}}}}}"#, TIME_LOCK.path);
        TimeLock::read(&TIME_LOCK.read(&reply("", &body))?)
    }

    fn notification(operation: &'static str, body: &str) -> Node {
        let update = Node::new("update")
            .attr("op_name", operation)
            .with_slice(body.as_bytes());
        Node::new("notification").attr("type", "mex").with_child(update)
    }

    #[test]
    fn the_question_is_that_of_the_clients_seen() {
        let node = TIME_LOCK.to_node();
        let query = node.child("query").unwrap();
        assert!(query.attr_is("query_id", "23983697327930364"));
        assert_eq!(query.text().as_deref(), Some(r#"{"variables":{}}"#));
        let cap = NEW_CHAT_CAPS[0].to_node();
        let text = cap.child("query").unwrap().text().unwrap().into_owned();
        assert_eq!(
            text,
            r#"{"variables":{"input":{"type":"INDIVIDUAL_NEW_CHAT_THREAD"}}}"#
        );
    }

    #[test]
    fn the_end_of_a_lock_is_text_a_number_or_absent() {
        let ends = |body: &str| lock(body).unwrap().ends.map(Timestamp::as_secs);
        let text = r#"{"is_active":true,"time_enforcement_ends":"1795881600","enforcement_type":"RESTRICT_ALL_COMPANIONS"}"#;
        assert_eq!(ends(text), Some(1_795_881_600));
        assert_eq!(
            lock(text).unwrap().reason.as_deref(),
            Some("RESTRICT_ALL_COMPANIONS")
        );
        assert_eq!(
            ends(r#"{"is_active":true,"time_enforcement_ends":1795881600}"#),
            Some(1_795_881_600)
        );
        for none in [
            r#"{"is_active":true}"#,
            r#"{"is_active":true,"time_enforcement_ends":"0"}"#,
            r#"{"is_active":true,"time_enforcement_ends":null}"#,
            r#"{"is_active":true,"time_enforcement_ends":"soon"}"#,
        ] {
            assert_eq!(ends(none), None, "{none}");
        }
        assert!(!lock(r#"{"is_active":false}"#).unwrap().is_active);
    }

    #[test]
    fn what_is_no_answer_says_nothing() {
        let good = format!(r#"{{"data":{{"{}":{{"is_active":true}}}}}}"#, TIME_LOCK.path);
        assert!(TIME_LOCK.read(&reply("", &good)).is_some());
        assert!(TIME_LOCK.read(&reply("json", &good)).is_some());
        assert!(TIME_LOCK.read(&reply("argo", &good)).is_none());
        let errors =
            r#"{"errors":[{"message":"persisted query not found","extensions":{"error_code":400}}]}"#;
        let beside = good.replacen('{', r#"{"errors":[{"message":"x"}],"#, 1);
        for rubbish in [
            errors,
            beside.as_str(),
            "",
            "null",
            "[]",
            "{",
            r#"{"data":null}"#,
            r#"{"data":{"x":1}}"#,
        ] {
            assert!(TIME_LOCK.read(&reply("", rubbish)).is_none(), "{rubbish}");
        }
        for odd in ["null", "7", "{}", r#"{"is_active":"yes"}"#] {
            assert_eq!(lock(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_cap_is_read_in_numbers_and_in_text() {
        let read = |body: &str| read_cap(&serde_json::from_str(body).unwrap());
        let cap = read(
            r#"{"capping_status":"CAPPED","total_quota":"100","used_quota":100,"cycle_end_timestamp":"1795881600"}"#,
        )
        .unwrap();
        assert_eq!((cap.total, cap.used), (Some(100), Some(100)));
        assert_eq!(cap.cycle_ends, Some(Timestamp::from_secs(1_795_881_600)));
        assert!(cap.is_reached());
        let free = read(r#"{"total_quota":-1,"used_quota":7}"#).unwrap();
        assert!(free.total.is_none() && !free.is_reached());
        assert!(
            read(r#"{"total_quota":10,"used_quota":10}"#)
                .unwrap()
                .is_reached()
        );
        let warned = r#"{"capping_status":"SECOND_WARNING","total_quota":10,"used_quota":10}"#;
        assert!(!read(warned).unwrap().is_reached());
        assert!(read("{}").is_none() && read("[]").is_none());
    }

    #[test]
    fn news_are_known_by_their_data_and_odd_ones_by_their_name() {
        let locked = r#"{"data":{"xwa2_notify_account_reachout_timelock":{"is_active":true}}}"#;
        let lock = News::TimeLock(TimeLock {
            is_active: true,
            reason: None,
            ends: None,
        });
        assert_eq!(
            News::parse(&notification(OPERATIONS[0], locked)),
            Some(lock.clone())
        );
        assert_eq!(News::parse(&notification("Renamed", locked)), Some(lock));
        assert_eq!(News::parse(&notification(OPERATIONS[0], "{")), None);
        assert_eq!(News::parse(&notification(OPERATIONS[1], r#"{"data":{}}"#)), None);
        assert_eq!(
            News::parse(&notification("NotificationNewsletterJoin", "{")),
            Some(News::Other)
        );
        assert_eq!(News::parse(&Node::new("notification")), Some(News::Other));
    }
}
