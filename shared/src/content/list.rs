//! A text with a list to choose from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::choices::{FlowButton, Shape, WORDS_MAX_BYTES, Words};
use super::form::{self, Fallback, Form, SentForm};
use super::kind::{Kind, Texts, check_count, check_distinct, check_some, check_text, object};
use super::template::{OpenUrl, check_url};
use crate::body::JobError;

/// Most sections of one list.
const SECTIONS_MAX: usize = 10;
/// Most rows of one list, over all sections.
const ROWS_MAX: usize = 100;
/// Most bytes of what a row explains.
const DESCRIPTION_MAX_BYTES: usize = 512;

/// A text with a list to choose from.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct List {
    /// A line above the text, 1 to 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The text, 1 to 4,096 bytes.
    pub text: String,
    /// A line below it, 1 to 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    /// What the button that opens the list says, 1 to 256 bytes.
    pub button_text: String,
    /// 1 to 10 sections with 1 to 100 rows together.
    #[schemars(length(min = 1, max = 10))]
    pub sections: Vec<Section>,
    /// A page that goes with it, as a button below the list: http or https. The legacy form has no place for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// In which form it goes out; the native flow when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// What is sent in its place; not beside `form`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
}

/// Rows under a title.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// What they have in common, 1 to 256 bytes; required where there are several sections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The rows.
    #[schemars(length(min = 1))]
    pub rows: Vec<ListRow>,
}

/// A row to choose.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListRow {
    /// What it says, 1 to 256 bytes.
    pub title: String,
    /// What it means, 1 to 512 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What the answer names it by, 1 to 256 bytes; no two are the same.
    pub row_id: String,
}

/// The fields of a `single_select` of the native flow.
#[derive(Serialize)]
struct SingleSelect<'a> {
    title: &'a str,
    sections: Vec<FlowSection<'a>>,
}

#[derive(Serialize)]
struct FlowSection<'a> {
    title: &'a str,
    rows: Vec<FlowRow<'a>>,
}

#[derive(Serialize)]
struct FlowRow<'a> {
    title: &'a str,
    description: &'a str,
    id: &'a str,
}

impl List {
    /// What goes out.
    pub fn shape(&self) -> Shape {
        match SentForm::of(self.form, self.fallback) {
            SentForm::NativeFlow => Shape::NativeFlow(self.words().interactive(self.flow_buttons())),
            SentForm::Legacy => Shape::Legacy,
            SentForm::Text => Shape::Text(self.numbered()),
        }
    }

    fn words(&self) -> Words<'_> {
        Words {
            header: None,
            title: self.title.as_deref(),
            text: &self.text,
            footer: self.footer.as_deref(),
        }
    }

    fn rows(&self) -> impl Iterator<Item = &ListRow> {
        self.sections.iter().flat_map(|section| &section.rows)
    }

    /// The field of the id of a row, counted over all sections.
    fn row_field(&self, row: usize) -> String {
        let mut left = row;
        for (at, section) in self.sections.iter().enumerate() {
            match left.checked_sub(section.rows.len()) {
                Some(rest) => left = rest,
                None => return format!("sections[{at}].rows[{left}].rowId"),
            }
        }
        "sections".to_owned()
    }

    fn flow_buttons(&self) -> Vec<FlowButton> {
        let sections = self.sections.iter().map(FlowSection::from).collect();
        let list = SingleSelect {
            title: &self.button_text,
            sections,
        };
        let mut buttons = vec![FlowButton::new("single_select", &list)];
        if let Some(url) = &self.link {
            let page = OpenUrl {
                display_text: url,
                url,
                merchant_url: url,
            };
            buttons.push(FlowButton::new("cta_url", &page));
        }
        buttons
    }

    fn numbered(&self) -> String {
        let (mut lines, mut number) = (Vec::new(), 0);
        for section in &self.sections {
            lines.extend(section.title.clone());
            for row in &section.rows {
                number += 1;
                let meaning = row.description.as_deref();
                let meaning = meaning.map_or_else(String::new, |text| format!(": {text}"));
                lines.push(format!("{number}. {}{meaning}", row.title));
            }
        }
        lines.extend(self.link.clone());
        self.words().numbered(&lines)
    }

    /// The older message, as the protocol's JSON has it.
    fn legacy(&self) -> Value {
        let row = |row: &ListRow| {
            object([
                ("title", row.title.clone().into()),
                ("description", row.description.clone().into()),
                ("rowId", row.row_id.clone().into()),
            ])
        };
        let section = |section: &Section| {
            let rows: Vec<Value> = section.rows.iter().map(row).collect();
            object([("title", section.title.clone().into()), ("rows", rows.into())])
        };
        let sections: Vec<Value> = self.sections.iter().map(section).collect();
        object([
            ("title", self.title.clone().into()),
            ("description", self.text.clone().into()),
            ("buttonText", self.button_text.clone().into()),
            ("listType", "SINGLE_SELECT".into()),
            ("sections", sections.into()),
            ("footerText", self.footer.clone().into()),
        ])
    }
}

