//! Calls: told from their beginning to their end, and rejected.

use serde_json::Value;
use shared::id::{StanzaId, Token};
use shared::job::{Answer, CallJob, FailureCode, Job};
use simulator::world::{CallTurn, NewCall};

use crate::stage::Stage;

impl Stage {
    /// The contact calls; answers the call's id.
    async fn ring(&self, contact: &str, phone: &str, video: bool) -> String {
        let call = NewCall {
            to: phone.to_owned(),
            video,
            group: None,
        };
        let contact = contact.parse().expect("a number");
        self.simulator.call(contact, call).await.expect("it rings")
    }

    async fn call_told(&self, token: &Token, id: &str, status: &str) -> Value {
        let is_it = |event: &Value| event["data"]["callId"] == id && event["data"]["status"] == status;
        self.event(token, "call", is_it).await
    }

    async fn reject(&self, token: &Token, id: &str) -> Answer {
        let call_id: StanzaId = id.parse().expect("an id");
        self.call(token, Job::RejectCall(CallJob { call_id })).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_told_from_its_beginning_to_its_end() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let phone = "15550000161";
    let token = stage.paired(phone).await;
    let contacts = stage.contacts("15550161", 1).await;
    for (turn, status) in [
        (CallTurn::Timeout, "missed"),
        (CallTurn::Terminate, "missed"),
        (CallTurn::AcceptedElsewhere, "accept"),
        (CallTurn::RejectedElsewhere, "reject"),
    ] {
        let id = stage.ring(&contacts[0], phone, true).await;
        let offer = stage.call_told(&token, &id, "offer").await;
        let data = &offer["data"];
        assert_eq!(data["wuid"], format!("{}@s.whatsapp.net", contacts[0]));
        assert_eq!(data["phoneNumber"], contacts[0].as_str());
        assert!(data["lid"].as_str().expect("a hidden id").ends_with("@lid"));
        assert_eq!(
            (&data["isVideo"], &data["isGroup"]),
            (&true.into(), &false.into())
        );
        assert!(
            data["callerName"]
                .as_str()
                .expect("a name")
                .starts_with("Contact")
        );
        stage
            .simulator
            .turn_call(&id, CallTurn::Preaccept)
            .await
            .expect("it rings");
        stage.simulator.turn_call(&id, turn).await.expect("it ends");
        let ended = stage.call_told(&token, &id, status).await;
        assert_eq!(ended["data"]["isVideo"], true, "{status}");
    }
    let id = stage.ring(&contacts[0], phone, false).await;
    stage.call_told(&token, &id, "offer").await;
    stage
        .simulator
        .turn_call(&id, CallTurn::Accept)
        .await
        .expect("it is taken");
    stage.call_told(&token, &id, "accept").await;
    stage
        .simulator
        .turn_call(&id, CallTurn::Terminate)
        .await
        .expect("it ends");
    stage.call_told(&token, &id, "terminate").await;
    assert_eq!(stage.audit(|_| true).await.server.violations, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_rings_is_rejected_once_and_one_that_waited_is_told() {
    let stage = Stage::new().await;
    let worker = stage.worker("w1");
    let phone = "15550000162";
    let token = stage.paired(phone).await;
    let contacts = stage.contacts("15550162", 1).await;
    let id = stage.ring(&contacts[0], phone, false).await;
    stage.call_told(&token, &id, "offer").await;
    assert!(matches!(stage.reject(&token, &id).await, Answer::Done { .. }));
    stage.call_told(&token, &id, "reject").await;
    stage.audit(|report| report.server.violations == 0).await;
    let shown = stage.simulator.show_call(&id).await.expect("the call");
    assert!(shown.over && shown.rejected_by.is_some(), "{shown:?}");
    let unknown = |answer: Answer| {
        let Answer::Failed { code, .. } = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(code, FailureCode::UnknownCall);
    };
    unknown(stage.reject(&token, &id).await);
    unknown(stage.reject(&token, "8F1C").await);

    stage.call(&token, Job::SessionStop).await;
    let missed = stage.ring(&contacts[0], phone, false).await;
    stage
        .simulator
        .turn_call(&missed, CallTurn::Timeout)
        .await
        .expect("nobody is there");
    stage.call(&token, Job::SessionStart).await;
    let offer = stage.call_told(&token, &missed, "offer").await;
    let ended = stage.call_told(&token, &missed, "missed").await;
    assert!(offer["data"]["offline"] == true && ended["data"]["offline"] == true);
    unknown(stage.reject(&token, &missed).await);
    worker.stop().await;
}
