//! Where somebody is at this moment.

use shared::content::LiveLocation;
use whatsapp::proto::{self, message::LiveLocationMessage};

use super::described::{Described, context};

pub(super) fn render(live: &LiveLocation) -> proto::Message {
    proto::Message {
        live_location_message: Some(Box::new(LiveLocationMessage {
            degrees_latitude: Some(live.latitude),
            degrees_longitude: Some(live.longitude),
            accuracy_in_meters: live.accuracy,
            speed_in_mps: live.speed,
            degrees_clockwise_from_magnetic_north: live.bearing,
            caption: live.caption.clone(),
            sequence_number: Some(live.sequence.into()),
            time_offset: live.time_offset,
            ..Default::default()
        })),
        ..Default::default()
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let live = message.live_location_message.as_ref()?;
    let fields = [
        ("degreesLatitude", live.degrees_latitude.into()),
        ("degreesLongitude", live.degrees_longitude.into()),
        ("accuracyInMeters", live.accuracy_in_meters.into()),
        ("speedInMps", live.speed_in_mps.into()),
        (
            "degreesClockwiseFromMagneticNorth",
            live.degrees_clockwise_from_magnetic_north.into(),
        ),
        ("caption", live.caption.clone().into()),
        ("sequenceNumber", live.sequence_number.into()),
        ("timeOffset", live.time_offset.into()),
        ("contextInfo", context(live.context_info.as_deref())),
    ];
    Some(Described::new("liveLocationMessage", fields))
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"liveLocation","latitude":-23.5,"longitude":46.25,"accuracy":5,"speed":1.1,"bearing":90,"caption":"On my way","sequence":7,"timeOffset":30}"#,
    "92012a0900000000008037c0110000000000204740180525cdcc8c3f285a32094f6e206d79207761793807401e",
);
