//! People and the own account beside messages: asked of WhatsApp, and changed there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::id::Token;
use shared::job::{
    Answer, FailureCode, Job, PrivacySetting, PrivacyValue, ProfileAction, ProfileAnswer, ProfileJob,
    TypingState,
};
use shared::recipient::Number;
use simulator::world::Writing;

use crate::stage::Stage;

fn about(action: ProfileAction, number: &str) -> ProfileJob {
    ProfileJob::new(action, Some(Number::new(number).expect("a number")))
}

fn own(action: ProfileAction) -> ProfileJob {
    ProfileJob::new(action, None)
}

impl Stage {
    async fn profile(&self, token: &Token, job: ProfileJob) -> Answer {
        self.call(token, Job::Profile(Box::new(job))).await
    }

    async fn told(&self, token: &Token, job: ProfileJob) -> ProfileAnswer {
        match self.profile(token, job).await {
            Answer::Profile(told) => *told,
            other => panic!("{other:?}"),
        }
    }

    async fn done(&self, token: &Token, job: ProfileJob) {
        let answer = self.profile(token, job).await;
        assert!(matches!(answer, Answer::Done { .. }), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_abouts_and_businesses_are_told() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let token = stage.paired("15550000141").await;
    let contacts = stage.contacts("15550141", 8).await;
    let picture = stage
        .told(&token, about(ProfileAction::Picture, &contacts[0]))
        .await;
    let preview = picture.picture.expect("a picture").url;
    assert!(preview.starts_with("https://pps.whatsapp.net/") && preview.ends_with("_s.jpg"));
    let large = ProfileJob {
        full: Some(true),
        ..about(ProfileAction::Picture, &contacts[0])
    };
    let large = stage.told(&token, large).await.picture.expect("a picture");
    assert!(large.url.ends_with("_n.jpg"), "{large:?}");
    let none = stage
        .told(&token, about(ProfileAction::Picture, &contacts[1]))
        .await;
    assert_eq!(none, ProfileAnswer::default());
    let said = stage
        .told(&token, about(ProfileAction::About, &contacts[0]))
        .await;
    assert_eq!(said.about.expect("an about").text, "Available");
    let bakery = stage
        .told(&token, about(ProfileAction::Business, &contacts[7]))
        .await;
    let bakery = bakery.business.expect("a business");
    assert_eq!(bakery.categories, ["Bakery"]);
    let person = stage
        .told(&token, about(ProfileAction::Business, &contacts[0]))
        .await;
    assert_eq!(person, ProfileAnswer::default());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_own_account_is_changed_and_typing_is_told() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let phone = "15550000142";
    let token = stage.paired(phone).await;
    let contacts = stage.contacts("15550142", 1).await;
    let set = ProfileJob {
        text: Some("Open at nine".to_owned()),
        ..own(ProfileAction::SetAbout)
    };
    stage.done(&token, set).await;
    let said = stage.told(&token, about(ProfileAction::About, phone)).await;
    assert_eq!(said.about.expect("an about").text, "Open at nine");
    let jpeg = [&[0xff, 0xd8, 0xff, 0xe0][..], &[7; 100]].concat();
    let set = ProfileJob {
        picture: Some(STANDARD.encode(jpeg)),
        ..own(ProfileAction::SetPicture)
    };
    stage.done(&token, set).await;
    let picture = about(ProfileAction::Picture, phone);
    assert!(stage.told(&token, picture.clone()).await.picture.is_some());
    stage.done(&token, own(ProfileAction::RemovePicture)).await;
    assert!(stage.told(&token, picture).await.picture.is_none());
    let hide = |value| ProfileJob {
        setting: Some(PrivacySetting::Last),
        value: Some(value),
        ..own(ProfileAction::SetPrivacy)
    };
    stage.done(&token, hide(PrivacyValue::None)).await;
    let settings = stage.told(&token, own(ProfileAction::Privacy)).await.privacy;
    assert_eq!(settings.expect("settings")["last"], "none");
    let blocked = stage.told(&token, own(ProfileAction::Blocked)).await.blocked;
    assert_eq!(blocked, Some(Vec::new()));
    for typing in [
        TypingState::Composing,
        TypingState::Recording,
        TypingState::Paused,
    ] {
        let told = ProfileJob {
            typing: Some(typing),
            ..about(ProfileAction::Typing, &contacts[0])
        };
        stage.done(&token, told).await;
    }
    let report = stage.audit(|report| report.server.typing_told == 3).await;
    assert_eq!(report.server.violations, 0);
    assert!(matches!(
        stage.call(&token, Job::SessionStop).await,
        Answer::Done { .. }
    ));
    let refused = stage.profile(&token, own(ProfileAction::Privacy)).await;
    assert!(
        matches!(
            &refused,
            Answer::Failed {
                code: FailureCode::NotConnected,
                ..
            }
        ),
        "{refused:?}"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_followed_is_told_to_be_there_and_to_write() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let phone = "15550000144";
    let token = stage.paired(phone).await;
    let contacts = stage.contacts("15550144", 2).await;
    let number = |text: &str| text.parse().expect("a number");
    // Of who is not followed nothing is told.
    let types = |contact: usize, writing| {
        stage
            .simulator
            .writes(number(&contacts[contact]), number(phone), writing)
    };
    types(1, Writing::Composing).await.expect("it writes");
    stage
        .done(&token, about(ProfileAction::Presence, &contacts[0]))
        .await;
    let jid = format!("{}@s.whatsapp.net", contacts[0]);
    let is = async |state: &str| {
        let is_it = |event: &serde_json::Value| {
            event["data"]["presences"][&jid]["lastKnownPresence"] == state
                && event["data"]["jid"] == jid.as_str()
        };
        stage.event(&token, "presence.update", is_it).await;
    };
    is("available").await;
    types(0, Writing::Composing).await.expect("it writes");
    is("composing").await;
    types(0, Writing::Recording).await.expect("it writes");
    is("recording").await;
    let told = stage.seen(&token);
    let told = told.iter().filter(|event| event["event"] == "presence.update");
    assert_eq!(told.count(), 3);
    worker.stop().await;
}
