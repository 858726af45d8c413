//! A text with buttons that answer it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::choices::{FlowButton, Shape, WORDS_MAX_BYTES, Words};
use super::form::{self, Fallback, Form, SentForm};
use super::header::{self, Above, Header, shown};
use super::kind::{Kind, Texts, check_count, check_distinct, check_some, check_text};
use super::media::Media;
use crate::body::JobError;

/// Most buttons of one message.
const BUTTONS_MAX: usize = 10;

/// A text with buttons that answer it.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Buttons {
    /// A picture, a film or a file above the text; not with `fallback`, and not beside `title` in the form `legacy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// A line above the text, 1 to 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The text, 1 to 4,096 bytes.
    pub text: String,
    /// A line below it, 1 to 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    /// 1 to 10 buttons.
    #[schemars(length(min = 1, max = 10))]
    pub buttons: Vec<ReplyButton>,
    /// In which form it goes out; the native flow when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// What is sent in its place; not beside `form`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// A button that answers.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplyButton {
    /// What it says, 1 to 256 bytes.
    pub display_text: String,
    /// What the answer names it by, 1 to 256 bytes; when absent its place, from `0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// The fields of a `quick_reply` of the native flow.
#[derive(Serialize)]
pub(super) struct QuickReply<'a> {
    pub(super) display_text: &'a str,
    pub(super) id: &'a str,
}

impl Buttons {
    /// What goes out.
    pub fn shape(&self) -> Shape {
        match SentForm::of(self.form, self.fallback) {
            SentForm::NativeFlow => Shape::NativeFlow(self.words().interactive(self.flow_buttons())),
            SentForm::Legacy => Shape::Legacy,
            SentForm::Text => Shape::Text(self.numbered()),
        }
    }

    /// The buttons' ids and what they say.
    pub fn replies(&self) -> impl Iterator<Item = (String, &str)> {
        let replies = self.buttons.iter().enumerate();
        replies.map(|(at, button)| {
            let id = button.id.clone().unwrap_or_else(|| at.to_string());
            (id, button.display_text.as_str())
        })
    }

    fn words(&self) -> Words<'_> {
        Words {
            header: self.header.as_ref(),
            title: self.title.as_deref(),
            text: &self.text,
            footer: self.footer.as_deref(),
        }
    }

    fn flow_buttons(&self) -> Vec<FlowButton> {
        let button = |(id, display_text): (String, &str)| {
            FlowButton::new(
                "quick_reply",
                &QuickReply {
                    display_text,
                    id: &id,
                },
            )
        };
        self.replies().map(button).collect()
    }

    fn numbered(&self) -> String {
        let lines = self.buttons.iter().enumerate();
        let lines: Vec<_> = lines
            .map(|(at, button)| format!("{}. {}", at + 1, button.display_text))
            .collect();
        self.words().numbered(&lines)
    }

    /// The older message, as the protocol's JSON has it.
    fn legacy(&self) -> Value {
        let buttons: Vec<Value> = self
            .replies()
            .map(|(id, text)| json!({ "buttonId": id, "buttonText": { "displayText": text }, "type": "RESPONSE" }))
            .collect();
        let (above, header_type) = match (self.above(), &self.title) {
            (Some(above), _) => (Some((above.message_type(), above.shown())), above.kind.as_str()),
            (None, Some(title)) => (Some(("text", title.clone().into())), "TEXT"),
            (None, None) => (None, "EMPTY"),
        };
        let fields = [
            ("contentText", self.text.clone().into()),
            ("footerText", self.footer.clone().into()),
            ("buttons", buttons.into()),
            ("headerType", header_type.into()),
        ];
        shown(above, fields)
    }

    /// What stands above the older message, which says the text there too.
    pub fn above(&self) -> Option<Above> {
        self.header.as_ref().map(|header| header.above(Some(&self.text)))
    }
}

