//! A place on the map.

use shared::content::Location;
use whatsapp::proto::{self, message::LocationMessage};

use super::described::Described;

pub(super) fn render(location: &Location) -> proto::Message {
    proto::Message {
        location_message: Some(Box::new(LocationMessage {
            degrees_latitude: Some(location.latitude),
            degrees_longitude: Some(location.longitude),
            name: location.name.clone(),
            address: location.address.clone(),
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let location = message.location_message.as_ref()?;
    let fields = [
        ("degreesLatitude", location.degrees_latitude.into()),
        ("degreesLongitude", location.degrees_longitude.into()),
        ("name", location.name.clone().into()),
        ("address", location.address.clone().into()),
    ];
    Some(Described::new("locationMessage", fields))
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"location","latitude":-23.550519,"longitude":-46.633309,"name":"Sé","address":"Rua 1"}"#,
    "2a1e099ed32cd0ee8c37c01198a1f144105147c01a0353c3a922055275612031",
);
