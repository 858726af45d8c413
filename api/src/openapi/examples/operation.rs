//! What one operation is asked, what it answers and what it refuses, as the document shows it.

use serde::Serialize;
use serde_json::Value;

use crate::legacy::dialect;
use crate::problem::{PROBLEM_JSON, Problem};

/// The examples of one operation. Each is made from the type that goes over the wire.
#[derive(Clone, Debug)]
pub struct Examples {
    /// Method and path, as in the document: `post /v1/sessions`.
    pub operation: &'static str,
    /// The body that it is asked with, if it takes one.
    pub request: Option<Value>,
    /// What it answers when all is well.
    pub answers: Vec<Shown>,
    /// What it refuses most often.
    pub refusals: Vec<Refusal>,
}

/// An answer that has a body.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its HTTP status.
    pub status: u16,
    /// What sets it apart from other answers of this status: a word or a few, with hyphens.
    pub name: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// The body; a text where it is no JSON.
    pub body: Value,
}

/// A request that is refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The path and the query string, whole.
    pub at: String,
    /// The body, where it is another than that of the example.
    pub request: Option<Value>,
    /// Why.
    pub problem: Problem,
}

impl Examples {
    /// Of this operation; nothing yet.
    pub fn of(operation: &'static str) -> Self {
        Self {
            operation,
            request: None,
            answers: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// It is asked this.
    #[must_use]
    pub fn asks(mut self, body: &impl Serialize) -> Self {
        self.request = Some(given(body));
        self
    }

    /// It answers this in JSON.
    #[must_use]
    pub fn answers(mut self, status: u16, name: &'static str, body: &impl Serialize) -> Self {
        self.answers.push(Shown {
            status,
            name,
            media_type: JSON,
            body: json(body),
        });
        self
    }

    /// It answers this with 200, as a text of this media type.
    #[must_use]
    pub fn answers_text(mut self, media_type: &'static str, text: String) -> Self {
        self.answers.push(Shown {
            status: 200,
            name: "text",
            media_type,
            body: text.into(),
        });
        self
    }

    /// It answers this with 206 where a part is asked for, as a text of this media type.
    #[must_use]
    pub fn answers_part(mut self, media_type: &'static str, text: String) -> Self {
        self.answers.push(Shown {
            status: 206,
            name: "part",
            media_type,
            body: text.into(),
        });
        self
    }

    /// What it is asked is refused at this path.
    #[must_use]
    pub fn refuses(mut self, at: &str, problem: Problem) -> Self {
        self.refusals.push(Refusal {
            at: at.to_owned(),
            request: None,
            problem,
        });
        self
    }

    /// This is refused at this path.
    #[must_use]
    pub fn refuses_body(mut self, at: &str, body: &impl Serialize, problem: Problem) -> Self {
        self.refusals.push(Refusal {
            at: at.to_owned(),
            request: Some(given(body)),
            problem,
        });
        self
    }

    /// The media type of what it refuses, and the body of one.
    pub fn refused(&self, problem: &Problem) -> (&'static str, Value) {
        match self.operation.contains(" /v1/") {
            true => (PROBLEM_JSON, json(&problem.body())),
            false => (JSON, json(&dialect::body(problem))),
        }
    }
}

const JSON: &str = "application/json";

fn json(value: &impl Serialize) -> Value {
    // Types of ours that go over the wire always serialise.
    serde_json::to_value(value).unwrap_or_default()
}

/// As callers write it: without the fields that they say nothing of.
fn given(value: &impl Serialize) -> Value {
    let mut value = json(value);
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}
