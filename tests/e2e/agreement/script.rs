//! What the phone, its contacts and the server do: the script.

use anyhow::Result;
use serde_json::{Value, json};

use super::kinds::{file, messages};
use super::stage::{Act, Stage};

/// All of it.
pub(super) async fn play(stage: &mut Stage) -> Result<()> {
    kinds(stage).await?;
    changes(stage).await?;
    receipts(stage).await?;
    in_a_group(stage).await?;
    statuses_and_channels(stage).await?;
    state(stage).await?;
    people(stage).await?;
    group_changes(stage).await
}

/// A message of each kind, each from a contact.
async fn kinds(stage: &mut Stage) -> Result<()> {
    for (name, message) in messages() {
        let bytes = stage.encode(&message).await?;
        stage
            .act(stage.says(name, 0, json!({ "protobuf": bytes })))
            .await?;
    }
    let ad = json!({ "title": "Flowers", "url": "https://fb.me/abc", "id": "120210", "click": "ARAk" });
    stage
        .act(stage.says(
            "a text behind an advertisement",
            1,
            json!({ "text": "Is it there?", "ad": ad }),
        ))
        .await?;
    stage
        .act(stage.says(
            "a text of somebody by hidden id",
            5,
            json!({ "text": "Guess who" }),
        ))
        .await?;
    stage
        .act(stage.writes("a text of the phone", 0, json!({ "text": "from the phone" })))
        .await?;
    let picture = stage
        .encode(&json!({ "imageMessage": file("image/jpeg") }))
        .await?;
    stage
        .act(stage.writes("a picture of the phone", 0, json!({ "protobuf": picture })))
        .await
        .map(drop)
}

/// What is done with messages of a chat.
async fn changes(stage: &mut Stage) -> Result<()> {
    let theirs = stage
        .act(stage.says("another text", 0, json!({ "text": "good morning" })))
        .await?;
    let ours = stage
        .act(stage.writes("another text of the phone", 0, json!({ "text": "and to you" })))
        .await?;
    for (name, text) in [("a reaction", "🦖"), ("a reaction taken back", "")] {
        let said = json!({ "reaction": { "id": ours, "text": text } });
        stage
            .act(
                stage
                    .says(name, 0, said)
                    .told("message.reaction", "messages.reaction"),
            )
            .await?;
    }
    let said = json!({ "reaction": { "id": theirs, "text": "👍", "own": true } });
    let act = stage.says("a reaction to one's own", 0, said);
    stage
        .act(act.told("message.reaction", "messages.reaction"))
        .await?;
    let said = json!({ "reaction": { "id": theirs, "text": "👍" } });
    let act = stage.writes("a reaction of the phone", 0, said);
    stage
        .act(act.told("message.reaction", "messages.reaction"))
        .await?;

    let said = json!({ "edit": { "id": theirs, "text": "good evening" } });
    let act = stage.says("an edit", 0, said);
    stage
        .act(act.told("messages.update", "messages.update").of(&theirs))
        .await?;
    let said = json!({ "edit": { "id": ours, "text": "and to both" } });
    let act = stage.writes("an edit of the phone", 0, said);
    stage
        .act(act.told("messages.update", "messages.update").of(&ours))
        .await?;
    let act = stage.says("a deletion", 0, json!({ "deletion": { "id": theirs } }));
    stage
        .act(act.told("messages.delete", "messages.update").of(&theirs))
        .await?;
    let act = stage.writes(
        "a deletion of the phone",
        0,
        json!({ "deletion": { "id": ours } }),
    );
    stage
        .act(act.told("messages.delete", "messages.update").of(&ours))
        .await?;

    let poll = json!({ "poll": { "name": "Where?", "options": ["here", "there"] } });
    let poll = stage.act(stage.writes("a poll of the phone", 1, poll)).await?;
    stage.until_contact_has(1, &poll).await?;
    for (name, options) in [("a vote", json!(["here"])), ("a vote taken back", json!([]))] {
        let vote = json!({ "vote": { "poll": poll, "options": options } });
        stage
            .act(stage.says(name, 1, vote).told("poll.vote", "messages.upsert"))
            .await?;
    }
    Ok(())
}

/// What becomes of what the phone wrote, by the devices of whom it wrote to.
async fn receipts(stage: &mut Stage) -> Result<()> {
    let id = stage
        .act(stage.writes("a text to somebody who reads", 2, json!({ "text": "read this" })))
        .await?;
    for (name, kind) in [
        ("it is delivered", "delivery"),
        ("it is read", "read"),
        ("it is played", "played"),
    ] {
        let path = format!("/contacts/{}/receipts", stage.contacts[2]);
        let body = json!({ "to": stage.phone, "id": id, "type": kind });
        let act = Act::new(name, path, body).told("messages.update", "messages.update");
        stage.act(act.of(&id)).await?;
    }
    Ok(())
}

