use serde_json::json;
use shared::content::{Content, References};
use time::OffsetDateTime;
use whatsapp::proto::message::FutureProofMessage;

use super::*;

const OWN: &str = "5531900000001@s.whatsapp.net";

/// A content on its way to one recipient, at a time.
fn rendered(content: &Content) -> proto::Message {
    render(&Rendering {
        content,
        upload: None,
        preview: None,
        vote: None,
        chat: &"5531900000042".parse().unwrap(),
        own: Some(OWN),
        at: OffsetDateTime::from_unix_timestamp(1_798_099_200).unwrap(),
    })
}

fn read(content: &str) -> Content {
    serde_json::from_str(content).unwrap()
}

fn text(text: &str) -> proto::Message {
    rendered(&shared::content::Text::new(text).into())
}

/// Each kind, and what can be chosen of some of them.
fn contents() -> impl Iterator<Item = Content> {
    let golden = GOLDEN.iter().map(|(content, _)| *content);
    golden.chain(OTHERS.iter().map(|(content, _)| *content)).map(read)
}

#[test]
fn the_bytes_of_every_kind_are_pinned() {
    for (content, bytes) in GOLDEN.iter().chain(OTHERS) {
        assert_eq!(
            hex::encode(rendered(&read(content)).encode_to_vec()),
            *bytes,
            "{content}"
        );
    }
}

#[test]
fn what_is_sent_is_told_as_what_comes_in() {
    // Of a vote nothing can be told but by who can open it.
    for content in contents().filter(|content| content.vote().is_none()) {
        let told = describe(&rendered(&content)).unwrap();
        assert_eq!(
            (told.kind, told.body),
            (content.message_type(), content.message())
        );
    }
}

#[test]
fn what_is_sent_again_is_what_was_sent_first() {
    for content in contents() {
        let first = rendered(&content).encode_to_vec();
        // The database keeps the content as JSON, and its fields in an order of its own.
        let stored = serde_json::to_value(&content).unwrap();
        let again: Content = serde_json::from_value(stored).unwrap();
        assert_eq!(rendered(&again).encode_to_vec(), first);
    }
}

