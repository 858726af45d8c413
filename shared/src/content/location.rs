//! A place on the map.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kind::{Kind, Texts, check_text};
use crate::body::JobError;

/// Most bytes of a place's name and of its address, each.
const PLACE_MAX_BYTES: usize = 1_024;

/// A place on the map, by its coordinates in degrees (WGS 84).
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// Degrees north of the equator.
    #[schemars(range(min = -90.0, max = 90.0))]
    pub latitude: f64,
    /// Degrees east of Greenwich.
    #[schemars(range(min = -180.0, max = 180.0))]
    pub longitude: f64,
    /// What the place is called, 1 to 1,024 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is in words, 1 to 1,024 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl Location {
    fn words(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let words = [("name", &self.name), ("address", &self.address)];
        words
            .into_iter()
            .filter_map(|(field, text)| Some((field, text.as_deref()?)))
    }
}

impl Kind for Location {
    fn message_type(&self) -> &'static str {
        "locationMessage"
    }

    fn message(&self) -> Value {
        let mut shown = json!({ "degreesLatitude": self.latitude, "degreesLongitude": self.longitude });
        for (field, text) in self.words() {
            shown[field] = text.into();
        }
        shown
    }

    fn check(&self) -> Result<(), JobError> {
        check_coordinates(self.latitude, self.longitude)?;
        self.words()
            .try_for_each(|(field, text)| check_text(field, text, PLACE_MAX_BYTES))
    }

    fn texts(&mut self, texts: &mut Texts<'_>) {
        texts.some(format_args!("name"), &mut self.name);
        texts.some(format_args!("address"), &mut self.address);
    }
}

/// Checks that degrees are on the globe.
pub(super) fn check_coordinates(latitude: f64, longitude: f64) -> Result<(), JobError> {
    for (field, degrees, limit) in [("latitude", latitude, 90.0), ("longitude", longitude, 180.0)] {
        if !(-limit..=limit).contains(&degrees) {
            return Err(JobError::new(field, format!("must be -{limit} to {limit}")));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) const SAMPLE: super::kind::Sample = super::kind::Sample {
    stored: r#"{"type":"location","latitude":-23.550519,"longitude":-46.633309,"name":"Sé"}"#,
    fingerprint: "3feb9c10fada13e12d938f917f0ae26a96303d28b552fa2fee352d8935425ada",
    shown: r#"{"locationMessage":{"degreesLatitude":-23.550519,"degreesLongitude":-46.633309,"name":"Sé"}}"#,
    refused: &[
        (
            r#"{"type":"location","longitude":0}"#,
            "message.latitude: is required",
        ),
        (
            r#"{"type":"location","latitude":"0","longitude":0}"#,
            "message.latitude: must be a number",
        ),
        (
            r#"{"type":"location","latitude":90.1,"longitude":0}"#,
            "message.latitude: must be -90 to 90",
        ),
        (
            r#"{"type":"location","latitude":0,"longitude":-181}"#,
            "message.longitude: must be -180 to 180",
        ),
        (
            r#"{"type":"location","latitude":0,"longitude":0,"address":""}"#,
            "message.address: must not be empty",
        ),
    ],
};