async fn in_a_group(stage: &mut Stage) -> Result<()> {
    let members = json!([
        stage.contacts[0],
        stage.contacts[1],
        stage.contacts[5],
        stage.phone
    ]);
    let made = json!({ "subject": "Friends", "members": members });
    let act = Act::new("a group with us is made", "/groups", made).told("groups.upsert", "groups.upsert");
    let group = stage.act(act).await?;
    let theirs = stage
        .act(stage.says_in("a text in a group", 0, &group, json!({ "text": "to all" })))
        .await?;
    let ours = json!({ "to": group, "text": "to all of you" });
    let ours = stage
        .act(stage.writes("a text of the phone in a group", 0, ours))
        .await?;
    let reaction = json!({ "reaction": { "id": theirs, "text": "❤", "own": true } });
    let act = stage.says_in("a reaction in a group", 0, &group, reaction);
    stage
        .act(act.told("message.reaction", "messages.reaction"))
        .await?;
    let edit = json!({ "edit": { "id": theirs, "text": "to everybody" } });
    let act = stage.says_in("an edit in a group", 0, &group, edit);
    stage
        .act(act.told("messages.update", "messages.update").of(&theirs))
        .await?;
    let kinds = [
        ("a text of the phone is delivered in a group", "delivery"),
        ("a text of the phone is read in a group", "read"),
    ];
    for (name, kind) in kinds {
        let path = format!("/contacts/{}/receipts", stage.contacts[1]);
        let body = json!({ "to": stage.phone, "id": ours, "type": kind, "group": group });
        let act = Act::new(name, path, body).told("messages.update", "message-receipt.update");
        stage.act(act.of(&ours)).await?;
    }
    let poll = json!({ "poll": { "name": "Who?", "options": ["you", "me"] } });
    let poll = stage
        .act(stage.says_in("a poll in a group", 0, &group, poll))
        .await?;
    stage.until_contact_has(1, &poll).await?;
    let vote = json!({ "vote": { "poll": poll, "options": ["me"] } });
    let act = stage.says_in("a vote in a group", 1, &group, vote);
    stage.act(act.told("poll.vote", "messages.upsert")).await?;
    let act = stage.says_in(
        "a deletion in a group",
        0,
        &group,
        json!({ "deletion": { "id": theirs } }),
    );
    stage
        .act(act.told("messages.delete", "messages.update").of(&theirs))
        .await?;
    let other = stage
        .act(stage.says_in("a text of another member", 1, &group, json!({ "text": "spam" })))
        .await?;
    let body = json!({ "by": stage.contacts[0], "author": stage.contacts[1], "id": other });
    let act = Act::new("an admin deletes it", format!("/groups/{group}/deletions"), body);
    stage
        .act(act.told("messages.delete", "messages.update").of(&other))
        .await?;
    stage.group = group;
    Ok(())
}

async fn statuses_and_channels(stage: &mut Stage) -> Result<()> {
    let publish = |stage: &Stage, name, mut what: Value| {
        what["viewers"] = json!([stage.phone]);
        stage.says_in(name, 1, "status@broadcast", what)
    };
    let act = publish(stage, "a status", json!({ "text": "on holiday" }));
    let status = stage.act(act.told("status.broadcast", "messages.upsert")).await?;
    let picture = stage
        .encode(&json!({ "imageMessage": file("image/jpeg") }))
        .await?;
    let act = publish(stage, "a status with a picture", json!({ "protobuf": picture }));
    stage.act(act.told("status.broadcast", "messages.upsert")).await?;
    let act = publish(
        stage,
        "a status is deleted",
        json!({ "deletion": { "id": status } }),
    );
    stage
        .act(act.told("messages.delete", "messages.update").of(&status))
        .await?;
    let path = format!("/phones/{}/stanzas", stage.phone);
    let post = json!({ "kind": "newsletter", "text": "new today" });
    stage
        .act(Act::new("a channel publishes", path, post))
        .await
        .map(drop)
}

