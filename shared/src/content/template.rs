//! A text with buttons that lead somewhere: a page, a call, an answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::buttons::QuickReply;
use super::choices::{FlowButton, Shape, WORDS_MAX_BYTES, Words};
use super::form::{self, Fallback, Form, SentForm};
use super::header::{self, Above, Header, shown};
use super::kind::{Kind, Texts, check_count, check_text};
use super::media::Media;
use crate::body::JobError;

/// Most buttons of one message.
const BUTTONS_MAX: usize = 10;
/// Most bytes of an address.
const URL_MAX_BYTES: usize = 2_048;
/// Most bytes of a number to call.
const PHONE_MAX_BYTES: usize = 64;

/// A text with buttons that lead somewhere.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
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
    /// 1 to 10 buttons, in any order.
    #[schemars(length(min = 1, max = 10))]
    pub buttons: Vec<TemplateButton>,
    /// In which form it goes out; the native flow when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// What is sent in its place; not beside `form`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// A button of a template: exactly one of `url`, `phoneNumber` and `id` says what it does.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TemplateButton {
    /// What it says, 1 to 256 bytes.
    pub display_text: String,
    /// The page that it opens: http or https, at most 2,048 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The number that it calls, as its reader's phone is to dial it, at most 64 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    /// It answers: what the answer names it by, 1 to 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What a button of a template does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action<'a> {
    /// Opens a page.
    Url(&'a str),
    /// Calls a number.
    Call(&'a str),
    /// Answers by this id.
    Reply(&'a str),
}

/// The fields of a `cta_url` of the native flow.
#[derive(Serialize)]
pub(super) struct OpenUrl<'a> {
    pub(super) display_text: &'a str,
    pub(super) url: &'a str,
    pub(super) merchant_url: &'a str,
}

/// The fields of a `cta_call` of the native flow.
#[derive(Serialize)]
struct Call<'a> {
    display_text: &'a str,
    phone_number: &'a str,
}

impl TemplateButton {
    /// What it does; `None` unless exactly one field says it.
    fn only_action(&self) -> Option<Action<'_>> {
        match (&self.url, &self.phone_number, &self.id) {
            (Some(url), None, None) => Some(Action::Url(url)),
            (None, Some(phone), None) => Some(Action::Call(phone)),
            (None, None, Some(id)) => Some(Action::Reply(id)),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), JobError> {
        check_text("displayText", &self.display_text, WORDS_MAX_BYTES)?;
        match self.only_action() {
            Some(Action::Url(url)) => check_url("url", url),
            Some(Action::Call(phone)) => {
                check_text("phoneNumber", phone, PHONE_MAX_BYTES)?;
                if !phone.bytes().any(|byte| byte.is_ascii_digit()) {
                    return Err(JobError::new("phoneNumber", "must have digits"));
                }
                Ok(())
            }
            Some(Action::Reply(id)) => check_text("id", id, WORDS_MAX_BYTES),
            None => Err(JobError::new(
                "url",
                "must be the only one of url, phoneNumber and id, one of which is required",
            )),
        }
    }

    fn texts(&mut self, texts: &mut Texts<'_>) {
        texts.text(format_args!("displayText"), &mut self.display_text);
        texts.some(format_args!("url"), &mut self.url);
        texts.some(format_args!("phoneNumber"), &mut self.phone_number);
        texts.some(format_args!("id"), &mut self.id);
    }

    fn flow(&self, action: Action<'_>) -> FlowButton {
        let display_text = &self.display_text;
        match action {
            Action::Url(url) => {
                let merchant_url = url;
                FlowButton::new(
                    "cta_url",
                    &OpenUrl {
                        display_text,
                        url,
                        merchant_url,
                    },
                )
            }
            Action::Call(phone_number) => FlowButton::new(
                "cta_call",
                &Call {
                    display_text,
                    phone_number,
                },
            ),
            Action::Reply(id) => FlowButton::new("quick_reply", &QuickReply { display_text, id }),
        }
    }
}

/// Checks that a button may open an address.
pub(super) fn check_url(field: &str, url: &str) -> Result<(), JobError> {
    check_text(field, url, URL_MAX_BYTES)?;
    let lower = url.get(..8).unwrap_or(url).to_ascii_lowercase();
    let is_web = lower.starts_with("https://") || lower.starts_with("http://");
    if !is_web || url.contains(char::is_whitespace) {
        return Err(JobError::new(
            field,
            "must be an address that begins with http:// or https://",
        ));
    }
    Ok(())
}

impl Template {
    /// What goes out.
    pub fn shape(&self) -> Shape {
        match SentForm::of(self.form, self.fallback) {
            SentForm::NativeFlow => {
                let buttons = self.actions().map(|(button, action)| button.flow(action));
                Shape::NativeFlow(self.words().interactive(buttons.collect()))
            }
            SentForm::Legacy => Shape::Legacy,
            SentForm::Text => Shape::Text(self.numbered()),
        }
    }

    /// The buttons with what they do.
    pub fn actions(&self) -> impl Iterator<Item = (&TemplateButton, Action<'_>)> {
        self.buttons
            .iter()
            .filter_map(|button| Some((button, button.only_action()?)))
    }

