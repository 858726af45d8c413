//! Groups: what members say and do in them, as it is told and kept.

use serde_json::{Value, json};
use shared::id::Token;
use shared::store::chats;
use shared::store::chats::messages::{self, KeptMessage};
use simulator::number::Number;
use simulator::world::{GroupAddressing, GroupChange, GroupKind, NewGroup, Speaker};

use crate::stage::Stage;

/// A session and contacts in a group; the first of them made it.
pub(crate) struct InGroup {
    pub(crate) stage: Stage,
    pub(crate) token: Token,
    contacts: Vec<String>,
    pub(crate) jid: String,
}

impl InGroup {
    pub(crate) async fn new(stage: Stage, owner: &str, addressing: GroupAddressing) -> Self {
        let token = stage.paired(owner).await;
        let prefix = format!("1555{}", &owner[owner.len() - 4..]);
        let contacts = stage.contacts(&prefix, 4).await;
        let members = contacts[..3].iter().cloned().chain([owner.to_owned()]);
        let new = NewGroup {
            subject: "Friends".to_owned(),
            members: members.collect(),
            addressing,
            community: None,
            kind: GroupKind::Group,
        };
        let jid = stage.simulator.make_group(new).await.expect("a group");
        Self {
            stage,
            token,
            contacts,
            jid,
        }
    }

    fn number(&self, contact: usize) -> Number {
        self.contacts[contact].parse().expect("a number")
    }

    /// A contact says something; its id.
    async fn says(&self, contact: usize, words: &str) -> String {
        let speaker = Speaker::Contact(self.number(contact));
        let said = self.stage.simulator.say_in_group(speaker, &self.jid, words).await;
        let id = said.expect("it is said").to_string();
        self.stage
            .event(&self.token, "new.message", |event| message_id(event) == id)
            .await;
        id
    }

    /// A contact deletes what another said; the id of that.
    async fn deletes(&self, contact: usize, id: &str, author: usize) -> String {
        let speaker = Speaker::Contact(self.number(contact));
        let deleted = self
            .stage
            .simulator
            .delete_in_group(speaker, &self.jid, id, self.number(author))
            .await;
        deleted.expect("it is said").to_string()
    }

    /// Waits for the event of this message.
    async fn is_told(&self, id: &str) {
        self.stage
            .event(&self.token, "new.message", |event| message_id(event) == id)
            .await;
    }

    pub(crate) async fn changes(&self, change: GroupChange) {
        let changed = self.stage.simulator.change_group(&self.jid, change).await;
        changed.expect("it is changed");
    }

    async fn kept(&self, id: &str) -> KeptMessage {
        let store = self.stage.database.store();
        let session = self.stage.record(&self.token).await.expect("a session").id;
        let names = chats::names(store, session, &self.jid).await.expect("names");
        let kept = messages::of_chat(store, session, &names, None, 100)
            .await
            .expect("a page");
        kept.into_iter().find(|kept| kept.id == id).expect("it is kept")
    }
}