/// What the phone does to chats, contacts and labels.
async fn state(stage: &mut Stage) -> Result<()> {
    let chat = format!("{}@s.whatsapp.net", stage.contacts[0]);
    let updates = [
        ("a chat is archived", json!({ "action": "archive", "chat": chat })),
        (
            "a chat is taken out of the archive",
            json!({ "action": "archive", "chat": chat, "on": false }),
        ),
        ("a chat is pinned", json!({ "action": "pin", "chat": chat })),
        (
            "a chat is pinned no more",
            json!({ "action": "pin", "chat": chat, "on": false }),
        ),
        (
            "a chat is muted",
            json!({ "action": "mute", "chat": chat, "until": 4_000_000_000_000_i64 }),
        ),
        (
            "a chat is muted for good",
            json!({ "action": "mute", "chat": chat }),
        ),
        (
            "a chat is muted no more",
            json!({ "action": "mute", "chat": chat, "on": false }),
        ),
        (
            "a chat is marked as unread",
            json!({ "action": "read", "chat": chat, "on": false }),
        ),
        (
            "a chat is marked as read",
            json!({ "action": "read", "chat": chat }),
        ),
    ];
    for (name, change) in updates {
        let act = stage.changes(name, change).told("chats.update", "chats.update");
        stage.act(act).await?;
    }
    stars(stage, &chat).await?;
    for (name, events, called) in [
        ("a contact is saved", "contacts.upsert", Some("Ana Silva")),
        ("a contact is renamed", "contacts.update", Some("Ana Souza")),
        ("a contact is removed", "contacts.update", None),
    ] {
        let change = json!({ "action": "contact", "chat": chat, "name": called });
        let theirs = if called.is_some() { "contacts.upsert" } else { "" };
        stage
            .act(stage.changes(name, change).told(events, theirs))
            .await?;
    }
    labels(stage, &chat).await?;
    let act = stage.changes("a chat is cleared", json!({ "action": "clear", "chat": chat }));
    stage.act(act.told("messages.delete", "")).await?;
    let act = stage.changes("a chat is deleted", json!({ "action": "delete", "chat": chat }));
    stage
        .act(act.told("chats.delete", "chats.delete"))
        .await
        .map(drop)
}

async fn stars(stage: &mut Stage, chat: &str) -> Result<()> {
    let first = stage
        .act(stage.says("a text to be starred", 0, json!({ "text": "keep this" })))
        .await?;
    for (name, on) in [
        ("a message is starred", true),
        ("a message is starred no more", false),
    ] {
        let change = json!({ "action": "star", "chat": chat, "id": first, "on": on });
        let act = stage
            .changes(name, change)
            .told("message.star", "messages.update");
        stage.act(act.of(&first)).await?;
    }
    let change = json!({ "action": "delete_message", "chat": chat, "id": first });
    let act = stage.changes("a message is deleted for us alone", change);
    stage
        .act(act.told("messages.delete", "messages.delete").of(&first))
        .await
        .map(drop)
}

async fn labels(stage: &mut Stage, chat: &str) -> Result<()> {
    for (name, called) in [
        ("a label is made", Some("New")),
        ("a label is renamed", Some("Paid")),
    ] {
        let change = json!({ "action": "label", "label": "7", "name": called, "color": 3 });
        let act = stage.changes(name, change).told("labels.edit", "labels.edit");
        stage.act(act.of("\"7\"")).await?;
    }
    for (name, on) in [
        ("a chat is labelled", true),
        ("a label is taken from a chat", false),
    ] {
        let change = json!({ "action": "label_chat", "label": "7", "chat": chat, "on": on });
        let act = stage
            .changes(name, change)
            .told("labels.association", "labels.association");
        stage.act(act).await?;
    }
    let change = json!({ "action": "label", "label": "7" });
    let act = stage
        .changes("a label is deleted", change)
        .told("labels.edit", "labels.edit");
    stage.act(act.of("\"7\"")).await.map(drop)
}

/// Presence, calls, and what is new of people.
async fn people(stage: &mut Stage) -> Result<()> {
    stage.follow(1).await?;
    for (name, writing, told) in [
        ("somebody writes", "composing", "composing"),
        ("somebody records", "recording", "recording"),
        ("somebody writes no more", "paused", "available"),
    ] {
        let path = format!("/contacts/{}/writing", stage.contacts[1]);
        let body = json!({ "to": stage.phone, "writing": writing });
        let act = Act::new(name, path, body).told("presence.update", "presence.update");
        // Ours may call it by its own word.
        let act = if told == "available" {
            act.of("lastKnownPresence")
        } else {
            act.of(told)
        };
        stage.act(act).await?;
    }
    for (name, video, turn, ended) in [
        ("a call that nobody takes", true, "timeout", "it ends"),
        (
            "a call that is taken elsewhere",
            false,
            "accepted_elsewhere",
            "it is taken",
        ),
        (
            "a call that is rejected elsewhere",
            false,
            "rejected_elsewhere",
            "it is rejected",
        ),
        ("a call that its caller ends", false, "terminate", "it is hung up"),
    ] {
        let path = format!("/contacts/{}/calls", stage.contacts[1]);
        let call = Act::new(name, path, json!({ "to": stage.phone, "video": video }));
        let id = stage.act(call.told("call", "call")).await?;
        let act = Act::new(ended, format!("/calls/{id}"), json!({ "turn": turn }));
        stage.act(act.told("call", "call").of(&id)).await?;
    }
    news(stage).await
}

