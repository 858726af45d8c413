//! The older API's sends, with the requests and answers of its document, ids, numbers and times aside.

use serde_json::json;

use super::*;

const NUMBER: &str = "5531900000001@s.whatsapp.net";

/// Sends the document's request, and answers what it was answered but for what differs each time, and the job.
async fn sent(route: &str, fields: Value) -> (Value, shared::job::SendJob) {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let mut body = fields;
    body["token"] = json!(api.open_session().await);
    body["number"] = json!(NUMBER);
    let answered = api.post(&format!("/api/whatsapp/{route}"), &body).await;
    let mut answer = answered.json();
    assert_eq!(answered.status, StatusCode::OK, "{answer}");
    assert_eq!(answer["status"], true);
    let (job, _) = worker.accept().await;
    let data = answer["data"].as_object_mut().unwrap();
    assert!(data.remove("messageTimestamp").unwrap().is_string());
    let id = data["key"].as_object_mut().unwrap().remove("id").unwrap();
    assert_eq!(job.message_id.as_ref().unwrap().as_str(), id);
    (answer, job)
}

/// The document's answer around a message.
fn documented(message: Value) -> Value {
    json!({ "key": { "remoteJid": NUMBER, "fromMe": true }, "message": message, "status": "PENDING" })
}

#[tokio::test]
async fn buttons_are_answered_as_documented_and_go_out_in_the_native_flow() {
    let request = json!({
        "button": [
            { "displayText": "First Button" }, { "displayText": "Second Button" }, { "displayText": "Third Button" },
        ],
        "message": "Message using buttons", "footer": "Footer message", "type": "url", "image": null,
    });
    let (answer, job) = sent("send-button-message", request).await;
    let button = |id: &str, text: &str| json!({ "buttonId": id, "buttonText": { "displayText": text }, "type": "RESPONSE" });
    let message = json!({ "buttonsMessage": {
        "contentText": "Message using buttons",
        "footerText": "Footer message",
        "buttons": [button("0", "First Button"), button("1", "Second Button"), button("2", "Third Button")],
        "headerType": "EMPTY",
    } });
    assert_eq!(answer["data"], documented(message));
    assert_eq!(answer["form"], "nativeFlow");
    assert_eq!(job.message.message_type(), "interactiveMessage");
}

#[tokio::test]
async fn templates_are_answered_as_documented_whatever_the_order_of_their_buttons() {
    let page = json!({ "displayText": "Visit my website", "url": "https://wa.ndalu.id" });
    let call = json!({ "displayText": "Call me", "phoneNumber": "000000" });
    let reply = json!({ "displayText": "Push to reply", "id": "id-like-buttons-message" });
    let shown = |order: [(&str, &Value); 3]| {
        let buttons: Vec<Value> = order
            .iter()
            .zip(1..)
            .map(|((name, button), index)| json!({ *name: button, "index": index }))
            .collect();
        documented(json!({ "templateMessage": { "hydratedTemplate": {
            "hydratedContentText": "Message using buttons",
            "hydratedFooterText": "Footer message",
            "hydratedButtons": buttons,
        } } }))
    };
    let (page, call, reply) = (
        ("urlButton", &page),
        ("callButton", &call),
        ("quickReplyButton", &reply),
    );
    for order in [[page, call, reply], [reply, page, call]] {
        let request = json!({
            "button": order.map(|(_, button)| button), "text": "Message using buttons", "footer": "Footer message",
        });
        let (answer, _) = sent("send-template-message", request).await;
        assert_eq!(answer["data"], shown(order));
        assert_eq!(answer["form"], "nativeFlow");
    }
}

#[tokio::test]
async fn lists_are_answered_as_documented() {
    let sections = json!([
        { "title": "Section 1", "rows": [
            { "title": "Option 1", "rowId": "option1" },
            { "title": "Option 2", "rowId": "option2", "description": "This is a description" },
        ] },
        { "title": "Section 2", "rows": [
            { "title": "Option 3", "rowId": "option3", "description": "This is a description" },
            { "title": "Option 4", "rowId": "option4" },
        ] },
    ]);
    let request = json!({
        "list": sections, "text": "This is a text", "footer": "And this is a footer", "link": "https://wa.ndalu.id",
        "title": "And this is TITLE", "buttonText": "Required, text on the button to view the list",
    });
    let (answer, job) = sent("send-list-message", request.clone()).await;
    let message = json!({ "listMessage": {
        "title": "And this is TITLE",
        "description": "This is a text",
        "buttonText": "Required, text on the button to view the list",
        "listType": "SINGLE_SELECT",
        "sections": sections,
        "footerText": "And this is a footer",
    } });
    assert_eq!(answer["data"], documented(message.clone()));
    assert_eq!(answer["form"], "nativeFlow");
    let flow = &job.message.message()["nativeFlowMessage"]["buttons"];
    assert_eq!(flow[1]["name"], "cta_url", "the link is a button of its own");
    let text = with(request, "fallback", json!("text"));
    let (answer, job) = sent("send-list-message", text).await;
    assert_eq!(answer["data"], documented(message));
    assert_eq!(answer["form"], "text");
    assert_eq!(job.message.message_type(), "extendedTextMessage");
}