fn message_id(event: &Value) -> &str {
    event["data"]["header"]["messageId"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_deletes_nothing_of_others_and_an_admin_does() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let group = InGroup::new(stage, "15550000141", GroupAddressing::Lid).await;
    let (one, two) = (group.says(1, "one").await, group.says(1, "two").await);
    // The second contact is no admin, and the first is: it made the group.
    let forged = group.deletes(2, &one, 1).await;
    let real = group.deletes(0, &two, 1).await;
    group.is_told(&real).await;
    let told = group.stage.seen(&group.token);
    assert!(!told.iter().any(|event| message_id(event) == forged));
    let (one_kept, two_kept) = (group.kept(&one).await, group.kept(&two).await);
    assert_eq!(
        (one_kept.words.as_deref(), one_kept.deleted_at),
        (Some("one"), None)
    );
    assert!(two_kept.words.is_none() && two_kept.deleted_at.is_some());
    // Once it is one, it counts.
    group
        .changes(GroupChange {
            promote: vec![group.contacts[2].clone()],
            ..GroupChange::default()
        })
        .await;
    let again = group.deletes(2, &one, 1).await;
    group.is_told(&again).await;
    assert!(group.kept(&one).await.deleted_at.is_some());
    worker.stop().await;
}

impl InGroup {
    /// Does something to the group, and waits for the event of this name that tells it.
    async fn tells(&self, change: GroupChange, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.changes(change).await;
        let event = self
            .stage
            .event(&self.token, name, |event| fits(&event["data"]))
            .await;
        let data = &event["data"];
        assert_eq!(data["id"], self.jid.as_str(), "{data}");
        assert!(data["changeId"].is_string() && data["since"].is_i64(), "{data}");
        // Of who changed a picture WhatsApp tells one name.
        if data["picture"].is_null() {
            self.is_named(&data["author"]);
        }
        event
    }

    /// Somebody is told by number and by hidden id.
    fn is_named(&self, person: &Value) {
        let number = person["phoneNumber"].as_str().unwrap_or_default();
        assert_eq!(person["id"], format!("{number}@s.whatsapp.net"), "{person}");
        assert!(self.contacts.iter().any(|known| known == number), "{person}");
        let lid = person["lid"].as_str().unwrap_or_default();
        assert!(lid.ends_with("@lid"), "{person}");
    }

    async fn members_come_and_go(&self) {
        let fourth = || vec![self.contacts[3].clone()];
        let none = GroupChange::default;
        for (change, action, by) in [
            (
                GroupChange {
                    join: fourth(),
                    ..none()
                },
                "add",
                3,
            ),
            (
                GroupChange {
                    promote: fourth(),
                    ..none()
                },
                "promote",
                0,
            ),
            (
                GroupChange {
                    demote: fourth(),
                    ..none()
                },
                "demote",
                0,
            ),
            (
                GroupChange {
                    leave: fourth(),
                    ..none()
                },
                "leave",
                3,
            ),
            (
                GroupChange {
                    add: fourth(),
                    ..none()
                },
                "add",
                0,
            ),
            (
                GroupChange {
                    remove: fourth(),
                    ..none()
                },
                "remove",
                0,
            ),
        ] {
            let by = self.contacts[by].as_str();
            let is_it = |data: &Value| data["action"] == action && data["author"]["phoneNumber"] == by;
            let told = self.tells(change, "groups.participants", is_it).await;
            let people = told["data"]["participants"].as_array().expect("people");
            assert_eq!(people.len(), 1, "{told}");
            assert_eq!(people[0]["phoneNumber"], self.contacts[3].as_str());
            self.is_named(&people[0]);
        }
    }

    async fn is_changed(&self) {
        for (change, field, value) in [
            (
                json!({ "subject": "Best friends" }),
                "subject",
                json!("Best friends"),
            ),
            (
                json!({ "description": "About us" }),
                "description",
                json!("About us"),
            ),
            (json!({ "picture": true }), "picture", json!("changed")),
            (json!({ "picture": false }), "picture", json!("removed")),
            (json!({ "announce": true }), "announce", json!(true)),
            (json!({ "locked": true }), "restrict", json!(true)),
            (json!({ "all_may_add": true }), "allMayAdd", json!(true)),
            (json!({ "asks_to_join": true }), "asksToJoin", json!(true)),
            (
                json!({ "disappearing": 86_400 }),
                "disappearingSeconds",
                json!(86_400),
            ),
            (json!({ "description": "" }), "description", Value::Null),
        ] {
            let change: GroupChange = serde_json::from_value(change).expect("a change");
            let is_it = |data: &Value| data.get(field) == Some(&value);
            self.tells(change, "groups.update", is_it).await;
        }
        let revoke = GroupChange {
            revoke_invite: true,
            ..GroupChange::default()
        };
        self.tells(revoke, "groups.update", |data| data["inviteCode"].is_string())
            .await;
    }

    /// Somebody asks to be let in; the account has to be an admin to hear of it.
    async fn somebody_asks(&self, owner: &str) {
        let none = GroupChange::default;
        let promote = GroupChange {
            promote: vec![owner.to_owned()],
            ..none()
        };
        let is_promotion = |data: &Value| data["action"] == "promote";
        self.tells(promote, "groups.participants", is_promotion).await;
        let fourth = || vec![self.contacts[3].clone()];
        for (change, action) in [
            (
                GroupChange {
                    ask: fourth(),
                    ..none()
                },
                "created",
            ),
            (
                GroupChange {
                    withdraw: fourth(),
                    ..none()
                },
                "revoked",
            ),
            (
                GroupChange {
                    ask: fourth(),
                    reject: fourth(),
                    ..none()
                },
                "rejected",
            ),
        ] {
            let is_it = |data: &Value| data["action"] == action;
            let told = self.tells(change, "groups.join-request", is_it).await;
            assert_eq!(
                told["data"]["participants"][0]["phoneNumber"],
                self.contacts[3].as_str()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_in_a_group_is_told_in_order_with_who_did_it() {
    for (addressing, owner) in [
        (GroupAddressing::Lid, "15550000142"),
        (GroupAddressing::Pn, "15550000143"),
    ] {
        let stage = Stage::new().await;
        let worker = stage.worker("w1");
        let group = InGroup::new(stage, owner, addressing).await;
        let is_ours = |event: &Value| event["data"]["group"]["id"] == group.jid.as_str();
        let joined = group.stage.event(&group.token, "groups.upsert", is_ours).await;
        let told = &joined["data"]["group"];
        assert_eq!((&told["subject"], &told["size"]), (&json!("Friends"), &json!(4)));
        group.members_come_and_go().await;
        group.is_changed().await;
        // The promotion names us, and we are no contact.
        group.somebody_asks(owner).await;
        let told = group.stage.seen(&group.token);
        let places: Vec<i64> = told
            .iter()
            .filter_map(|event| event["sequence"].as_i64())
            .collect();
        assert!(places.is_sorted(), "{places:?}");
        let is_of_group = |event: &&Value| {
            let name = event["event"].as_str().unwrap_or_default();
            name.starts_with("groups.") && name != "groups.upsert"
        };
        // Each once, as nothing was told again.
        assert_eq!(told.iter().filter(is_of_group).count(), 6 + 11 + 1 + 4);
        worker.stop().await;
    }
}
