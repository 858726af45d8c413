//! An event to come to.

use shared::content::EventInvitation;
use whatsapp::proto::{self, message::EventMessage};

use super::described::{Described, context};
use super::location;

pub(super) fn render(event: &EventInvitation) -> proto::Message {
    proto::Message {
        event_message: Some(Box::new(EventMessage {
            name: Some(event.name.clone()),
            description: event.description.clone(),
            start_time: Some(event.starts_at.unix_seconds()),
            end_time: event.ends_at.map(|end| end.unix_seconds()),
            location: event.location.as_ref().map(location::place).map(Box::new),
            join_link: event.join_link.clone(),
            extra_guests_allowed: Some(event.extra_guests_allowed),
            is_canceled: Some(event.canceled),
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let event = message.event_message.as_deref()?;
    let place = event.location.as_ref();
    let fields = [
        ("name", event.name.clone().into()),
        ("description", event.description.clone().into()),
        ("startTime", event.start_time.into()),
        ("endTime", event.end_time.into()),
        (
            "location",
            place.map(|place| location::described(place).body).into(),
        ),
        ("joinLink", event.join_link.clone().into()),
        ("extraGuestsAllowed", event.extra_guests_allowed.into()),
        ("isCanceled", event.is_canceled.into()),
        ("contextInfo", context(event.context_info.as_deref())),
    ];
    Some(Described::new("eventMessage", fields))
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"event","name":"Opening","description":"Come!","startsAt":1798099200000,"endsAt":1798106400000,"location":{"latitude":-23.5,"longitude":-46.5,"name":"Sé"},"joinLink":"https://example.com/call"}"#,
    "da045310001a074f70656e696e672205436f6d65212a170900000000008037c01100000000004047c01a0353c3a9321868747470733a2f2f6578616d706c652e636f6d2f63616c6c3880a2b3d90640a0dab3d9064800",
);
