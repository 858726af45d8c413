//! A place on the map.

use shared::content::Location;
use whatsapp::proto::{self, message::LocationMessage};

use super::described::{Described, context};

pub(super) fn render(location: &Location) -> proto::Message {
    proto::Message {
        location_message: Some(Box::new(place(location))),
        ..Default::default()
    }
}

/// A place, alone or as that of an event.
pub(super) fn place(location: &Location) -> LocationMessage {
    LocationMessage {
        degrees_latitude: Some(location.latitude),
        degrees_longitude: Some(location.longitude),
        name: location.name.clone(),
        address: location.address.clone(),
        ..Default::default()
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    message.location_message.as_deref().map(described)
}

/// A place that came in, alone or as that of an event.
pub(super) fn described(location: &LocationMessage) -> Described {
    let fields = [
        ("degreesLatitude", location.degrees_latitude.into()),
        ("degreesLongitude", location.degrees_longitude.into()),
        ("name", location.name.clone().into()),
        ("address", location.address.clone().into()),
        ("contextInfo", context(location.context_info.as_deref())),
    ];
    Described::new("locationMessage", fields)
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"location","latitude":-23.550519,"longitude":-46.633309,"name":"Sé","address":"Rua 1"}"#,
    "2a1e099ed32cd0ee8c37c01198a1f144105147c01a0353c3a922055275612031",
);
