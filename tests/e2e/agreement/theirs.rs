//! What Baileys reports, as facts: a row per event.

use serde_json::{Value, json};

use super::fact::{Fact, Names};

/// The facts of an event: its name and data.
pub(super) fn facts(told: &Value, names: &Names) -> Vec<Fact> {
    let data = &told["data"];
    let rows = || data.as_array().into_iter().flatten();
    match told["name"].as_str().unwrap_or_default() {
        "messages.upsert" => {
            let messages = data["messages"].as_array().into_iter().flatten();
            messages.map(|one| came(one, names)).collect()
        }
        "messaging-history.set" => past(data, names),
        "messages.update" => rows().map(|row| update(row, names)).collect(),
        "message-receipt.update" => rows().flat_map(|row| of_member(row, names)).collect(),
        "messages.delete" => {
            let keys = data["keys"].as_array().into_iter().flatten();
            keys.map(|key| deletion(&key["id"], key, names)).collect()
        }
        "messages.reaction" => rows().map(|row| reaction(row, names)).collect(),
        "chats.update" => rows().flat_map(|row| chat(row, names)).collect(),
        "chats.upsert" => rows()
            .map(|row| Fact::new("chat made", names.person(text(&row["id"]))))
            .collect(),
        "chats.delete" => rows()
            .map(|jid| Fact::new("chat deleted", names.person(text(jid))))
            .collect(),
        "contacts.upsert" | "contacts.update" => rows().flat_map(|row| contact(row, names)).collect(),
        "labels.edit" => vec![label(data)],
        "labels.association" => vec![given(data, names)],
        "presence.update" => presence(data, names),
        "call" => rows().map(|row| call(row, names)).collect(),
        name => of_groups(name, data, names),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A message, or what stands for a change of a group.
fn came(message: &Value, names: &Names) -> Fact {
    let stub = &message["messageStubType"];
    if !stub.is_null() && stub != 0 {
        return Fact::new("note of a chat", text(&message["key"]["id"]));
    }
    match text(&message["key"]["remoteJid"]) {
        "status@broadcast" => self::message("status", message, names),
        _ => self::message("message", message, names),
    }
}

fn message(kind: &'static str, message: &Value, names: &Names) -> Fact {
    let key = &message["key"];
    let (name, content) = said(&message["message"]);
    let fact = Fact::new(kind, text(&key["id"]))
        .with("fromMe", key["fromMe"].clone())
        .with("pushName", message["pushName"].clone())
        .with("at", number(&message["messageTimestamp"]))
        .with("status", message["status"].clone())
        .with("type", name)
        .with("sender", names.of(&key["participant"]))
        .saying(content);
    match kind {
        "status" => fact,
        _ => fact
            .with("chat", names.of(&key["remoteJid"]))
            .with("fromGroup", text(&key["remoteJid"]).ends_with("@g.us")),
    }
}

/// The kind of a message without its version, and what it says, without what it is wrapped in.
fn said(message: &Value) -> (Value, &Value) {
    const BESIDE: [&str; 2] = ["messageContextInfo", "senderKeyDistributionMessage"];
    let fields = message.as_object().into_iter().flatten();
    let mut fields = fields.filter(|(name, value)| !BESIDE.contains(&name.as_str()) && !value.is_null());
    let Some((name, content)) = fields.next() else {
        return (Value::Null, &Value::Null);
    };
    match content.get("message") {
        Some(inner) if inner.is_object() => said(inner),
        _ => {
            let version = name.rfind("MessageV").map_or(name.len(), |at| at + 7);
            (json!(name[..version]), content)
        }
    }
}

fn past(data: &Value, names: &Names) -> Vec<Fact> {
    let list = |name: &str| data[name].as_array().cloned().unwrap_or_default();
    let chats = list("chats").into_iter().map(|row| {
        Fact::new("past chat", names.person(text(&row["id"])))
            .with("at", number(&row["conversationTimestamp"]))
            .with("unread", row["unreadCount"].clone())
            .with("name", row["name"].clone())
            .with("archived", row["archived"].clone())
    });
    let contacts = list("contacts").into_iter().map(|row| {
        Fact::new("past contact", names.person(text(&row["id"])))
            .with("name", row["name"].clone())
            .with("pushName", row["notify"].clone())
    });
    let messages = list("messages").into_iter();
    let messages = messages.flat_map(|row| {
        let mut said = about(&row, names);
        said.push(message("past message", &row, names));
        said
    });
    chats.chain(contacts).chain(messages).collect()
}

/// What was said about a message of the past.
fn about(row: &Value, names: &Names) -> Vec<Fact> {
    let target = |fact: Fact, key: &Value, millis: &Value| {
        let at = number(millis).as_i64().map(|millis| millis / 1_000);
        fact.with("chat", names.of(&key["remoteJid"]))
            .with("fromMe", key["fromMe"].clone())
            .with("target", row["key"]["id"].clone())
            .with("at", at)
    };
    let reactions = row["reactions"].as_array().into_iter().flatten().map(|said| {
        let fact = Fact::new("past reaction", text(&said["key"]["id"]));
        let fact = fact.with("text", said["text"].clone());
        target(fact, &said["key"], &said["senderTimestampMs"])
    });
    let votes = row["pollUpdates"].as_array().into_iter().flatten().map(|said| {
        let key = &said["pollUpdateMessageKey"];
        let fact = Fact::new("past vote", text(&key["id"]));
        let fact = fact.with("chosen", said["vote"]["selectedOptions"].clone());
        target(fact, key, &said["senderTimestampMs"])
    });
    reactions.chain(votes).collect()
}

/// Something is new of a message.
fn update(row: &Value, names: &Names) -> Fact {
    const STATUSES: [&str; 6] = ["ERROR", "PENDING", "SERVER_ACK", "DELIVERY_ACK", "READ", "PLAYED"];
    let (key, update) = (&row["key"], &row["update"]);
    let about = |fact: Fact| {
        fact.with("chat", names.of(&key["remoteJid"]))
            .with("fromMe", key["fromMe"].clone())
    };
    let id = text(&key["id"]);
    let edited = &update["message"]["editedMessage"]["message"];
    let status = update["status"]
        .as_u64()
        .and_then(|status| usize::try_from(status).ok());
    if let Some(status) = status.and_then(|status| STATUSES.get(status)) {
        let fact = Fact::new("receipt", format!("{id} {status} "));
        about(fact).with("at", number(&update["messageTimestamp"]))
    } else if edited.is_object() {
        let (name, content) = said(edited);
        let fact = Fact::new("edit", id).with("type", name).saying(content);
        about(fact)
            .with("sender", names.of(&key["participant"]))
            .with("at", number(&update["messageTimestamp"]))
    } else if let Some(starred) = update.get("starred") {
        about(Fact::new("star", id)).with("starred", starred.clone())
    } else if !update["messageStubType"].is_null() {
        deletion(&key["id"], key, names)
    } else {
        Fact::new("something new", "messages.update")
    }
}

fn deletion(id: &Value, key: &Value, names: &Names) -> Fact {
    Fact::new("deletion", text(id))
        .with("chat", names.of(&key["remoteJid"]))
        .with("fromMe", key["fromMe"].clone())
        .with("sender", names.of(&key["participant"]))
}

/// What became of a message of a group at one of its members.
fn of_member(row: &Value, names: &Names) -> Vec<Fact> {
    let (key, receipt) = (&row["key"], &row["receipt"]);
    let member = names.person(text(&receipt["userJid"]));
    let statuses = [("receiptTimestamp", "DELIVERY_ACK"), ("readTimestamp", "READ")];
    let there = statuses.into_iter().filter_map(|(field, status)| {
        let at = receipt.get(field)?;
        let fact = Fact::new("receipt", format!("{} {status} {member}", text(&key["id"])));
        let fact = fact.with("chat", names.of(&key["remoteJid"]));
        Some(fact.with("fromMe", key["fromMe"].clone()).with("at", number(at)))
    });
    there.collect()
}

fn reaction(row: &Value, names: &Names) -> Fact {
    let (key, target) = (&row["reaction"]["key"], &row["key"]);
    Fact::new("reaction", text(&key["id"]))
        .with("chat", names.of(&key["remoteJid"]))
        .with("sender", names.of(&key["participant"]))
        .with("fromMe", key["fromMe"].clone())
        .with("text", text(&row["reaction"]["text"]))
        .with("target", target["id"].clone())
        .with("target.fromMe", target["fromMe"].clone())
        .with("target.chat", names.of(&target["remoteJid"]))
        .with("target.sender", names.of(&target["participant"]))
}

fn chat(row: &Value, names: &Names) -> Vec<Fact> {
    let fact = |kind| Fact::new(kind, names.person(text(&row["id"])));
    let mut facts = Vec::new();
    if let Some(archived) = row.get("archived") {
        facts.push(fact("chat archived").with("on", archived.clone()));
    }
    if let Some(pinned) = row.get("pinned") {
        let on = fact("chat pinned").with("on", !pinned.is_null());
        facts.push(
            on.with(
                "at",
                pinned
                    .as_i64()
                    .map(|at| if at > 1 << 40 { at / 1_000 } else { at }),
            ),
        );
    }
    if let Some(until) = row.get("muteEndTime") {
        let muted = fact("chat muted").with("on", !until.is_null());
        facts.push(muted.with("until", number(until)));
    }
    if let Some(at) = row.get("conversationTimestamp") {
        let written = fact("chat written in").with("at", number(at));
        facts.push(written.with("unread", row["unreadCount"].clone()));
    } else if let Some(unread) = row["unreadCount"].as_i64() {
        facts.push(fact("chat read").with("on", unread == 0));
    }
    if row.get("readOnly").is_some() {
        facts.push(fact("chat read-only").with("on", row["readOnly"].clone()));
    }
    if row.get("name").or_else(|| row.get("description")).is_some() {
        facts.push(fact("chat called"));
    }
    facts
}

fn contact(row: &Value, names: &Names) -> Vec<Fact> {
    let who = names.person(text(&row["id"]));
    let mut facts = Vec::new();
    for (field, kind) in [
        ("name", "contact name"),
        ("notify", "push name"),
        ("imgUrl", "picture"),
        ("verifiedName", "business name"),
    ] {
        if let Some(value) = row.get(field) {
            facts.push(Fact::new(kind, who.clone()).with("is", value.clone()));
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
    let of = &data["association"];
    let key = format!("{} {}", text(&of["labelId"]), names.person(text(&of["chatId"])));
    Fact::new("label of a chat", key).with("on", data["type"] == "add")
}

fn presence(data: &Value, names: &Names) -> Vec<Fact> {
    let people = data["presences"].as_object().into_iter().flatten();
    let one = |(who, how): (&String, &Value)| {
        Fact::new("presence", names.person(who))
            .with("chat", names.of(&data["id"]))
            .with("is", how["lastKnownPresence"].clone())
            .with("lastSeen", how["lastSeen"].clone())
    };
    people.map(one).collect()
}

fn call(row: &Value, names: &Names) -> Fact {
    Fact::new("call", text(&row["id"]))
        .with("status", row["status"].clone())
        .with("from", names.of(&row["from"]))
        .with("video", row["isVideo"].clone())
        .with("ofGroup", row["isGroup"].clone())
        .with("group", row["groupJid"].clone())
        .with("offline", row["offline"].clone())
        .with("at", row["date"].clone())
}

fn of_groups(name: &str, data: &Value, names: &Names) -> Vec<Fact> {
    let rows = || data.as_array().into_iter().flatten();
    let by = |fact: Fact, row: &Value| fact.with("by", names.of(&row["author"]));
    let id = text(&data["id"]);
    match name {
        "groups.upsert" => rows().map(|row| by(group(row, names), row)).collect(),
        "groups.update" => rows().filter_map(|row| Some(by(setting(row)?, row))).collect(),
        "group-participants.update" => {
            let people = data["participants"].as_array().into_iter().flatten();
            let people: Vec<_> = people.map(|one| text(&one["id"])).collect();
            let fact = Fact::new("members", format!("{id} {}", names.all(&people)));
            vec![by(fact.with("action", data["action"].clone()), data)]
        }
        "group.join-request" => {
            let who = names.person(text(&data["participant"]));
            let fact = Fact::new("asks to join", format!("{id} {who}"));
            let fact = fact.with("action", data["action"].clone());
            vec![by(fact.with("method", data["method"].clone()), data)]
        }
        "messaging-history.status" => vec![Fact::new("end of the past", text(&data["status"]))],
        "lid-mapping.update" => vec![Fact::new("both names", names.person(text(&data["lid"])))],
        _ => vec![Fact::new("something new", name)],
    }
}

fn group(row: &Value, names: &Names) -> Fact {
    let members = row["participants"].as_array().into_iter().flatten();
    let members: Vec<_> = members.map(|one| text(&one["id"])).collect();
    Fact::new("group", text(&row["id"]))
        .with("subject", row["subject"].clone())
        .with("owner", names.of(row.get("owner").unwrap_or(&row["ownerPn"])))
        .with("created", row["creation"].clone())
        .with("announce", row["announce"].clone())
        .with("restrict", row["restrict"].clone())
        .with("allMayAdd", row["memberAddMode"].clone())
        .with("asksToJoin", row["joinApprovalMode"].clone())
        .with("disappearingSeconds", row["ephemeralDuration"].clone())
        .with("members", names.all(&members))
        .with("size", row["size"].clone())
        .with("addressing", row["addressingMode"].clone())
}

fn setting(row: &Value) -> Option<Fact> {
    // By the names that we have for them.
    const SETTINGS: [(&str, &str); 7] = [
        ("subject", "subject"),
        ("desc", "description"),
        ("announce", "announce"),
        ("restrict", "restrict"),
        ("memberAddMode", "allMayAdd"),
        ("joinApprovalMode", "asksToJoin"),
        ("inviteCode", "inviteCode"),
    ];
    let mut settings = SETTINGS.into_iter();
    let (field, name) = settings.find(|(field, _)| row.get(field).is_some())?;
    let key = format!("{} {name}", text(&row["id"]));
    Some(Fact::new("setting of a group", key).with("is", row[field].clone()))
}

/// A number that the JSON of a protobuf has as a text where it has 64 bits.
fn number(value: &Value) -> Value {
    match value.as_str().and_then(|text| text.parse::<i64>().ok()) {
        Some(number) => number.into(),
        None => value.clone(),
    }
}
