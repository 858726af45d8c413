//! Groups: what members say and do in them, as it is told and kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::content::Text;
use shared::id::Token;
use shared::job::{
    Answer, GroupAction, GroupAnswer, GroupId, GroupJob, Job, ProfileAction, ProfileJob, SendJob,
};
use shared::recipient::Number as Recipient;
use shared::store::chats;
use shared::store::chats::messages::{self, KeptMessage};
use simulator::number::Number;
use simulator::world::{GroupAddressing, GroupChange, GroupKind, NewGroup, Speaker};

use crate::stage::Stage;

/// A session and contacts in a group; the first of them made it.
struct InGroup {
    stage: Stage,
    token: Token,
    contacts: Vec<String>,
    jid: String,
}

impl InGroup {
    async fn new(stage: Stage, owner: &str, addressing: GroupAddressing) -> Self {
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

    async fn changes(&self, change: GroupChange) {
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
        let none = GroupChange::default;
        for (change, field, value) in [
            (
                GroupChange {
                    subject: Some("Best friends".to_owned()),
                    ..none()
                },
                "subject",
                json!("Best friends"),
            ),
            (
                GroupChange {
                    description: Some("About us".to_owned()),
                    ..none()
                },
                "description",
                json!("About us"),
            ),
            (
                GroupChange {
                    picture: Some(true),
                    ..none()
                },
                "picture",
                json!("changed"),
            ),
            (
                GroupChange {
                    picture: Some(false),
                    ..none()
                },
                "picture",
                json!("removed"),
            ),
            (
                GroupChange {
                    announce: Some(true),
                    ..none()
                },
                "announce",
                json!(true),
            ),
            (
                GroupChange {
                    locked: Some(true),
                    ..none()
                },
                "restrict",
                json!(true),
            ),
            (
                GroupChange {
                    all_may_add: Some(true),
                    ..none()
                },
                "allMayAdd",
                json!(true),
            ),
            (
                GroupChange {
                    asks_to_join: Some(true),
                    ..none()
                },
                "asksToJoin",
                json!(true),
            ),
            (
                GroupChange {
                    disappearing: Some(86_400),
                    ..none()
                },
                "disappearingSeconds",
                json!(86_400),
            ),
        ] {
            self.tells(change, "groups.update", |data| data[field] == value)
                .await;
        }
        let removed = GroupChange {
            description: Some(String::new()),
            ..none()
        };
        let is_removed = |data: &Value| data.get("description") == Some(&Value::Null);
        self.tells(removed, "groups.update", is_removed).await;
        let revoke = GroupChange {
            revoke_invite: true,
            ..none()
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

fn profile(action: ProfileAction, group: &str) -> ProfileJob {
    ProfileJob::new(action, Some(Recipient::new(group).expect("a group")))
}

impl Stage {
    async fn about_group(&self, token: &Token, action: GroupAction, group: &str) -> GroupAnswer {
        let id = GroupId(Recipient::new(group).expect("a group"));
        match self
            .call(token, Job::Group(Box::new(GroupJob::of(action, id))))
            .await
        {
            Answer::Group(told) => *told,
            other => panic!("{other:?}"),
        }
    }

    async fn group_of(&self, new: NewGroup) -> String {
        self.simulator.make_group(new).await.expect("a group")
    }

    /// Sends a text to a group; waits until its queue is over.
    async fn send_to_group(&self, token: &Token, group: &str) -> Vec<Value> {
        let to = Recipient::new(group).expect("a group");
        let queue = self.send(token, SendJob::new([to], Text::new("news"))).await;
        let id = queue.to_string();
        let is_over = |event: &Value| event["data"]["queue"]["queueId"] == id.as_str();
        self.event(token, "send.message:COMPLETED", is_over).await;
        self.of_queue(token, queue)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_has_a_picture_that_its_members_set_and_remove() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let group = InGroup::new(stage, "15550000145", GroupAddressing::Lid).await;
    let (stage, token, jid) = (&group.stage, &group.token, group.jid.as_str());
    let ask = async |job: ProfileJob| stage.call(token, Job::Profile(Box::new(job))).await;
    let picture = async || match ask(profile(ProfileAction::Picture, jid)).await {
        Answer::Profile(told) => told.picture,
        other => panic!("{other:?}"),
    };
    assert_eq!(picture().await, None);
    let jpeg = [&[0xff, 0xd8, 0xff, 0xe0][..], &[7; 100]].concat();
    let set = ProfileJob {
        picture: Some(STANDARD.encode(jpeg)),
        ..profile(ProfileAction::SetPicture, jid)
    };
    assert!(matches!(ask(set.clone()).await, Answer::Done { .. }));
    let told = stage
        .event(token, "groups.update", |event| {
            event["data"]["picture"] == "changed"
        })
        .await;
    let found = picture().await.expect("a picture");
    assert_eq!(told["data"]["pictureId"], found.id.as_str());
    assert!(matches!(
        ask(profile(ProfileAction::RemovePicture, jid)).await,
        Answer::Done { .. }
    ));
    assert_eq!(picture().await, None);
    // Where only admins change the group, and the account is none, the answer says so.
    group
        .changes(GroupChange {
            locked: Some(true),
            ..GroupChange::default()
        })
        .await;
    match ask(set).await {
        Answer::Failed { message, .. } => assert!(message.contains("admin"), "{message}"),
        other => panic!("{other:?}"),
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_announcement_group_of_a_community_is_a_group_that_admins_write_in() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let owner = "15550000146";
    let token = stage.paired(owner).await;
    let contacts = stage.contacts("15550146", 3).await;
    let new = |subject: &str, kind, community: Option<&str>| NewGroup {
        subject: subject.to_owned(),
        members: vec![contacts[0].clone(), contacts[1].clone(), owner.to_owned()],
        addressing: GroupAddressing::Lid,
        community: community.map(str::to_owned),
        kind,
    };
    let community = stage.group_of(new("Community", GroupKind::Community, None)).await;
    let news = stage
        .group_of(new("News", GroupKind::Announcements, Some(&community)))
        .await;
    let talk = stage
        .group_of(new("Talk", GroupKind::Group, Some(&community)))
        .await;
    let told = stage.about_group(&token, GroupAction::Metadata, &community).await;
    assert!(told.group.expect("a group").is_community);
    let told = stage.about_group(&token, GroupAction::Metadata, &news).await;
    let told = told.group.expect("a group");
    assert!(told.is_announcement_group && told.announce && !told.is_community);
    assert_eq!(told.community.as_deref(), Some(community.as_str()));
    let linked = stage.about_group(&token, GroupAction::Linked, &community).await;
    let linked = linked.linked.expect("groups");
    let is_news = |id: &str| {
        linked
            .iter()
            .find(|group| group.id == id)
            .expect("it is linked")
            .is_announcement_group
    };
    assert_eq!((linked.len(), is_news(&news), is_news(&talk)), (2, true, false));

    // Only admins write there: the account is told so, and is not once it is one.
    let told = stage.send_to_group(&token, &news).await;
    let error = told.iter().find(|event| event["event"] == "send.message:ERROR");
    let error = &error.expect("an error")["data"];
    assert_eq!(error["status"], 403);
    assert!(
        error["message"].as_str().unwrap_or_default().contains("admin"),
        "{error}"
    );
    let promote = GroupChange {
        promote: vec![owner.to_owned()],
        ..GroupChange::default()
    };
    stage
        .simulator
        .change_group(&news, promote)
        .await
        .expect("it is changed");
    let told = stage.send_to_group(&token, &news).await;
    assert!(
        !told.iter().any(|event| event["event"] == "send.message:ERROR"),
        "{told:#?}"
    );
    let report = stage.audit(|report| report.server.group_messages == 1).await;
    assert_eq!(report.server.violations, 0);
    worker.stop().await;
}
