//! Where somebody is at this moment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::{Kind, Texts, check_some, object};
use super::location::check_coordinates;
use crate::body::JobError;

/// Most bytes of the caption.
const CAPTION_MAX_BYTES: usize = 1_024;

/// Where somebody is at this moment: one position. The next one is another message, with a higher `sequence`.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LiveLocation {
    /// Degrees north of the equator.
    #[schemars(range(min = -90.0, max = 90.0))]
    pub latitude: f64,
    /// Degrees east of Greenwich.
    #[schemars(range(min = -180.0, max = 180.0))]
    pub longitude: f64,
    /// How far off it may be, in meters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<u32>,
    /// How fast it moves, in meters per second.
    #[schemars(range(min = 0.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f32>,
    /// Where it moves to, in degrees clockwise from north.
    #[schemars(range(max = 360))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearing: Option<u32>,
    /// A text below it, 1 to 1,024 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// The number of this position among those of its way.
    #[serde(default)]
    pub sequence: u32,
    /// Seconds since the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_offset: Option<u32>,
}

impl Kind for LiveLocation {
    fn message_type(&self) -> &'static str {
        "liveLocationMessage"
    }

    fn message(&self) -> Value {
        object([
            ("degreesLatitude", self.latitude.into()),
            ("degreesLongitude", self.longitude.into()),
            ("accuracyInMeters", self.accuracy.into()),
            ("speedInMps", self.speed.into()),
            ("degreesClockwiseFromMagneticNorth", self.bearing.into()),
            ("caption", self.caption.clone().into()),
            ("sequenceNumber", self.sequence.into()),
            ("timeOffset", self.time_offset.into()),
        ])
    }

    fn check(&self) -> Result<(), JobError> {
        check_coordinates(self.latitude, self.longitude)?;
        // Not a comparison with zero alone: what is no number is refused too.
        if !self.speed.is_none_or(|speed| speed.is_finite() && speed >= 0.0) {
            return Err(JobError::new("speed", "must be 0 or more"));
        }
        if self.bearing.is_some_and(|bearing| bearing > 360) {
            return Err(JobError::new("bearing", "must be 0 to 360"));
        }
        check_some("caption", self.caption.as_deref(), CAPTION_MAX_BYTES)
    }

    fn texts(&mut self, texts: &mut Texts<'_>) {
        texts.some(format_args!("caption"), &mut self.caption);
    }
}

#[cfg(test)]
pub(super) const SAMPLE: super::kind::Sample = super::kind::Sample {
    stored: r#"{"type":"liveLocation","latitude":-23.5,"longitude":46.25,"accuracy":5,"speed":1.5,"bearing":90,"caption":"On my way","sequence":7,"timeOffset":30}"#,
    fingerprint: "2f1f225bb2a4eae923f6e6453b1bec737ad5f34d80995a1a9d7dd9c2cd14f456",
    shown: r#"{"liveLocationMessage":{"degreesLatitude":-23.5,"degreesLongitude":46.25,"accuracyInMeters":5,"speedInMps":1.5,"degreesClockwiseFromMagneticNorth":90,"caption":"On my way","sequenceNumber":7,"timeOffset":30}}"#,
    refused: &[
        (
            r#"{"type":"liveLocation","latitude":91,"longitude":0}"#,
            "message.latitude: must be -90 to 90",
        ),
        (
            r#"{"type":"liveLocation","latitude":0,"longitude":0,"speed":-1}"#,
            "message.speed: must be 0 or more",
        ),
        (
            r#"{"type":"liveLocation","latitude":0,"longitude":0,"bearing":361}"#,
            "message.bearing: must be 0 to 360",
        ),
    ],
};
