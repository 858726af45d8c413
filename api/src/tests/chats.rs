//! Chats, messages and people as both APIs tell them. What writes them is the workers'.

use serde_json::json;
use shared::event::{MessageBody, MessageContext, MessageHeader, NewMessage};
use shared::id::StanzaId;
use shared::job::Forgotten;
use shared::store::chats::change::ChatChange;
use shared::store::commit::{GroupCommit, Write, WriteSealer};
use time::OffsetDateTime;

use super::*;

const ANA: &str = "5531900000001@s.whatsapp.net";

fn told(id: &str, nth: i64, (kind, body): (&str, Value)) -> NewMessage {
    NewMessage {
        header: MessageHeader {
            message_id: StanzaId::new(id).unwrap(),
            from_me: false,
            wuid: ANA.to_owned(),
            lid: Some("98765@lid".to_owned()),
            phone_number: Some("5531900000001".to_owned()),
            participant: None,
            push_name: Some("Ana".to_owned()),
        },
        body: MessageBody {
            message_type: kind.to_owned(),
            message: body,
        },
        context: MessageContext {
            source_device: "android".to_owned(),
            message_timestamp: 1_654_788_000 + nth,
            from_group: false,
        },
    }
}

fn text(id: &str, nth: i64, text: &str) -> NewMessage {
    told(id, nth, ("conversation", json!(text)))
}

impl TestApi {
    /// Messages come in, as a worker stores them.
    async fn keep<const N: usize>(&self, token: &Token, messages: [NewMessage; N]) {
        let store = self.database.store();
        let session = session_rows::find(store, token).await.unwrap().unwrap().id;
        let fence = self.database.lease(0, "keeps").await;
        let mut write = Write::new(fence, session);
        let kept = messages
            .iter()
            .filter_map(|message| ChatChange::of(message, OffsetDateTime::now_utc(), 1_000));
        write.chats.extend(kept);
        let sealed = WriteSealer::new(store).unwrap().seal(write);
        let done = GroupCommit::new(store).commit(&[sealed]).await;
        done.into_iter().for_each(|done| done.unwrap());
        // The shard is free for who plays a worker.
        self.database
            .query("UPDATE shard_lease SET expires_at = now()")
            .await;
    }
}

#[tokio::test]
async fn chats_are_listed_with_their_newest_message_and_paged() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let mut group = text("G1", 1, "hello all");
    (group.header.wuid, group.context.from_group) = ("1203630001@g.us".to_owned(), true);
    api.keep(
        &token,
        [
            group,
            text("A1", 2, "Good morning"),
            text("A2", 3, "Are you open?"),
        ],
    )
    .await;
    let path = format!("/v1/sessions/{token}/chats");
    let first = api.get(&format!("{path}?limit=1")).await.json();
    assert_eq!(
        first["items"],
        json!([{
            "id": ANA, "name": "Ana", "number": "5531900000001", "lid": "98765@lid", "isGroup": false, "unread": 2,
            "archived": false, "pinnedAt": null, "muted": false, "mutedUntil": null, "markedUnread": false, "labels": [],
            "timestamp": "2022-06-09T15:20:03Z",
            "lastMessage": { "id": "A2", "fromMe": false, "sender": null, "type": "conversation",
                "text": "Are you open?", "timestamp": "2022-06-09T15:20:03Z", "state": null }
        }])
    );
    let next = first["next"].as_str().unwrap();
    let second = api.get(&format!("{path}?limit=1&cursor={next}")).await.json();
    assert_eq!(
        (
            &second["items"][0]["id"],
            &second["items"][0]["lastMessage"]["sender"],
            &second["next"]
        ),
        (&json!("1203630001@g.us"), &json!(ANA), &Value::Null)
    );
    let named = api.get(&format!("{path}?text=an")).await.json();
    assert_eq!(named["items"].as_array().unwrap().len(), 1);
    for name in ["5531900000001", "98765@lid", "5531900000001%40s.whatsapp.net"] {
        assert_eq!(api.get(&format!("{path}/{name}")).await.json(), first["items"][0]);
    }
    let none = api.get(&format!("{path}/5531900000077")).await;
    assert_eq!(
        (none.status, &none.json()["code"]),
        (StatusCode::NOT_FOUND, &json!("chat_not_found"))
    );
    let people = api.get(&format!("/v1/sessions/{token}/contacts")).await.json();
    assert_eq!(
        people["items"],
        json!([{ "id": ANA, "name": "Ana", "number": "5531900000001", "lid": "98765@lid",
            "verifiedName": null, "about": null, "pictureId": null }])
    );
}

