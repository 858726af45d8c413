//! How the API asks workers for something: jobs that are published and confirmed, and jobs that are answered.
//!
//! Owns the map from the broker's, the database's and the workers' failures to problems. Must not know any route.

use std::time::Duration;

use rand::Rng;
use sha2::{Digest, Sha256};
use shared::id::{JobId, StanzaId, Token};
use shared::job::{Answer, FailureCode, JobError, RECIPIENTS_MAX};
use shared::store::StoreError;

use crate::problem::{Code, Problem};

/// How long an answered job may take.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// When a client may try again after the broker or the database was away.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// First and longest wait between two looks at the database.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_millis(160);

/// Bytes of a stanza id of ours, behind its prefix.
const STANZA_BYTES: usize = 9;

/// What all message ids of this kind of client begin with.
const STANZA_PREFIX: &str = "3EB0";

/// Looks until there is something to see, for at most `limit`.
///
/// # Errors
/// What `look` says.
pub async fn until<T>(
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Problem>,
) -> Result<Option<T>, Problem> {
    let deadline = tokio::time::Instant::now() + limit;
    let mut wait = LOOK_MIN;
    loop {
        if let Some(seen) = look().await? {
            return Ok(Some(seen));
        }
        if tokio::time::Instant::now() + wait >= deadline {
            return Ok(None);
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LOOK_MAX);
    }
}

/// The WhatsApp id of a single message: random, or the same again for the same idempotency key.
pub fn stanza_id(token: &Token, key: Option<&JobId>) -> StanzaId {
    let mut bytes = [0_u8; STANZA_BYTES];
    match key {
        Some(key) => bytes.copy_from_slice(&Sha256::digest(format!("{token}/{key}"))[..STANZA_BYTES]),
        None => rand::rng().fill_bytes(&mut bytes),
    }
    // Unwrap safety: upper-case hex of fixed length.
    #[allow(clippy::unwrap_used)]
    StanzaId::new(&format!("{STANZA_PREFIX}{}", hex::encode_upper(bytes))).unwrap()
}

/// What an answer that is no success means.
pub fn failure(code: FailureCode, message: String) -> Problem {
    let code = match code {
        FailureCode::UnknownSession => Code::SessionNotFound,
        FailureCode::UnknownQueue => Code::QueueNotFound,
        FailureCode::InvalidJob => Code::InvalidField,
        FailureCode::Conflict => Code::IllegalTransition,
        FailureCode::NotConnected => Code::SessionNotConnected,
        FailureCode::Timeout => Code::AnswerTimeout,
        FailureCode::Refused => Code::Refused,
        FailureCode::Internal => Code::Internal,
    };
    let problem = Problem::new(code, message);
    if code == Code::SessionNotConnected { problem.retry_after(RETRY_AFTER) } else { problem }
}

/// The answer to an answer that answers another question.
pub fn unexpected(answer: &Answer) -> Problem {
    match answer {
        Answer::Failed { code, message } => failure(*code, message.clone()),
        _ => Problem::new(Code::Internal, "the worker answered another question"),
    }
}

/// A problem for a broker that is away, or takes nothing just now.
pub fn broker_away(detail: &str) -> Problem {
    Problem::new(Code::BrokerUnavailable, detail).retry_after(RETRY_AFTER)
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Self {
        // The only limit whose excess is no mistake of form.
        if error.problem == format!("must name at most {RECIPIENTS_MAX} recipients") {
            return Self::new(Code::TooManyRecipients, "").with_field(error.field, error.problem);
        }
        if error.field == "body" {
            return Self::new(Code::MalformedBody, format!("the body {}", error.problem));
        }
        Self::field(error.field, error.problem)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                tracing::warn!(%error, "the database is away");
                Self::new(Code::DatabaseUnavailable, "the database is not available; try again").retry_after(RETRY_AFTER)
            }
            other => {
                tracing::error!(error = %other, "the database refused what the API asked of it");
                Self::new(Code::Internal, "something failed on our side; the log says what")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanza_ids_are_upper_case_hex_and_follow_the_key() {
        let (token, key) = (Token::new("a").unwrap(), JobId::new("k").unwrap());
        let id = stanza_id(&token, Some(&key));
        assert_eq!(id, stanza_id(&token, Some(&key)));
        assert_ne!(id, stanza_id(&Token::new("b").unwrap(), Some(&key)));
        assert_ne!(stanza_id(&token, None), stanza_id(&token, None));
        assert_eq!(id.as_str().len(), 22);
        assert!(id.as_str().bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)));
    }

    #[test]
    fn too_many_recipients_is_a_status_of_its_own() {
        let body = serde_json::json!({
            "numbers": vec!["5531900000000"; RECIPIENTS_MAX + 1], "message": { "type": "text", "text": "x" }
        });
        let error = shared::job::SendJob::parse(body.to_string().as_bytes()).unwrap_err();
        let problem = Problem::from(error);
        assert_eq!((problem.code(), problem.fields()[0].field.as_str()), (Code::TooManyRecipients, "numbers"));
    }
}
