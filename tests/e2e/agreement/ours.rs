//! What our session reports, as facts: a row per event.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use whatsapp::poll::option_hash;

use super::fact::{Fact, Names};

/// The facts of an event.
pub(super) fn facts(event: &Value, names: &Names) -> Vec<Fact> {
    let data = &event["data"];
    let rows = || data.as_array().into_iter().flatten();
    match event["event"].as_str().unwrap_or_default() {
        "new.message" => vec![message("message", data, names)],
        "status.broadcast" => vec![message("status", data, names)],
        "messages.set" => rows().map(|row| of_the_past(row, names)).collect(),
        "messages.update" => vec![update(&data["update"], names)],
        "messages.delete" => deletions(data, names),
        "message.reaction" => vec![reaction(data, names)],
        "message.star" => vec![star(data, names)],
        "chats.set" => rows().map(|row| past_chat(row, names)).collect(),
        "contacts.set" => rows().map(|row| past_contact(row, names)).collect(),
        "chats.update" => rows().flat_map(|row| chat(row, names)).collect(),
        "chats.delete" => rows()
            .map(|jid| Fact::new("chat deleted", names.person(text(jid))))
            .collect(),
        "contacts.upsert" | "contacts.update" => rows().flat_map(|row| contact(row, names)).collect(),
        "labels.edit" => vec![label(data)],
        "labels.association" => vec![given(data, names)],
        "presence.update" => presence(data, names),
        "call" => vec![call(data, names)],
        name => beyond(name, data, names),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn message(kind: &'static str, data: &Value, names: &Names) -> Fact {
    let (header, body, context) = (&data["header"], &data["body"], &data["context"]);
    let chat = names.of(&header["wuid"]);
    let fact = Fact::new(kind, text(&header["messageId"]))
        .with("fromMe", header["fromMe"].clone())
        .with("pushName", header["pushName"].clone())
        .with("at", context["messageTimestamp"].clone())
        .with("fromGroup", context["fromGroup"].clone())
        .with("sourceDevice", context["sourceDevice"].clone())
        .with("type", body["messageType"].clone())
        .saying(&body["message"]);
    match kind {
        "status" => fact.with("sender", chat),
        _ => fact
            .with("chat", chat)
            .with("sender", names.of(&header["participant"])),
    }
}

/// A message of the past, or what was said about one.
fn of_the_past(row: &Value, names: &Names) -> Fact {
    let (header, said) = (&row["header"], &row["body"]["message"]);
    let about = |kind, key: &Value| {
        Fact::new(kind, text(&header["messageId"]))
            .with("chat", names.of(&header["wuid"]))
            .with("fromMe", header["fromMe"].clone())
            .with("at", row["context"]["messageTimestamp"].clone())
            .with("target", key["id"].clone())
    };
    match text(&row["body"]["messageType"]) {
        "reactionMessage" => about("past reaction", &said["key"]).with("text", said["text"].clone()),
        "pollUpdateMessage" => {
            let chosen = said["vote"]["selectedOptions"].as_array().into_iter().flatten();
            let chosen = chosen.map(|name| STANDARD.encode(option_hash(text(name))));
            let chosen = chosen.collect::<Vec<_>>();
            about("past vote", &said["pollCreationMessageKey"]).with("chosen", chosen)
        }
        _ => message("past message", row, names),
    }
}

fn update(update: &Value, names: &Names) -> Fact {
    let header = &update["header"];
    let (id, member) = (text(&header["messageId"]), names.of(&header["participant"]));
    let fact = match update["status"].as_str() {
        Some(status) => Fact::new("receipt", format!("{id} {status} {}", text(&member))),
        None => Fact::new("edit", id)
            .with("type", update["edited"]["messageType"].clone())
            .with("sender", member)
            .saying(&update["edited"]["message"]),
    };
    fact.with("chat", names.of(&header["wuid"]))
        .with("fromMe", header["fromMe"].clone())
        .with("at", seconds(&update["dateTime"]))
}

fn deletions(data: &Value, names: &Names) -> Vec<Fact> {
    let Some(rows) = data.as_array() else {
        return vec![Fact::new("chat cleared", names.person(text(&data["wuid"])))];
    };
    let row = |row: &Value| {
        Fact::new("deletion", text(&row["messageId"]))
            .with("chat", names.of(&row["wuid"]))
            .with("fromMe", row["fromMe"].clone())
            .with("sender", names.of(&row["participant"]))
            .with("deletedBy", names.of(&row["deletedBy"]))
    };
    rows.iter().map(row).collect()
}

fn reaction(data: &Value, names: &Names) -> Fact {
    let (header, reaction) = (&data["header"], &data["reaction"]);
    Fact::new("reaction", text(&header["messageId"]))
        .with("chat", names.of(&header["wuid"]))
        .with("sender", names.of(&header["participant"]))
        .with("fromMe", header["fromMe"].clone())
        .with("text", text(&reaction["text"]))
        .with("at", seconds(&data["dateTime"]))
        .with("target", reaction["key"]["messageId"].clone())
        .with("target.fromMe", reaction["key"]["fromMe"].clone())
        .with("target.chat", names.of(&reaction["key"]["wuid"]))
        .with("target.sender", names.of(&reaction["key"]["participant"]))
}

fn star(data: &Value, names: &Names) -> Fact {
    Fact::new("star", text(&data["key"]["messageId"]))
        .with("chat", names.of(&data["key"]["wuid"]))
        .with("fromMe", data["key"]["fromMe"].clone())
        .with("starred", data["starred"].clone())
}

fn past_chat(row: &Value, names: &Names) -> Fact {
    Fact::new("past chat", names.person(text(&row["id"])))
        .with("at", row["conversationTimestamp"].clone())
        .with("unread", row["unreadCount"].clone())
        .with("name", row["name"].clone())
        .with("archived", row["archived"].clone())
        .with("pinned", row["pinned"].clone())
}

fn past_contact(row: &Value, names: &Names) -> Fact {
    Fact::new("past contact", names.person(text(&row["wuid"])))
        .with("name", row["contactName"].clone())
        .with("pushName", row["pushName"].clone())
}

fn chat(row: &Value, names: &Names) -> Vec<Fact> {
    let fact = |kind| Fact::new(kind, names.person(text(&row["id"])));
    let mut facts = Vec::new();
    if let Some(archived) = row.get("archived") {
        facts.push(fact("chat archived").with("on", archived.clone()));
    }
    if let Some(pinned) = row.get("pinned") {
        let pinned_at = fact("chat pinned").with("on", !pinned.is_null());
        facts.push(pinned_at.with("at", seconds(pinned)));
    }
    if let Some(until) = row.get("muteEndTime") {
        let muted = fact("chat muted").with("on", !until.is_null());
        facts.push(muted.with("until", until.clone()));
    }
    if let Some(unread) = row.get("markedUnread") {
        facts.push(fact("chat read").with("on", unread == &Value::from(false)));
    }
    if let Some(at) = row.get("conversationTimestamp") {
        let written = fact("chat written in").with("at", at.clone());
        facts.push(written.with("unread", row["unreadCount"].clone()));
    }
    facts
}

fn contact(row: &Value, names: &Names) -> Vec<Fact> {
    let who = names.person(text(&row["wuid"]));
    let mut facts = Vec::new();
    for (field, kind) in [
        ("contactName", "contact name"),
        ("pushName", "push name"),
        ("picture", "picture"),
        ("about", "about"),
        ("verifiedName", "business name"),
        ("former", "another number"),
    ] {
        if let Some(value) = row.get(field) {
            let value = value.as_str().unwrap_or_default();
            facts.push(Fact::new(kind, who.clone()).with("is", value));
        }
    }
    facts
}

fn label(data: &Value) -> Fact {
    Fact::new("label", text(&data["id"]))
        .with("name", text(&data["name"]))
        .with("color", data["color"].clone())
        .with("deleted", data["deleted"].clone())
}

fn given(data: &Value, names: &Names) -> Fact {
    let key = format!("{} {}", text(&data["labelId"]), names.person(text(&data["wuid"])));
    Fact::new("label of a chat", key).with("on", data["labeled"].clone())
}

fn presence(data: &Value, names: &Names) -> Vec<Fact> {
    let people = data["presences"].as_object().into_iter().flatten();
    let one = |(who, how): (&String, &Value)| {
        Fact::new("presence", names.person(who))
            .with("chat", names.of(&data["jid"]))
            .with("is", how["lastKnownPresence"].clone())
            .with("lastSeen", how["lastSeen"].clone())
    };
    people.map(one).collect()
}

fn call(data: &Value, names: &Names) -> Fact {
    Fact::new("call", text(&data["callId"]))
        .with("status", data["status"].clone())
        .with("from", names.of(&data["wuid"]))
        .with("video", data["isVideo"].clone())
        .with("ofGroup", data["isGroup"].clone())
        .with("group", data["group"].clone())
        .with("callerName", data["callerName"].clone())
        .with("reason", data["reason"].clone())
        .with("offline", data["offline"].clone())
        .with("at", seconds(&data["since"]))
}

/// Groups, and what Baileys has no event of its own for.
fn beyond(name: &str, data: &Value, names: &Names) -> Vec<Fact> {
    let id = text(&data["id"]);
    let by = |fact: Fact| {
        fact.with("by", names.of(&data["author"]["id"]))
            .with("at", seconds(&data["since"]))
    };
    let people = || {
        let people = data["participants"].as_array().into_iter().flatten();
        let people: Vec<_> = people.map(|one| text(&one["id"])).collect();
        names.all(&people)
    };
    let about = |kind| vec![Fact::new(kind, text(&data["header"]["messageId"]))];
    match name {
        "groups.upsert" => vec![by(group(&data["group"], names))],
        "groups.update" => setting(data).into_iter().map(by).collect(),
        "groups.participants" => {
            let fact = Fact::new("members", format!("{id} {}", people()));
            vec![by(fact.with("action", data["action"].clone()))]
        }
        "groups.join-request" => {
            let fact = Fact::new("asks to join", format!("{id} {}", people()));
            let fact = fact.with("action", data["action"].clone());
            vec![by(fact.with("method", data["method"].clone()))]
        }
        "groups.delete" => vec![by(Fact::new("group gone", id))],
        "groups.link" => vec![by(Fact::new("group linked", id))],
        "poll.vote" => about("vote"),
        "message.link_click" => about("click"),
        "contact.identity" => vec![Fact::new("security code", names.person(text(&data["wuid"])))],
        "history.progress" => vec![Fact::new("progress of the past", text(&data["kind"]))],
        // Of each side's own connection.
        "connection.update" | "qrcode.updated" => Vec::new(),
        name if name.starts_with("send.message") || name == "job.accepted" => {
            vec![Fact::new("queue", name)]
        }
        _ => vec![Fact::new("something new", name)],
    }
}

fn group(group: &Value, names: &Names) -> Fact {
    let members = group["participants"].as_array().into_iter().flatten();
    let members: Vec<_> = members.map(|one| text(&one["id"])).collect();
    Fact::new("group", text(&group["id"]))
        .with("subject", group["subject"].clone())
        .with("owner", names.of(&group["owner"]))
        .with("created", group["creation"].clone())
        .with("announce", group["announce"].clone())
        .with("restrict", group["restrict"].clone())
        .with("allMayAdd", group["allMayAdd"].clone())
        .with("asksToJoin", group["asksToJoin"].clone())
        .with("disappearingSeconds", group["disappearingSeconds"].clone())
        .with("members", names.all(&members))
        .with("size", group["size"].clone())
        .with("addressing", group["addressing"].clone())
}

fn setting(data: &Value) -> Option<Fact> {
    const SETTINGS: [&str; 9] = [
        "subject",
        "description",
        "picture",
        "announce",
        "restrict",
        "allMayAdd",
        "asksToJoin",
        "disappearingSeconds",
        "inviteCode",
    ];
    let field = SETTINGS.into_iter().find(|field| data.get(field).is_some())?;
    let key = format!("{} {field}", text(&data["id"]));
    Some(Fact::new("setting of a group", key).with("is", data[field].clone()))
}

fn seconds(millis: &Value) -> Value {
    millis.as_i64().map(|millis| millis / 1_000).into()
}
