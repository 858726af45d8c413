//! Pictures and what else is asked of profiles, at both doors; the worker is played by the test.

use serde_json::json;
use shared::job::{Picture, ProfileAnswer};

use super::*;

#[tokio::test]
async fn a_profile_picture_is_told_as_the_document_says() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let mut worker = api.worker().await;
    let path = "/api/whatsapp/get-profile-picture";
    let body = json!({ "token": token, "number": "5531900000001@s.whatsapp.net", "highrest": true });
    let picture = Picture {
        id: "1".to_owned(),
        url: "https://pps.whatsapp.net/v/t61.24694-24/1.jpg".to_owned(),
    };
    let answer = |picture| {
        Answer::Profile(Box::new(ProfileAnswer {
            picture,
            ..ProfileAnswer::default()
        }))
    };
    let there = answer(Some(picture));
    let (answered, job) = tokio::join!(api.post(path, &body), worker.answer(&there));
    assert_eq!(
        (answered.status, answered.json()),
        (
            StatusCode::OK,
            json!({ "status": true, "data": "https://pps.whatsapp.net/v/t61.24694-24/1.jpg" })
        )
    );
    assert!(matches!(job, Job::Profile(asked) if asked.full == Some(true)));
    let none = answer(None);
    let (answered, _) = tokio::join!(api.post(path, &body), worker.answer(&none));
    assert_eq!(
        (
            answered.status,
            &answered.json()["status"],
            &answered.json()["error"]["code"]
        ),
        (StatusCode::NOT_FOUND, &json!(false), &json!("picture_not_found"))
    );
    let refused = api
        .post(path, &json!({ "token": token, "number": "12", "highrest": true }))
        .await;
    assert_eq!(refused.json()["error"]["field"], "number");
    let own = format!("/v1/sessions/{token}/profile");
    let told = answer(None);
    let asked = json!({ "action": "privacy" });
    let (answered, _) = tokio::join!(api.post(&own, &asked), worker.answer(&told));
    assert_eq!((answered.status, answered.json()), (StatusCode::OK, json!({})));
    let refused = api.post(&own, &json!({ "action": "set-about" })).await;
    assert_eq!(refused.json()["errors"][0]["field"], "text");
}
