//! A content that says something else to each recipient: what its texts ask for, and whether it can be made for one.

use serde_json::{Map, Value};

use super::Content;
use super::media::Media;
use super::placeholders::{Piece, pieces};
use super::texts::Texts;
use super::variables::Variables;
use crate::body::JobError;

/// A content at the door whose placeholders can be read; what it says to each recipient is to be checked.
pub(crate) struct Personal {
    content: Content,
    /// The same without a file that lies in it, so that it is not copied for each recipient.
    light: Content,
    /// The fields of the texts that have placeholders.
    fields: Vec<String>,
}

/// Why a content can't be made for a recipient.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// A text asks for a variable that the recipient does not have.
    Missing {
        /// Its name.
        name: String,
        /// The text's field.
        field: String,
    },
    /// What it would say can't be sent.
    Text(JobError),
    /// What it says can be sent to nobody: it is not for its variables.
    Nobody(JobError),
}

impl Content {
    /// What it says to a recipient with these variables. The same for the same variables; what can't be filled stays as it
    /// is, and is refused at the door.
    #[must_use]
    pub fn filled(&self, variables: &Variables) -> Self {
        let mut filled = self.clone();
        filled.each_text(&mut |_, text| {
            if let Ok(told) = variables.fill(text) {
                *text = told;
            }
        });
        filled
    }

    fn each_text(&mut self, each: &mut dyn FnMut(std::fmt::Arguments<'_>, &mut String)) {
        let mut texts = Texts::new(each);
        self.body.kind_mut().texts(&mut texts);
        self.references.texts(&mut texts);
    }

    /// The same without what of its file lies in it.
    #[must_use]
    pub fn without_file(mut self) -> Self {
        if let Some(media) = self.body.kind_mut().media_mut() {
            media.base64 = None;
        }
        self
    }
}

impl Personal {
    /// Reads a content that callers wrote.
    ///
    /// # Errors
    /// [`JobError`] on the field that can't be read, or on the text that has a broken placeholder.
    pub(crate) fn parse(fields: Map<String, Value>) -> Result<Self, JobError> {
        let content = Content::read(fields)?;
        let mut light = content.clone();
        let at = content.body.kind().media_field();
        if let Some(media) = light.body.kind_mut().media_mut() {
            media.check(at)?;
            *media = tiny();
        }
        let (mut fields, mut broken) = (Vec::new(), None);
        light.each_text(&mut |field, text| {
            let mut all = pieces(text);
            match all.find(|piece| !matches!(piece, Ok(Piece::Text(_)))) {
                None => return,
                Some(Err(_)) => {}
                Some(Ok(_)) => fields.push(field.to_string()),
            }
            if let Some(Err(error)) = pieces(text).find(Result::is_err) {
                broken.get_or_insert_with(|| JobError::new(field.to_string(), error.problem()));
            }
        });
        match broken {
            Some(error) => Err(error),
            None => Ok(Self {
                content,
                light,
                fields,
            }),
        }
    }

    /// The content, as it is stored.
    pub(crate) fn into_content(self) -> Content {
        self.content
    }

    /// Checks what it says to a recipient.
    pub(crate) fn check(&self, variables: &Variables) -> Result<(), Unfit> {
        let (mut told, mut missing) = (self.light.clone(), None);
        told.each_text(&mut |field, text| match variables.fill(text) {
            Ok(filled) => *text = filled,
            Err(name) => {
                missing.get_or_insert_with(|| Unfit::Missing {
                    name: name.to_owned(),
                    field: field.to_string(),
                });
            }
        });
        if let Some(missing) = missing {
            return Err(missing);
        }
        told.check().map_err(|error| match self.is_of_variables(&error) {
            true => Unfit::Text(error),
            false => Unfit::Nobody(error),
        })
    }

    /// Whether it may be otherwise for another recipient: a text with placeholders is at fault, or what is made of several.
    fn is_of_variables(&self, error: &JobError) -> bool {
        !self.fields.is_empty() && (error.field == "fallback" || self.fields.contains(&error.field))
    }
}

/// A file that is good enough for checks.
fn tiny() -> Media {
    Media {
        base64: Some("AA==".to_owned()),
        ..Media::default()
    }
}