#[tokio::test]
async fn messages_are_paged_and_found_by_words_chat_and_time() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let react = ("reactionMessage", json!({ "text": "🦖", "key": { "id": "A1" } }));
    api.keep(
        &token,
        [
            text("A1", 1, "Good morning"),
            told(
                "A2",
                2,
                ("imageMessage", json!({ "caption": "The shop in the morning" })),
            ),
            told("R1", 3, react),
        ],
    )
    .await;
    let of_chat = format!("/v1/sessions/{token}/chats/5531900000001/messages");
    let first = api.get(&format!("{of_chat}?limit=1")).await.json();
    assert_eq!(first["items"][0]["id"], "A2");
    let next = first["next"].as_str().unwrap();
    let rest = api.get(&format!("{of_chat}?cursor={next}")).await.json();
    assert_eq!(
        rest["items"],
        json!([{
            "id": "A1", "chat": ANA, "fromMe": false, "sender": null, "pushName": "Ana",
            "timestamp": "2022-06-09T15:20:01Z", "type": "conversation", "text": "Good morning",
            "message": "Good morning", "editedAt": null, "deletedAt": null,
            "reactions": [{ "sender": ANA, "fromMe": false, "text": "🦖" }], "state": null, "queueId": null
        }])
    );
    let found = async |query: &str| {
        let found = api.get(&format!("/v1/sessions/{token}/messages?{query}")).await;
        assert_eq!(found.status, StatusCode::OK, "{found:?}");
        let items = found.json()["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found("text=morn").await, ["A2", "A1"]);
    assert_eq!(found("text=morning%20GOOD").await, ["A1"]);
    assert_eq!(found("text=evening").await, [""; 0]);
    assert_eq!(found("chat=98765@lid&from=2022-06-09T15:20:02Z").await, ["A2"]);
    assert_eq!(found("to=1654788002000").await, ["A1"]);
    for (query, field) in [
        ("from=yesterday", "from"),
        ("chat=Ana", "chat"),
        ("text=%21", "text"),
    ] {
        let refused = api.get(&format!("/v1/sessions/{token}/messages?{query}")).await;
        assert_eq!(
            (refused.status, &refused.json()["errors"][0]["field"]),
            (StatusCode::BAD_REQUEST, &json!(field))
        );
    }
}

#[tokio::test]
async fn what_only_fanfare_wrote_is_listed_and_found_too() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    api.keep(&token, [text("A1", 1, "Hi")]).await;
    let mut worker = api.worker().await;
    let queue = super::queues::queue(&api, &mut worker, &token, 2).await;
    let path = format!("/v1/sessions/{token}/chats");
    assert_eq!(api.get(&path).await.json()["items"].as_array().unwrap().len(), 1);
    for sent in [
        "UPDATE queue SET state = 1, started_at = now()",
        "UPDATE recipient SET state = 2, stanza_id = 'OURS' || seq, sent_at = '2026-12-24T09:00:00.5Z'",
    ] {
        api.database.query(sent).await;
    }
    let ids = |page: &Value, field: &str| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|item| item[field].as_str().unwrap().to_owned())
            .collect()
    };
    let all = api.get(&path).await.json();
    assert_eq!(ids(&all, "number"), ["5531900000000", "5531900000001"]);
    let written = &all["items"][0];
    assert_eq!(
        (&written["unread"], &written["name"], &written["lastMessage"]),
        (
            &json!(0),
            &Value::Null,
            &json!({ "id": "OURS0", "fromMe": true, "sender": null, "type": "extendedTextMessage", "text": "hi",
                "timestamp": "2026-12-24T09:00:00.5Z", "state": "sent" })
        )
    );
    let shown = api.get(&format!("{path}/5531900000000")).await.json();
    assert_eq!(shown, *written);
    let received = api.get(&format!("{path}?only=received")).await.json();
    assert_eq!(ids(&received, "id"), [ANA]);
    let refused = api.get(&format!("{path}?only=sent")).await;
    assert_eq!(
        (refused.status, &refused.json()["errors"][0]["field"]),
        (StatusCode::BAD_REQUEST, &json!("only"))
    );
    let (mut paged, mut next) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{path}?limit=1{next}")).await.json();
        paged.extend(ids(&page, "id"));
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(paged, ids(&all, "id"));
    let found = api
        .get(&format!("/v1/sessions/{token}/messages?text=hi"))
        .await
        .json();
    assert_eq!(ids(&found, "id"), ["OURS1", "OURS0", "A1"]);
    assert_eq!(found["items"][0]["queueId"], queue.rsplit('/').next().unwrap());
    let of_one = format!("/v1/sessions/{token}/messages?text=hi&chat=5531900000000");
    assert_eq!(ids(&api.get(&of_one).await.json(), "id"), ["OURS0"]);
}