impl<'a> From<&'a Section> for FlowSection<'a> {
    fn from(section: &'a Section) -> Self {
        let row = |row: &'a ListRow| FlowRow {
            title: &row.title,
            description: row.description.as_deref().unwrap_or_default(),
            id: &row.row_id,
        };
        Self {
            title: section.title.as_deref().unwrap_or_default(),
            rows: section.rows.iter().map(row).collect(),
        }
    }
}

impl Section {
    fn texts(&mut self, texts: &mut Texts<'_>) {
        texts.some(format_args!("title"), &mut self.title);
        for (at, row) in self.rows.iter_mut().enumerate() {
            texts.text(format_args!("rows[{at}].title"), &mut row.title);
            texts.some(format_args!("rows[{at}].description"), &mut row.description);
            texts.text(format_args!("rows[{at}].rowId"), &mut row.row_id);
        }
    }

    fn check(&self) -> Result<(), JobError> {
        check_some("title", self.title.as_deref(), WORDS_MAX_BYTES)?;
        check_count("rows", self.rows.len(), 1..=ROWS_MAX)?;
        for (at, row) in self.rows.iter().enumerate() {
            let field = |name: &str| format!("rows[{at}].{name}");
            check_text(&field("title"), &row.title, WORDS_MAX_BYTES)?;
            check_some(
                &field("description"),
                row.description.as_deref(),
                DESCRIPTION_MAX_BYTES,
            )?;
            check_text(&field("rowId"), &row.row_id, WORDS_MAX_BYTES)?;
        }
        Ok(())
    }
}

impl Kind for List {
    fn message_type(&self) -> &'static str {
        self.shape().message_type("listMessage")
    }

    fn message(&self) -> Value {
        self.shape().shown(|| self.legacy())
    }

    fn check(&self) -> Result<(), JobError> {
        self.words().check()?;
        check_text("buttonText", &self.button_text, WORDS_MAX_BYTES)?;
        check_count("sections", self.sections.len(), 1..=SECTIONS_MAX)?;
        for (at, section) in self.sections.iter().enumerate() {
            let within = |error: JobError| error.within(&format!("sections[{at}]"));
            section.check().map_err(within)?;
            if section.title.is_none() && self.sections.len() > 1 {
                let problem = "is required where there are several sections";
                return Err(within(JobError::new("title", problem)));
            }
        }
        if self.rows().count() > ROWS_MAX {
            let problem = format!("must have at most {ROWS_MAX} rows together");
            return Err(JobError::new("sections", problem));
        }
        check_distinct(self.rows().map(|row| row.row_id.as_str()), |at| {
            self.row_field(at)
        })?;
        form::check(self.form, self.fallback)?;
        if let Some(link) = &self.link {
            check_url("link", link)?;
            if self.form == Some(Form::Legacy) {
                return Err(JobError::new("link", "has no place in the legacy form of a list"));
            }
        }
        self.shape().check()
    }

    fn texts(&mut self, texts: &mut Texts<'_>) {
        texts.some(format_args!("title"), &mut self.title);
        texts.text(format_args!("text"), &mut self.text);
        texts.some(format_args!("footer"), &mut self.footer);
        texts.text(format_args!("buttonText"), &mut self.button_text);
        for (at, section) in self.sections.iter_mut().enumerate() {
            texts.within(format_args!("sections[{at}]"), |texts| section.texts(texts));
        }
        texts.some(format_args!("link"), &mut self.link);
    }

    fn form(&self) -> Option<SentForm> {
        Some(SentForm::of(self.form, self.fallback))
    }
}

#[cfg(test)]
pub(super) const SAMPLE: super::kind::Sample = super::kind::Sample {
    stored: r#"{"type":"list","title":"Menu","text":"What may it be?","buttonText":"Choose","sections":[{"title":"Warm","rows":[{"title":"Soup","rowId":"soup"}]},{"title":"Cold","rows":[{"title":"Salad","description":"with nuts","rowId":"salad"}]}],"link":"https://example.com","fallback":"text"}"#,
    fingerprint: "4158937fce785f35cebc757b54f0d139d51820dff5c517b1f193386a7bb6c70c",
    shown: r#"{"extendedTextMessage":{"text":"Menu\n\nWhat may it be?\n\nWarm\n1. Soup\nCold\n2. Salad: with nuts\nhttps://example.com"}}"#,
    refused: &[
        (
            r#"{"type":"list","text":"?","buttonText":"b","sections":[{"rows":[{"title":"a","rowId":"1"}]},{"rows":[{"title":"a","rowId":"2"}]}]}"#,
            "message.sections[0].title: is required where there are several sections",
        ),
        (
            r#"{"type":"list","text":"?","buttonText":"b","sections":[{"title":"x","rows":[{"title":"a","rowId":"1"}]},{"title":"y","rows":[{"title":"b","rowId":"1"}]}]}"#,
            "message.sections[1].rows[0].rowId: is the same as that of an entry before it",
        ),
        (
            r#"{"type":"list","text":"?","buttonText":"b","sections":[{"rows":[]}]}"#,
            "message.sections[0].rows: must have 1 to 100 entries",
        ),
        (
            r#"{"type":"list","text":"?","buttonText":"b","sections":[{"rows":[{"title":"a","rowId":"1"}]}],"link":"https://example.com","form":"legacy"}"#,
            "message.link: has no place in the legacy form of a list",
        ),
    ],
};
