//! A poll. The secret from which its voters make their keys is the message's own, and comes with every message.

use serde_json::{Value, json};
use shared::content::Poll;
use whatsapp::proto;
use whatsapp::proto::message::{PollCreationMessage, poll_creation_message};

use super::described::{Described, context};

pub(super) fn render(poll: &Poll) -> proto::Message {
    let option = |name: &String| poll_creation_message::Option {
        option_name: Some(name.clone()),
        ..Default::default()
    };
    let creation = Some(Box::new(PollCreationMessage {
        name: Some(poll.name.clone()),
        options: poll.options.iter().map(option).collect(),
        selectable_options_count: Some(poll.selectable_count),
        ..Default::default()
    }));
    // A poll with one answer has a field of its own.
    if poll.selectable_count == 1 {
        return proto::Message {
            poll_creation_message_v3: creation,
            ..Default::default()
        };
    }
    proto::Message {
        poll_creation_message: creation,
        ..Default::default()
    }
}

/// The poll that a message is, if it is one.
pub(in crate::session) fn creation(message: &proto::Message) -> Option<&PollCreationMessage> {
    let versions = [
        &message.poll_creation_message,
        &message.poll_creation_message_v2,
        &message.poll_creation_message_v3,
        &message.poll_creation_message_v5,
    ];
    versions.into_iter().flatten().map(AsRef::as_ref).next()
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let poll = creation(message)?;
    let options = poll
        .options
        .iter()
        .map(|option| json!({ "optionName": option.option_name }));
    let fields = [
        ("name", poll.name.clone().into()),
        ("options", options.collect::<Vec<Value>>().into()),
        ("selectableOptionsCount", poll.selectable_options_count.into()),
        ("contextInfo", context(poll.context_info.as_deref())),
    ];
    Some(Described::new("pollCreationMessage", fields))
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"poll","name":"When?","options":["today","tomorrow","never"],"selectableCount":2}"#,
    "8a032712055768656e3f1a070a05746f6461791a0a0a08746f6d6f72726f771a070a056e657665722002",
);