#[tokio::test]
async fn forgetting_is_the_workers_and_its_refusal_is_told() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let mut worker = api.worker().await;
    let forgotten = Forgotten {
        messages: 12,
        recipients: 3,
        records: 4,
    };
    let person = format!("/v1/sessions/{token}/people/5531900000001");
    let answer = Answer::Forgotten(forgotten);
    let (answered, job) = tokio::join!(api.delete(&person), worker.answer(&answer));
    assert!(matches!(job, Job::ForgetPerson(_)), "{job:?}");
    assert_eq!(
        (answered.status, answered.json()),
        (
            StatusCode::OK,
            json!({ "messages": 12, "recipients": 3, "records": 4 })
        )
    );
    let refusal = Answer::Failed {
        code: shared::job::FailureCode::Conflict,
        message: "queue X is not finished".to_owned(),
        field: None,
        until: None,
    };
    let (answered, _) = tokio::join!(api.delete(&person), worker.answer(&refusal));
    assert_eq!(
        (answered.status, &answered.json()["code"]),
        (StatusCode::CONFLICT, &json!("conflict"))
    );
    let chat = format!("/v1/sessions/{token}/chats/status@broadcast");
    let (answered, job) = tokio::join!(api.delete(&chat), worker.answer(&answer));
    assert!(matches!(job, Job::ForgetChat(_)), "{job:?}");
    assert_eq!(answered.status, StatusCode::OK);
    for (path, field) in [("people/1203630001@g.us", "person"), ("chats/Ana", "chat")] {
        let refused = api.delete(&format!("/v1/sessions/{token}/{path}")).await;
        assert_eq!(refused.json()["errors"][0]["field"], field);
    }
}

/// The document's own requests and answers, ids and times aside.
#[tokio::test]
async fn the_older_store_answers_as_its_document_says() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    api.keep(&token, [text("A1", 1, "Hi"), text("A2", 131, "there")])
        .await;
    let at = async |body: Value| api.post("/api/whatsapp/store/chats", &body).await;
    let chats = at(json!({ "token": token, "type": "chats" })).await;
    assert_eq!(
        chats.json(),
        json!([{ "id": ANA, "conversationTimestamp": 1_654_788_131, "unreadCount": 2 }])
    );
    let contacts = at(json!({ "token": token, "type": "contacts" })).await;
    assert_eq!(contacts.json(), json!({ ANA: { "id": ANA, "name": "Ana" } }));
    let message = |id: &str, at: &str, text: &str| {
        json!({
            "key": { "remoteJid": ANA, "fromMe": false, "id": id }, "message": { "conversation": text },
            "messageTimestamp": at, "pushName": "Ana"
        })
    };
    let both = json!([
        message("A2", "1654788131", "there"),
        message("A1", "1654788001", "Hi")
    ]);
    let all = at(json!({ "token": token, "type": "messages" })).await;
    assert_eq!(all.json(), json!({ ANA: both }));
    let of_one = at(json!({ "token": token, "type": "messages", "jid": ANA })).await;
    assert_eq!(of_one.json(), both);
    for (body, status, field) in [
        (json!({ "token": token, "type": "smoke" }), 400, "type"),
        (
            json!({ "token": token, "type": "messages", "jid": "x@y" }),
            400,
            "jid",
        ),
    ] {
        let refused = at(body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["error"]["field"]),
            (status, &json!(field)),
            "{refused:?}"
        );
    }
    let nobody = at(json!({ "token": "nobody", "type": "chats" })).await;
    assert_eq!(nobody.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_done_to_a_chat_is_answered_when_its_worker_has_done_it() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let mut worker = api.worker().await;
    let path = format!("/v1/sessions/{token}/chats");
    let done = Answer::Done {
        queue_id: None,
        reading: None,
    };
    let body = json!({ "action": "mute", "chat": "5531900000001", "until": "2026-12-24T09:00:00Z" });
    let (answered, job) = tokio::join!(api.post(&path, &body), worker.answer(&done));
    assert_eq!(answered.status, StatusCode::NO_CONTENT);
    assert!(matches!(job, Job::Chat(asked) if asked.until.is_some()));
    let failed = Answer::Failed {
        code: shared::job::FailureCode::NotConnected,
        message: "the session is not connected".to_owned(),
        field: None,
        until: None,
    };
    let body = json!({ "action": "archive", "chat": "5531900000001" });
    let (answered, _) = tokio::join!(api.post(&path, &body), worker.answer(&failed));
    assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE);
    let refused = api
        .post(&path, &json!({ "action": "star", "chat": "5531900000001" }))
        .await;
    assert_eq!(refused.json()["errors"][0]["field"], "message");
    let unknown = api.post("/v1/sessions/nobody/chats", &body).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}
