mod samples;

use serde_json::json;

use self::samples::*;
use super::*;
use crate::content::Text;
use crate::id::{QueueId, StanzaId};

#[test]
fn a_chat_of_which_all_was_deleted_says_so() {
    let all = MessagesDelete::chat("5531900000001@s.whatsapp.net".into(), None);
    assert_eq!(
        serde_json::to_value(Event::MessagesDelete(all)).unwrap(),
        json!({ "wuid": "5531900000001@s.whatsapp.net", "all": true })
    );
}

/// One of each, as it is sent.
pub(crate) fn envelopes() -> Vec<Envelope> {
    let id: EventId = "0193c0de-0000-7000-8000-000000000001".parse().unwrap();
    let enveloped = |event: Event| event.envelope(instance(), id, 1_672_004_593_500, 12);
    samples().into_iter().map(enveloped).collect()
}

#[test]
fn every_event_has_a_stable_shape() {
    let shown = envelopes();
    let names: Vec<_> = shown.iter().map(|envelope| envelope.event).collect();
    assert_eq!(names, EventName::ALL, "one sample of each");
    insta::assert_json_snapshot!("envelopes", shown);
    for envelope in &shown {
        let file = envelope.event.as_str().replace(':', ".");
        crate::testing::in_the_docs(&format!("events/{file}.json"), envelope);
    }
    crate::testing::documented("event", &schemars::schema_for!(Envelope));
}

#[test]
fn a_whole_chat_and_an_edit_have_shapes_of_their_own() {
    let stanza = StanzaId::new("3A8B7F4631EA2A840895").unwrap();
    let all = MessagesDelete::chat("5531900000001@s.whatsapp.net".into(), None);
    assert_eq!(
        serde_json::to_value(Event::MessagesDelete(all)).unwrap(),
        json!({ "wuid": "5531900000001@s.whatsapp.net", "all": true })
    );
    let body = came_in(&stanza).body;
    let header = UpdateHeader {
        from_me: false,
        ..update(&stanza)
    };
    let wuid = &header.wuid.clone();
    assert_eq!(
        serde_json::to_value(Event::message_edited(body, header, 7)).unwrap(),
        json!({ "update": {
            "edited": { "messageType": "conversation", "message": "Test" },
            "header": { "messageId": stanza.as_str(), "wuid": wuid, "fromMe": false }, "dateTime": 7,
        } })
    );
}

#[test]
fn routing_keys_start_with_the_token_and_have_no_colon() {
    let token = Token::new("shop-1").unwrap();
    assert_eq!(
        routing_key(&token, EventName::SendStart.as_str()),
        "shop-1.send.message.START"
    );
    assert_eq!(
        routing_key(&token, EventName::PausedQueue.as_str()),
        "shop-1.paused.queue"
    );
    for name in EventName::ALL {
        assert_eq!(EventName::find(name.as_str()), Some(name));
        assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
    }
}

#[test]
fn progress_rounds_half_up_and_reaches_100_once() {
    assert_eq!(progress(2, 3), 67);
    assert_eq!(progress(1, 200), 1);
    assert_eq!(progress(0, 5), 0);
    assert_eq!(progress(99_999, 100_000), 99);
    for total in [1_u32, 2, 3, 7, 100, 199, 200, 201, 1000] {
        let steps: Vec<u8> = (0..=total).map(|settled| progress(settled, total)).collect();
        assert!(steps.is_sorted(), "never goes back");
        assert_eq!(
            steps.iter().filter(|step| **step == 100).count(),
            1,
            "100 exactly once"
        );
    }
}

#[test]
fn debug_shows_neither_bodies_nor_numbers() {
    let completed = |event: &Event| event.name() == EventName::SendCompleted;
    let text = format!("{:?}", samples().into_iter().find(completed).unwrap());
    assert!(
        !text.contains("5531900000001") && !text.contains("hi\""),
        "{text}"
    );
}

#[test]
fn long_lists_are_cut_and_say_so() {
    let content = Text::new("hi").into();
    let data = QueueData::new(
        &content,
        vec!["5531900000001@s.whatsapp.net".into(); LIST_MAX + 5],
        vec![StanzaId::new("3EB0C431C26A1916E07A11").unwrap(); LIST_MAX + 5],
        100_000,
    );
    let token = Token::new("shop").unwrap();
    let queue: QueueId = "78e37ede-32d9-4636-83f0-39469daf89f6".parse().unwrap();
    let data = data.found_at(&token, queue);
    assert_eq!((data.jids.len(), data.truncated), (LIST_MAX, Some(true)));
    assert_eq!(
        data.recipients.as_deref(),
        Some("/v1/sessions/shop/queues/78e37ede-32d9-4636-83f0-39469daf89f6/recipients")
    );
    let paused = Event::queue(QueueAction::Pause, queue, 43, data, 0);
    assert!(serde_json::to_vec(&paused).unwrap().len() < 64 * 1024);
}
