//! What is asked to be sent, as all routes of the older API read it: each body becomes that of a `send` job, so that all
//! doors refuse the same things in the same words.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::id::Token;
use shared::job::{Delay, SendJob};

use super::bodies::Recipients;
use crate::extract;
use crate::problem::Problem;

/// A request to send.
pub(super) struct Request {
    /// The session that sends.
    pub(super) token: Token,
    /// To whom.
    pub(super) number: Recipients,
    /// The `message` of the job; fields that are null are left out.
    pub(super) message: Value,
    /// The gap between two sends.
    pub(super) delay: Option<Delay>,
    /// What this API calls fields of the message, where it has another name for them.
    pub(super) names: Names,
}

/// Fields of a message, and what this API calls them.
pub(super) type Names = &'static [(&'static str, &'static str)];

/// A body that asks to send.
pub(super) trait Asks: DeserializeOwned {
    /// What it asks.
    ///
    /// # Errors
    /// 400 that names the field for which nothing can be sent.
    fn request(self) -> Result<Request, Problem>;
}

/// Reads a body that asks to send.
pub(super) fn read<B: Asks>(body: &[u8]) -> Result<Request, Problem> {
    extract::fields::<B>(body)?.request()
}

impl Request {
    /// Whether it makes a queue that its caller is told of.
    pub(super) fn is_to_many(&self) -> bool {
        matches!(self.number, Recipients::Many(_))
    }

    /// The body of its job.
    pub(super) fn body(&self) -> Value {
        let mut message = self.message.clone();
        if let Some(fields) = message.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        json!({ "number": self.number, "message": message, "delay": self.delay })
    }

    /// Its job.
    pub(super) fn job(&self) -> Result<SendJob, Problem> {
        let job = SendJob::parse(self.body().to_string().as_bytes());
        job.map_err(|error| self.own_name(error.into()))
    }

    /// Names the field at fault as this API does.
    fn own_name(&self, problem: Problem) -> Problem {
        let [only] = problem.fields() else {
            return problem;
        };
        let own = self.own_field(&only.field);
        Problem::new(problem.code(), "").with_field(own, &*only.problem)
    }

    /// What this API calls a field of the job.
    pub(super) fn own_field(&self, field: &str) -> String {
        let field = field.strip_prefix("message.").unwrap_or(field);
        if let Some((_, own)) = self.names.iter().find(|(name, _)| *name == field) {
            return (*own).to_owned();
        }
        let end = field.find(['.', '[']).unwrap_or(field.len());
        let (first, rest) = field.split_at(end);
        let own = self.names.iter().find(|(name, _)| *name == first);
        let own = match (own, first) {
            (Some((_, own)), _) => own,
            (None, "numbers") => "number",
            (None, first) => first,
        };
        format!("{own}{rest}")
    }
}
