//! A vote in a poll, which stands for all that its voter chose before. It is sealed before it is rendered; of one that comes in
//! the options are told where it could be opened.

use bytes::Bytes;
use prost::Message as _;
use serde_json::json;
use shared::content::Vote;
use shared::store::polls::SealedVote;
use whatsapp::proto;
use whatsapp::proto::message::{PollEncValue, PollUpdateMessage, PollVoteMessage};

use super::described::{self, Described, object};
use super::key;
use super::rendering::Rendering;

pub(super) fn render(vote: &Vote, to: &Rendering<'_>) -> proto::Message {
    let sealed = |vote: &SealedVote| PollEncValue {
        enc_payload: Some(vote.payload.clone()),
        enc_iv: Some(Bytes::copy_from_slice(&vote.iv)),
    };
    proto::Message {
        poll_update_message: Some(Box::new(PollUpdateMessage {
            poll_creation_message_key: Some(key::render(&vote.key, to)),
            vote: to.vote.map(sealed),
            sender_timestamp_ms: Some(to.millis()),
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let update = message.poll_update_message.as_ref()?;
    let chosen = update.vote.as_ref().and_then(chosen);
    let vote = chosen.map(|options| object([("selectedOptions", json!(options))]));
    let fields = [
        (
            "pollCreationMessageKey",
            described::key(update.poll_creation_message_key.as_ref()),
        ),
        ("vote", vote.into()),
        ("senderTimestampMs", update.sender_timestamp_ms.into()),
    ];
    Some(Described::new("pollUpdateMessage", fields))
}

fn chosen(vote: &PollEncValue) -> Option<Vec<String>> {
    if vote.enc_iv.is_some() {
        return None;
    }
    let vote = PollVoteMessage::decode(vote.enc_payload.as_deref()?).ok()?;
    let text = |option: &Bytes| String::from_utf8(option.to_vec()).ok();
    vote.selected_options.iter().map(text).collect()
}

/// Without what is sealed, which is stored and not rendered.
#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"vote","key":{"id":"3EB0A1","fromMe":false,"remoteJid":"98765@lid","participant":"5531900000043"},"options":["today"]}"#,
    "92033c0a330a093938373635406c696410001a06334542304131221c3535333139303030303030343340732e77686174736170702e6e65742080d0c1b8aa34",
);

#[cfg(test)]
mod tests {
    use whatsapp::poll::opened;

    use super::*;

    fn body(vote: Option<PollEncValue>) -> serde_json::Value {
        let update = proto::message::PollUpdateMessage {
            vote,
            sender_timestamp_ms: Some(7),
            ..Default::default()
        };
        let message = proto::Message {
            poll_update_message: Some(update.into()),
            ..Default::default()
        };
        describe(&message).unwrap().body
    }

    #[test]
    fn what_was_chosen_is_told_and_what_is_sealed_is_not() {
        let told = body(Some(opened(vec!["today".to_owned()])));
        assert_eq!(
            told,
            json!({ "vote": { "selectedOptions": ["today"] }, "senderTimestampMs": 7 })
        );
        assert_eq!(
            body(Some(opened(vec![])))["vote"],
            json!({ "selectedOptions": [] })
        );
        let sealed = PollEncValue {
            enc_payload: Some(Bytes::from_static(b"\x0a\x01x")),
            enc_iv: Some(Bytes::from_static(b"twelve bytes")),
        };
        assert_eq!(body(Some(sealed)), json!({ "senderTimestampMs": 7 }));
    }
}