#[test]
fn what_goes_with_a_kind_has_its_place_in_all_that_take_it() {
    let with = References {
        mentions: vec![serde_json::from_str(r#""98765@lid""#).unwrap()],
        quote: serde_json::from_str(r#"{"key":{"id":"3EB0","fromMe":true},"text":"Open?"}"#).unwrap(),
        forwarded: true,
    };
    for mut content in contents() {
        content.references = with.clone();
        let told = describe(&rendered(&content)).unwrap();
        let info = match content.body.name() {
            "reaction" | "delete" | "vote" => continue,
            "edit" => &told.body["editedMessage"]["extendedTextMessage"]["contextInfo"],
            _ => &told.body["contextInfo"],
        };
        let expected = json!({
            "stanzaId": "3EB0",
            "participant": OWN,
            "quotedMessage": { "conversation": "Open?" },
            "mentionedJid": ["98765@lid"],
            "isForwarded": true,
        });
        assert_eq!(*info, expected, "{content:?}");
    }
}

#[test]
fn the_author_of_a_quoted_message_is_known_without_being_named() {
    let quoted = |key: &str| {
        let content = read(&format!(
            r#"{{"type":"text","text":"hi","quote":{{"key":{key}}}}}"#
        ));
        let info = rendered(&content)
            .extended_text_message
            .unwrap()
            .context_info
            .unwrap();
        (info.participant.unwrap(), info.remote_jid)
    };
    let chat = "5531900000042@s.whatsapp.net".to_owned();
    assert_eq!(quoted(r#"{"id":"A","fromMe":false}"#), (chat, None));
    assert_eq!(quoted(r#"{"id":"A","fromMe":true}"#), (OWN.to_owned(), None));
    let group = "120363-1@g.us".to_owned();
    let elsewhere = r#"{"id":"A","fromMe":false,"remoteJid":"120363-1@g.us","participant":"98765@lid"}"#;
    assert_eq!(quoted(elsewhere), ("98765@lid".to_owned(), Some(group)));
}

#[test]
fn what_somebody_chose_is_told_with_its_id_and_words() {
    use whatsapp::proto::message as m;
    let of = |message: proto::Message| {
        let told = describe(&message).unwrap();
        (told.kind, told.body)
    };
    let button = proto::Message {
        buttons_response_message: Some(Box::new(m::ButtonsResponseMessage {
            selected_button_id: Some("no".into()),
            response: Some(m::buttons_response_message::Response::SelectedDisplayText(
                "No".into(),
            )),
            ..Default::default()
        })),
        ..Default::default()
    };
    let told = json!({ "selectedButtonId": "no", "selectedDisplayText": "No" });
    assert_eq!(of(button), ("buttonsResponseMessage", told));
    let template = proto::Message {
        template_button_reply_message: Some(Box::new(m::TemplateButtonReplyMessage {
            selected_id: Some("r".into()),
            selected_display_text: Some("Reply".into()),
            selected_index: Some(3),
            ..Default::default()
        })),
        ..Default::default()
    };
    let told = json!({ "selectedId": "r", "selectedDisplayText": "Reply", "selectedIndex": 3 });
    assert_eq!(of(template), ("templateButtonReplyMessage", told));
    let row = proto::Message {
        list_response_message: Some(Box::new(m::ListResponseMessage {
            title: Some("Soup".into()),
            single_select_reply: Some(m::list_response_message::SingleSelectReply {
                selected_row_id: Some("soup".into()),
            }),
            ..Default::default()
        })),
        ..Default::default()
    };
    let told = json!({ "title": "Soup", "singleSelectReply": { "selectedRowId": "soup" } });
    assert_eq!(of(row), ("listResponseMessage", told));
}

#[test]
fn the_fields_of_a_flow_are_told_parsed_if_they_are_any() {
    use whatsapp::proto::message::interactive_response_message as r;
    let told = |params: &str| {
        let flow = r::NativeFlowResponseMessage {
            name: Some("quick_reply".into()),
            params_json: Some(params.into()),
            ..Default::default()
        };
        let reply = whatsapp::proto::message::InteractiveResponseMessage {
            interactive_response_message: Some(r::InteractiveResponseMessage::NativeFlowResponseMessage(
                flow,
            )),
            ..Default::default()
        };
        let message = proto::Message {
            interactive_response_message: Some(Box::new(reply)),
            ..Default::default()
        };
        describe(&message).unwrap().body["nativeFlowResponseMessage"].clone()
    };
    let chosen = r#"{"id":"no"}"#;
    let expected = json!({ "name": "quick_reply", "paramsJson": chosen, "params": { "id": "no" } });
    assert_eq!(told(chosen), expected);
    for rubbish in ["{", "7", "\"text\""] {
        let expected = json!({ "name": "quick_reply", "paramsJson": rubbish });
        assert_eq!(told(rubbish), expected);
    }
}

#[test]
fn an_edit_is_told_also_inside_of_its_older_wrapper() {
    let edit = read(r#"{"type":"edit","key":{"id":"A","fromMe":true},"text":"ten"}"#);
    let wrapped = proto::Message {
        edited_message: Some(Box::new(FutureProofMessage {
            message: Some(Box::new(rendered(&edit))),
        })),
        ..Default::default()
    };
    assert_eq!(describe(&wrapped).unwrap().body["type"], "MESSAGE_EDIT");
}

#[test]
fn a_bare_text_is_told_as_a_text() {
    let plain = proto::Message {
        conversation: Some("Test".into()),
        ..Default::default()
    };
    let told = Described {
        kind: "conversation",
        body: json!("Test"),
    };
    assert_eq!(describe(&plain), Some(told));
}

#[test]
fn wrappers_are_opened_and_protocol_messages_hidden() {
    let wrapped = proto::Message {
        ephemeral_message: Some(Box::new(FutureProofMessage {
            message: Some(Box::new(text("hi"))),
        })),
        ..Default::default()
    };
    assert_eq!(describe(&wrapped).unwrap().kind, "extendedTextMessage");
    assert_eq!(describe(&proto::Message::default()), None);
}

/// What can be chosen of some kinds, beside what is among [`GOLDEN`].
const OTHERS: &[(&str, &str)] = &[
    (
        r#"{"type":"text","text":"See https://example.com","linkPreview":{"title":"Shop","description":"Open","thumbnail":"/9j/"}}"#,
        "32400a175365652068747470733a2f2f6578616d706c652e636f6d121368747470733a2f2f6578616d706c652e636f6d2a044f70656e320453686f70820103ffd8ff",
    ),
    (
        r#"{"type":"buttons","title":"Now","text":"Shall we?","buttons":[{"displayText":"Yes"}],"header":{"type":"image","media":{"base64":"AA=="}}}"#,
        "ea024c0a090a034e6f7722002801120b0a095368616c6c2077653f32320a2e0a0b717569636b5f7265706c79121f7b22646973706c61795f74657874223a22596573222c226964223a2230227d1801",
    ),
    (
        r#"{"type":"buttons","text":"Shall we?","buttons":[{"displayText":"Yes"}],"header":{"type":"video","media":{"base64":"AA=="}},"form":"legacy"}"#,
        "d20228220b3a095368616c6c2077653f32095368616c6c2077653f4a0c0a013012050a0359657318015005",
    ),
    (
        r#"{"type":"template","text":"Hello","buttons":[{"displayText":"Reply","id":"r"}],"header":{"type":"document","media":{"base64":"AA=="},"fileName":"a.pdf"},"form":"legacy"}"#,
        "ca012922270a0e1a05612e7064664205612e706466320548656c6c6f420e0a0a0a055265706c791201722001",
    ),
    (
        r#"{"type":"poll","name":"When?","options":["today","tomorrow"],"selectableCount":1}"#,
        "82041e12055768656e3f1a070a05746f6461791a0a0a08746f6d6f72726f772001",
    ),
    (
        r#"{"type":"reaction","key":{"id":"3EB0A1","fromMe":true,"remoteJid":"5531900000042"},"text":""}"#,
        "f202330a280a1c3535333139303030303030343240732e77686174736170702e6e657410011a0633454230413112002080d0c1b8aa34",
    ),
    (
        r#"{"type":"buttons","title":"Tomorrow","text":"Shall we?","buttons":[{"displayText":"Yes"}],"form":"legacy"}"#,
        "d202250a08546f6d6f72726f7732095368616c6c2077653f4a0c0a013012050a0359657318015002",
    ),
    (
        r#"{"type":"template","title":"Hi","text":"Hello","footer":"Fanfare","buttons":[{"displayText":"Reply","id":"r"},{"displayText":"Visit","url":"https://example.com"},{"displayText":"Call us","phoneNumber":"+1 234"}],"form":"legacy"}"#,
        "ca015f225d12024869320548656c6c6f3a0746616e66617265420e0a0a0a055265706c7912017220014220121c0a055669736974121368747470733a2f2f6578616d706c652e636f6d200242151a110a0743616c6c20757312062b31203233342003",
    ),
    (
        r#"{"type":"list","title":"Menu","text":"What?","footer":"Fanfare","buttonText":"Choose","sections":[{"rows":[{"title":"Soup","rowId":"soup"}]}],"form":"legacy"}"#,
        "a202300a044d656e751205576861743f1a0643686f6f736520012a0e120c0a04536f75701a04736f75703a0746616e66617265",
    ),
    (
        r#"{"type":"template","text":"Hello","buttons":[{"displayText":"Visit","url":"https://example.com"},{"displayText":"Reply","id":"r"}],"fallback":"text"}"#,
        "322f0a2d48656c6c6f0a0a312e2056697369743a2068747470733a2f2f6578616d706c652e636f6d0a322e205265706c79",
    ),
];
