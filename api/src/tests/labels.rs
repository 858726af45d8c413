//! Labels and what has them, in pages. What writes them is the workers'.

use serde_json::json;
use shared::store::chats::change::Peer;
use shared::store::chats::labels::{Label, LabelChange, Labeling};
use shared::store::commit::{GroupCommit, Write, WriteSealer};

use super::*;

const ANA: &str = "5531900000001@s.whatsapp.net";

fn given(label: &str, jid: &str, message: Option<&str>) -> LabelChange {
    LabelChange::Given(Labeling {
        label: label.to_owned(),
        chat: Peer {
            jid: jid.to_owned(),
            lid: None,
        },
        message: message.map(str::to_owned),
    })
}

fn label(id: &str, name: &str) -> LabelChange {
    LabelChange::Edited(Label {
        id: id.to_owned(),
        name: name.to_owned(),
        color: 3,
        predefined: None,
    })
}

impl TestApi {
    async fn keep_labels(&self, token: &Token, labels: impl IntoIterator<Item = LabelChange>) {
        let store = self.database.store();
        let session = session_rows::find(store, token).await.unwrap().unwrap().id;
        let fence = self.database.lease(0, "keeps").await;
        let mut write = Write::new(fence, session);
        write.labels.extend(labels);
        let sealed = WriteSealer::new(store).unwrap().seal(write);
        let done = GroupCommit::new(store).commit(&[sealed]).await;
        done.into_iter().for_each(|done| done.unwrap());
    }
}

#[tokio::test]
async fn labels_and_what_has_them_are_listed_in_pages() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    api.keep_labels(
        &token,
        [
            label("7", "New"),
            label("8", "Paid"),
            given("7", ANA, None),
            given("7", ANA, Some("A1")),
            given("7", "98765@lid", None),
        ],
    )
    .await;
    let path = format!("/v1/sessions/{token}/labels");
    let first = api.get(&format!("{path}?limit=1")).await.json();
    assert_eq!(
        first["items"],
        json!([{ "id": "7", "name": "New", "color": 3, "predefinedId": null, "chats": 2, "messages": 1 }])
    );
    let next = first["next"].as_str().unwrap();
    let second = api.get(&format!("{path}?cursor={next}")).await.json();
    assert_eq!(
        (&second["items"][0]["name"], &second["next"]),
        (&json!("Paid"), &Value::Null)
    );
    let mut rows = Vec::new();
    let mut at = format!("{path}/7?limit=1");
    loop {
        let page = api.get(&at).await.json();
        rows.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        at = format!("{path}/7?limit=1&cursor={next}");
    }
    let row = |kind: &str, chat: &str, lid: Option<&str>, message: Option<&str>| json!({ "type": kind, "chat": chat, "lid": lid, "messageId": message });
    assert_eq!(
        Value::from(rows),
        json!([
            row("chat", ANA, None, None),
            row("message", ANA, None, Some("A1")),
            row("chat", "98765@lid", Some("98765@lid"), None)
        ])
    );
}

#[tokio::test]
async fn labels_of_nobody_and_cursors_of_another_list_are_refused() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let nobody = api.get("/v1/sessions/nobody/labels").await;
    assert_eq!(nobody.json()["code"], "session_not_found");
    for label in ["99", "%00"] {
        let unknown = api.get(&format!("/v1/sessions/{token}/labels/{label}")).await;
        assert_eq!(
            (unknown.status, &unknown.json()["code"]),
            (StatusCode::NOT_FOUND, &json!("label_not_found"))
        );
    }
    let bad = api.get(&format!("/v1/sessions/{token}/labels/7?cursor=!!")).await;
    assert_eq!(bad.json()["errors"][0]["field"], "cursor");
}
