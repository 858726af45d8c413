//! A place on the map.

use whatsapp::proto;

use super::described::Described;

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