impl Kind for Buttons {
    fn message_type(&self) -> &'static str {
        self.shape().message_type("buttonsMessage")
    }

    fn message(&self) -> Value {
        self.shape().shown(|| self.legacy())
    }

    fn check(&self) -> Result<(), JobError> {
        self.words().check()?;
        check_count("buttons", self.buttons.len(), 1..=BUTTONS_MAX)?;
        for (at, button) in self.buttons.iter().enumerate() {
            let field = |name: &str| format!("buttons[{at}].{name}");
            check_text(&field("displayText"), &button.display_text, WORDS_MAX_BYTES)?;
            check_some(&field("id"), button.id.as_deref(), WORDS_MAX_BYTES)?;
        }
        let ids: Vec<String> = self.replies().map(|(id, _)| id).collect();
        check_distinct(ids.iter().map(String::as_str), |at| format!("buttons[{at}].id"))?;
        form::check(self.form, self.fallback)?;
        if let Some(header) = &self.header {
            header.check(self.title.as_deref(), SentForm::of(self.form, self.fallback))?;
        }
        self.shape().check()
    }

    fn texts(&mut self, texts: &mut Texts<'_>) {
        if let Some(header) = &mut self.header {
            header.texts(texts);
        }
        texts.some(format_args!("title"), &mut self.title);
        texts.text(format_args!("text"), &mut self.text);
        texts.some(format_args!("footer"), &mut self.footer);
        for (at, button) in self.buttons.iter_mut().enumerate() {
            texts.text(
                format_args!("buttons[{at}].displayText"),
                &mut button.display_text,
            );
            texts.some(format_args!("buttons[{at}].id"), &mut button.id);
        }
    }

    fn form(&self) -> Option<SentForm> {
        Some(SentForm::of(self.form, self.fallback))
    }

    fn media(&self) -> Option<&Media> {
        self.header.as_ref().map(|header| &header.media)
    }

    fn media_field(&self) -> &'static str {
        header::MEDIA_FIELD
    }

    fn media_mut(&mut self) -> Option<&mut Media> {
        self.header.as_mut().map(|header| &mut header.media)
    }
}

#[cfg(test)]
pub(super) const SAMPLE: super::kind::Sample = super::kind::Sample {
    stored: r#"{"type":"buttons","text":"Shall we?","footer":"Fanfare","buttons":[{"displayText":"Yes"},{"displayText":"No","id":"no"}]}"#,
    fingerprint: "43cf11a22e4cc079d7d9907fa2e6c631488f0355a6889fe3af1cf8a988672db2",
    shown: r#"{"interactiveMessage":{"body":{"text":"Shall we?"},"footer":{"text":"Fanfare"},"nativeFlowMessage":{"buttons":[{"name":"quick_reply","buttonParamsJson":"{\"display_text\":\"Yes\",\"id\":\"0\"}"},{"name":"quick_reply","buttonParamsJson":"{\"display_text\":\"No\",\"id\":\"no\"}"}],"messageVersion":1}}}"#,
    refused: &[
        (
            r#"{"type":"buttons","text":"?","buttons":[]}"#,
            "message.buttons: must have 1 to 10 entries",
        ),
        (
            r#"{"type":"buttons","text":"?","buttons":[{"displayText":""}]}"#,
            "message.buttons[0].displayText: must not be empty",
        ),
        (
            r#"{"type":"buttons","text":"?","buttons":[{"displayText":"a","id":"1"},{"displayText":"b"}]}"#,
            "message.buttons[1].id: is the same as that of an entry before it",
        ),
        (
            r#"{"type":"buttons","text":"?","buttons":[{"displayText":"a"}],"form":"legacy","fallback":"text"}"#,
            "message.fallback: must not be given beside form",
        ),
        (
            r#"{"type":"buttons","text":"?","buttons":[{"displayText":"a"}],"header":{"type":"image","media":{}}}"#,
            "message.header.media: must have one of `url`, `base64`, `id`",
        ),
        (
            r#"{"type":"buttons","text":"?","buttons":[{"displayText":"a"}],"header":{"type":"image","media":{"base64":"A"}}}"#,
            "message.header.media.base64: must be base64",
        ),
        (
            r#"{"type":"buttons","text":"?","buttons":[{"displayText":"a"}],"header":{"type":"image","media":{"base64":"AA=="}},"fallback":"text"}"#,
            "message.header: can't go with `fallback`",
        ),
        (
            r#"{"type":"buttons","title":"t","text":"?","buttons":[{"displayText":"a"}],"header":{"type":"image","media":{"base64":"AA=="}},"form":"legacy"}"#,
            "message.title: can't go with `header` in the form `legacy`",
        ),
    ],
};
