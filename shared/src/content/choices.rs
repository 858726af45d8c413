//! What buttons and lists have in common: the words around the choices, the native flow, and the numbered text.

use serde::Serialize;
use serde_json::{Value, json};

use super::header::{Above, Header, shown};
use super::kind::{check_some, check_text, object};
use super::text::TEXT_MAX_BYTES;
use crate::body::JobError;

/// Most bytes of a title, of a footer, of what a button or row says, and of its id, each.
pub(super) const WORDS_MAX_BYTES: usize = 256;
/// Most bytes of the text above the choices.
const BODY_MAX_BYTES: usize = 4_096;

/// The words around the choices.
pub(super) struct Words<'a> {
    pub(super) header: Option<&'a Header>,
    pub(super) title: Option<&'a str>,
    pub(super) text: &'a str,
    pub(super) footer: Option<&'a str>,
}

impl Words<'_> {
    pub(super) fn check(&self) -> Result<(), JobError> {
        check_some("title", self.title, WORDS_MAX_BYTES)?;
        check_text("text", self.text, BODY_MAX_BYTES)?;
        check_some("footer", self.footer, WORDS_MAX_BYTES)
    }

    /// A text with the choices as its lines.
    pub(super) fn numbered(&self, lines: &[String]) -> String {
        let choices = lines.join("\n");
        let parts = [self.title, Some(self.text), Some(&choices), self.footer];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
    }

    /// An interactive message with these buttons.
    pub(super) fn interactive(&self, buttons: Vec<FlowButton>) -> Interactive {
        Interactive {
            above: self.header.map(|header| header.above(None)),
            title: self.title.map(str::to_owned),
            text: self.text.to_owned(),
            footer: self.footer.map(str::to_owned),
            buttons,
        }
    }
}

/// Buttons or a list as an interactive message of the native flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Interactive {
    /// What stands above it all.
    pub above: Option<Above>,
    /// The header.
    pub title: Option<String>,
    /// The body.
    pub text: String,
    /// The footer.
    pub footer: Option<String>,
    /// The buttons; a list is one too.
    pub buttons: Vec<FlowButton>,
}

/// A button of the native flow.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowButton {
    /// Its flow: `quick_reply`, `cta_url`…
    pub name: &'static str,
    /// Its fields, as JSON text. What is stored renders to the same text each time.
    pub params: String,
}

impl FlowButton {
    pub(super) fn new(name: &'static str, params: &impl Serialize) -> Self {
        // Unwrap safety: our own structs of texts have no failing serializers.
        #[allow(clippy::unwrap_used)]
        let params = serde_json::to_string(params).unwrap();
        Self { name, params }
    }
}

impl Interactive {
    /// As events show it.
    pub(super) fn shown(&self) -> Value {
        let words = |title: &str, text: Option<&String>| text.map(|text| json!({ title: text }));
        let above = self
            .above
            .as_ref()
            .map(|above| (above.message_type(), above.shown()));
        let header = shown(above, [("title", self.title.clone().into())]);
        let has_header = self.above.is_some() || self.title.is_some();
        let buttons: Vec<Value> = self
            .buttons
            .iter()
            .map(|button| json!({ "name": button.name, "buttonParamsJson": button.params }))
            .collect();
        object([
            ("header", has_header.then_some(header).into()),
            ("body", words("text", Some(&self.text)).into()),
            ("footer", words("text", self.footer.as_ref()).into()),
            (
                "nativeFlowMessage",
                json!({ "buttons": buttons, "messageVersion": 1 }),
            ),
        ])
    }
}

/// What goes out for choices.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// An interactive message.
    NativeFlow(Interactive),
    /// The older message of its own.
    Legacy,
    /// A text.
    Text(String),
}

impl Shape {
    /// Checks what only some forms have a limit for.
    pub(super) fn check(&self) -> Result<(), JobError> {
        match self {
            Self::Text(text) => check_text("fallback", text, TEXT_MAX_BYTES),
            Self::NativeFlow(_) | Self::Legacy => Ok(()),
        }
    }

    /// The protocol's name of it, where `legacy` is that of the older message.
    pub(super) fn message_type(&self, legacy: &'static str) -> &'static str {
        match self {
            Self::NativeFlow(_) => "interactiveMessage",
            Self::Legacy => legacy,
            Self::Text(_) => "extendedTextMessage",
        }
    }

    /// As events show it, where `legacy` is how they show the older message.
    pub(super) fn shown(&self, legacy: impl FnOnce() -> Value) -> Value {
        match self {
            Self::NativeFlow(interactive) => interactive.shown(),
            Self::Legacy => legacy(),
            Self::Text(text) => json!({ "text": text }),
        }
    }
}