#[tokio::test]
async fn reactions_and_deletions_are_answered_as_documented() {
    let key = json!({ "remoteJid": NUMBER, "fromMe": true, "id": "BAE56E515A609CD5" });
    for text in ["🦖", ""] {
        let (answer, _) = sent("send-reaction", json!({ "text": text, "key": key })).await;
        let message = json!({ "reactionMessage": { "key": key, "text": text } });
        assert_eq!(answer["data"], documented(message));
        assert!(answer.get("form").is_none());
    }
    let (answer, _) = sent(
        "delete-for-every-one",
        json!({ "key": with(key.clone(), "participant", json!("")) }),
    )
    .await;
    let message = json!({ "protocolMessage": { "type": "REVOKE", "key": key } });
    assert_eq!(answer["data"], documented(message));
}

#[tokio::test]
async fn buttons_to_an_array_start_a_queue() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let body = json!({
        "token": api.open_session().await, "number": ["5531900000001", "5531900000002"],
        "button": [{ "displayText": "Yes" }], "message": "Come?", "form": "legacy",
    });
    let send = api.post("/api/whatsapp/send-button-message", &body);
    let (answered, _) = tokio::join!(send, worker.accept());
    let answer = answered.json();
    assert_eq!(answer["data"], "Sending 2 message start");
    assert_eq!(answer["form"], "legacy");
}

#[tokio::test]
async fn what_is_wrong_is_named_as_this_api_names_it() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    let key = json!({ "remoteJid": NUMBER, "fromMe": false, "id": "A" });
    let yes = json!([{ "displayText": "Yes" }]);
    for (route, body, field) in [
        (
            "send-button-message",
            json!({ "button": yes, "message": "" }),
            "message",
        ),
        (
            "send-button-message",
            json!({ "button": [], "message": "?" }),
            "button",
        ),
        (
            "send-button-message",
            json!({ "button": [{}], "message": "?" }),
            "button[0].displayText",
        ),
        (
            "send-button-message",
            json!({ "button": yes, "message": "?", "image": "ftp://example.com/a.png" }),
            "image",
        ),
        (
            "send-template-message",
            json!({ "button": yes, "text": "?" }),
            "button[0].url",
        ),
        (
            "send-list-message",
            json!({ "list": [{ "rows": [] }], "text": "?", "title": "t", "buttonText": "b" }),
            "list[0].rows",
        ),
        (
            "send-list-message",
            json!({ "list": [], "text": "?", "buttonText": "b" }),
            "title",
        ),
        ("send-reaction", json!({ "text": "🦖" }), "key"),
        ("delete-for-every-one", json!({ "key": key }), "key.participant"),
        (
            "send-reaction",
            json!({ "text": "🦖", "key": key, "number": [NUMBER, "5531900000002"] }),
            "number",
        ),
        (
            "send-reaction",
            json!({ "text": "🦖", "key": key, "number": "12" }),
            "number",
        ),
    ] {
        let mut body = body;
        body["token"] = json!(token);
        if body.get("number").is_none() {
            body["number"] = json!(NUMBER);
        }
        let answered = api.post(&format!("/api/whatsapp/{route}"), &body).await;
        let answer = answered.json();
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{route}: {answer}");
        assert_eq!(answer["error"]["field"], field, "{answer}");
    }
    let nobody = json!({ "token": "nobody", "number": NUMBER, "text": "🦖", "key": key });
    let answered = api.post("/api/whatsapp/send-reaction", &nobody).await;
    assert_eq!(answered.status, StatusCode::NOT_FOUND);
}

fn with(mut body: Value, field: &str, value: Value) -> Value {
    body[field] = value;
    body
}
