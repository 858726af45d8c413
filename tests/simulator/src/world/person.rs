//! What a contact changes of itself, as the control API asks for it.

use serde::Deserialize;

/// What a contact changes of itself; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonNews {
    /// Its picture.
    #[serde(default)]
    pub picture: Option<PictureNews>,
    /// What it says about itself; empty takes it back.
    #[serde(default)]
    pub about: Option<String>,
    /// The name that it goes by from its next message on.
    #[serde(default)]
    pub name: Option<String>,
    /// The name of its business; empty for none any more.
    #[serde(default)]
    pub business: Option<String>,
    /// The contact that it is from now on, in place of this one.
    #[serde(default)]
    pub number: Option<String>,
}

/// What becomes of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PictureNews {
    /// There is another one.
    Changed,
    /// There is none.
    Removed,
}
