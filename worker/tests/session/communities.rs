//! Pictures of groups, communities, and where only admins write.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared::content::Text;
use shared::id::Token;
use shared::job::{
    Answer, GroupAction, GroupAnswer, GroupId, GroupJob, Job, ProfileAction, ProfileJob, SendJob,
};
use shared::recipient::Number;
use simulator::world::{GroupAddressing, GroupChange, GroupKind, NewGroup, Renumbering};

use crate::groups::InGroup;
use crate::stage::Stage;

fn profile(action: ProfileAction, group: &str) -> ProfileJob {
    ProfileJob::new(action, Some(Number::new(group).expect("a group")))
}

impl Stage {
    async fn about_group(&self, token: &Token, action: GroupAction, group: &str) -> GroupAnswer {
        let id = GroupId(Number::new(group).expect("a group"));
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
        let to = Number::new(group).expect("a group");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_that_come_into_a_community_and_go_are_told_to_both() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let owner = "15550000147";
    let token = stage.paired(owner).await;
    let contacts = stage.contacts("15550147", 2).await;
    let new = |subject: &str, kind| NewGroup {
        subject: subject.to_owned(),
        members: vec![contacts[0].clone(), owner.to_owned()],
        addressing: GroupAddressing::Lid,
        community: None,
        kind,
    };
    let community = stage.group_of(new("Community", GroupKind::Community)).await;
    let talk = stage.group_of(new("Talk", GroupKind::Group)).await;
    for (action, link, unlink) in [
        ("linked", vec![talk.clone()], vec![]),
        ("unlinked", vec![], vec![talk.clone()]),
    ] {
        let change = GroupChange {
            link,
            unlink,
            ..GroupChange::default()
        };
        let changed = stage.simulator.change_group(&community, change).await;
        changed.expect("it is changed");
        for (of, relation, other, subject) in [
            (&community, "group", &talk, "Talk"),
            (&talk, "community", &community, "Community"),
        ] {
            let told = stage
                .event(&token, "groups.link", |event| {
                    event["data"]["id"] == of.as_str() && event["data"]["action"] == action
                })
                .await;
            let data = &told["data"];
            assert_eq!(data["relation"], relation);
            assert_eq!(
                data["groups"],
                json!([{ "id": other, "subject": subject, "isAnnouncementGroup": false }])
            );
        }
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_the_account_is_in_no_more_is_told_with_the_cause() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let owner = "15550000148";
    let token = stage.paired(owner).await;
    let contacts = stage.contacts("15550148", 3).await;
    for addressing in [GroupAddressing::Lid, GroupAddressing::Pn] {
        for cause in ["removed", "left", "deleted"] {
            let new = NewGroup {
                subject: cause.to_owned(),
                members: vec![contacts[0].clone(), contacts[1].clone(), owner.to_owned()],
                addressing,
                community: None,
                kind: GroupKind::Group,
            };
            let group = stage.group_of(new).await;
            // Another member has another number, and goes: that is no end for the account.
            for change in [
                GroupChange {
                    renumber: Some(Renumbering {
                        from: contacts[1].clone(),
                        to: contacts[2].clone(),
                    }),
                    ..GroupChange::default()
                },
                GroupChange {
                    remove: vec![contacts[2].clone()],
                    ..GroupChange::default()
                },
                GroupChange {
                    remove: own(owner, cause == "removed"),
                    leave: own(owner, cause == "left"),
                    delete: cause == "deleted",
                    ..GroupChange::default()
                },
            ] {
                let changed = stage.simulator.change_group(&group, change).await;
                changed.expect("it is changed");
            }
            let of_it = |event: &Value| event["data"]["id"] == group.as_str();
            let gone = stage.event(&token, "groups.delete", of_it).await;
            assert_eq!(gone["data"]["cause"], cause);
            let renumbered = stage
                .event(&token, "groups.participants", |event| {
                    of_it(event) && event["data"]["action"] == "modify"
                })
                .await;
            let number = |person: &Value| person["phoneNumber"].clone();
            assert_eq!(
                (
                    number(&renumbered["data"]["participants"][0]),
                    number(&renumbered["data"]["author"])
                ),
                (json!(contacts[1]), json!(contacts[2]))
            );
        }
    }
    worker.stop().await;
}

fn own(owner: &str, is_named: bool) -> Vec<String> {
    is_named.then(|| owner.to_owned()).into_iter().collect()
}