/// What is new of contacts.
async fn news(stage: &mut Stage) -> Result<()> {
    stage.sends("our session writes", 2, "are you there?").await?;
    for (name, news, theirs) in [
        (
            "a contact has another picture",
            json!({ "picture": "changed" }),
            "contacts.update",
        ),
        (
            "a contact has no picture any more",
            json!({ "picture": "removed" }),
            "contacts.update",
        ),
        (
            "a contact says something else about itself",
            json!({ "about": "busy" }),
            "",
        ),
        (
            "a contact is a business",
            json!({ "business": "Flowers Ltd" }),
            "",
        ),
    ] {
        let path = format!("/contacts/{}/news", stage.contacts[2]);
        let act = Act::new(name, path, news).told("contacts.update", theirs);
        stage.act(act.of(&stage.contacts[2].clone())).await?;
    }
    let path = format!("/contacts/{}/identity", stage.contacts[2]);
    let act = Act::new("a contact registers anew", path, json!({})).told("contact.identity", "");
    stage.act(act.of(&stage.contacts[2].clone())).await?;
    stage.rename(1, "Another Name").await?;
    let act = stage.says("a text by another name", 1, json!({ "text": "it is me" }));
    stage.act(act).await.map(drop)
}

/// What becomes of a group.
async fn group_changes(stage: &mut Stage) -> Result<()> {
    let settings = [
        (
            "a group has another name",
            json!({ "subject": "Best friends" }),
            "groups.update",
        ),
        (
            "a group has a description",
            json!({ "description": "About us" }),
            "groups.update",
        ),
        (
            "a group has a picture",
            json!({ "picture": true }),
            "contacts.update",
        ),
        ("only admins write", json!({ "announce": true }), "groups.update"),
        ("all write", json!({ "announce": false }), "groups.update"),
        (
            "only admins change the group",
            json!({ "locked": true }),
            "groups.update",
        ),
        (
            "all may add others",
            json!({ "all_may_add": true }),
            "groups.update",
        ),
        (
            "admins let in who comes",
            json!({ "asks_to_join": true }),
            "groups.update",
        ),
        (
            "messages of a group disappear",
            json!({ "disappearing": 86_400 }),
            "messages.upsert",
        ),
        (
            "a group has another link",
            json!({ "revoke_invite": true }),
            "groups.update",
        ),
    ];
    for (name, change, theirs) in settings {
        let act = stage.changes_group(name, change).told("groups.update", theirs);
        stage.act(act).await?;
    }
    member_changes(stage).await
}

async fn member_changes(stage: &mut Stage) -> Result<()> {
    let other = stage.contacts[3].clone();
    let phone = stage.phone.clone();
    let members = [
        ("somebody is added", json!({ "add": [other] })),
        ("somebody is an admin", json!({ "promote": [other] })),
        ("somebody is an admin no more", json!({ "demote": [other] })),
        ("somebody is removed", json!({ "remove": [other] })),
        ("somebody comes by a link", json!({ "join": [other] })),
        ("somebody leaves", json!({ "leave": [other] })),
        ("we are an admin", json!({ "promote": [phone] })),
    ];
    for (name, change) in members {
        let act = stage.changes_group(name, change);
        stage
            .act(act.told("groups.participants", "group-participants.update"))
            .await?;
    }
    for (name, change) in [
        ("somebody asks to be let in", json!({ "ask": [other] })),
        ("somebody asks no more", json!({ "withdraw": [other] })),
        ("somebody asks again", json!({ "ask": [other] })),
        ("somebody is turned away", json!({ "reject": [other] })),
    ] {
        let act = stage.changes_group(name, change);
        stage
            .act(act.told("groups.join-request", "group.join-request"))
            .await?;
    }
    let act = stage.changes_group("a group is deleted", json!({ "delete": true }));
    stage.act(act.told("groups.delete", "")).await.map(drop)
}