    fn words(&self) -> Words<'_> {
        Words {
            header: self.header.as_ref(),
            title: self.title.as_deref(),
            text: &self.text,
            footer: self.footer.as_deref(),
        }
    }

    fn numbered(&self) -> String {
        let line = |(at, (button, action)): (usize, (&TemplateButton, Action<'_>))| {
            let (number, text) = (at + 1, &button.display_text);
            match action {
                Action::Url(place) | Action::Call(place) => format!("{number}. {text}: {place}"),
                Action::Reply(_) => format!("{number}. {text}"),
            }
        };
        let lines: Vec<_> = self.actions().enumerate().map(line).collect();
        self.words().numbered(&lines)
    }

    /// The older message, as the protocol's JSON has it.
    fn legacy(&self) -> Value {
        let button = |(at, (button, action)): (usize, (&TemplateButton, Action<'_>))| {
            let (text, index) = (&button.display_text, at + 1);
            match action {
                Action::Url(url) => {
                    json!({ "urlButton": { "displayText": text, "url": url }, "index": index })
                }
                Action::Call(phone) => {
                    json!({ "callButton": { "displayText": text, "phoneNumber": phone }, "index": index })
                }
                Action::Reply(id) => {
                    json!({ "quickReplyButton": { "displayText": text, "id": id }, "index": index })
                }
            }
        };
        let buttons: Vec<Value> = self.actions().enumerate().map(button).collect();
        let above = match (self.above(), &self.title) {
            (Some(above), _) => Some((above.message_type(), above.shown())),
            (None, title) => title.clone().map(|title| ("hydratedTitleText", title.into())),
        };
        let fields = [
            ("hydratedContentText", self.text.clone().into()),
            ("hydratedFooterText", self.footer.clone().into()),
            ("hydratedButtons", buttons.into()),
        ];
        json!({ "hydratedTemplate": shown(above, fields) })
    }

    /// What stands above the older message, which says the text there too.
    pub fn above(&self) -> Option<Above> {
        self.header.as_ref().map(|header| header.above(Some(&self.text)))
    }
}

impl Kind for Template {
    fn message_type(&self) -> &'static str {
        self.shape().message_type("templateMessage")
    }

    fn message(&self) -> Value {
        self.shape().shown(|| self.legacy())
    }

    fn check(&self) -> Result<(), JobError> {
        self.words().check()?;
        check_count("buttons", self.buttons.len(), 1..=BUTTONS_MAX)?;
        for (at, button) in self.buttons.iter().enumerate() {
            button
                .check()
                .map_err(|error| error.within(&format!("buttons[{at}]")))?;
        }
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
            texts.within(format_args!("buttons[{at}]"), |texts| button.texts(texts));
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
    stored: r#"{"type":"template","text":"Hello","buttons":[{"displayText":"Call us","phoneNumber":"+1 (234) 5678-901"},{"displayText":"Reply","id":"r"},{"displayText":"Visit","url":"https://example.com"}],"form":"legacy"}"#,
    fingerprint: "1d6bcd9055be080afe719e79cab07f864cfeb086abd7d68acc108a6acc087e5f",
    shown: r#"{"templateMessage":{"hydratedTemplate":{"hydratedContentText":"Hello","hydratedButtons":[{"callButton":{"displayText":"Call us","phoneNumber":"+1 (234) 5678-901"},"index":1},{"quickReplyButton":{"displayText":"Reply","id":"r"},"index":2},{"urlButton":{"displayText":"Visit","url":"https://example.com"},"index":3}]}}}"#,
    refused: &[
        (
            r#"{"type":"template","text":"?","buttons":[{"displayText":"a"}]}"#,
            "message.buttons[0].url: must be the only one of url, phoneNumber and id, one of which is required",
        ),
        (
            r#"{"type":"template","text":"?","buttons":[{"displayText":"a","url":"javascript:x"}]}"#,
            "message.buttons[0].url: must be an address that begins with http:// or https://",
        ),
        (
            r#"{"type":"template","text":"?","buttons":[{"displayText":"a","phoneNumber":"none"}]}"#,
            "message.buttons[0].phoneNumber: must have digits",
        ),
        (
            r#"{"type":"template","text":"","buttons":[{"displayText":"a","id":"b"}]}"#,
            "message.text: must not be empty",
        ),
        (
            r#"{"type":"template","text":"?","buttons":[{"displayText":"a","id":"b"}],"form":"flow"}"#,
            "message.form: must be `nativeFlow` or `legacy`",
        ),
        (
            r#"{"type":"template","text":"?","buttons":[{"displayText":"a","id":"b"}],"header":{"type":"gif","media":{"base64":"AA=="}}}"#,
            "message.header.type: must be one of `image`, `video`, `document`",
        ),
        (
            r#"{"type":"template","text":"?","buttons":[{"displayText":"a","id":"b"}],"header":{"type":"image","media":{"base64":"AA=="},"fileName":"a"}}"#,
            "message.header.fileName: can be given for a `document` only",
        ),
    ],
};
