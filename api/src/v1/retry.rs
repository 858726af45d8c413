//! The recipients of a queue that failed, as a new queue.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::id::{JobId, QueueId};
use shared::job::{Recipient, SendJob};
use shared::store::queues::QueueRecord;
use shared::store::recipients;

use crate::app::App;
use crate::extract::{self, JsonBytes};
use crate::idempotency::{self, Key};
use crate::problem::{Code, Problem, ProblemBody};
use crate::tokens::Addressee;
use crate::v1::messages::TAKEN;
use crate::v1::queues::{self, Accepted};

/// Which recipients to send to again.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryBody {
    /// Only those that failed with one of these statuses; all that failed when absent.
    #[schemars(length(min = 1, max = 100))]
    pub codes: Option<Vec<u16>>,
}

/// Send the message of a queue again to those of its recipients that failed, as a new queue. The same request twice is one
/// queue: by its `Idempotency-Key`, and without one as long as the same recipients have failed.
#[utoipa::path(post, path = "/v1/sessions/{token}/queues/{queue}/retry",
    params(("token" = String, Path), ("queue" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = ref("#/components/schemas/RetryBody"), tag = "queues", responses((status = 202, body = Accepted, description = TAKEN),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn retry(
    State(app): State<Arc<App>>,
    Path((token, queue)): Path<(String, String)>,
    Key(key): Key,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let codes = codes(&body)?;
    let (token, session, record) = queues::find(&app, &token, &queue).await?;
    let scope = format!("retry {token} {}", record.id);
    let work = {
        let (app, key) = (app.clone(), key.clone());
        Box::pin(async move {
            let to = Addressee { token, session };
            let accepted = again(&app, to, key, (record, codes)).await?;
            Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
        })
    };
    idempotency::once(&app, scope, key, body, work).await
}

async fn again(
    app: &App,
    to: Addressee,
    key: Option<JobId>,
    (record, codes): (QueueRecord, Vec<u16>),
) -> Result<Accepted, Problem> {
    let failed = recipients::failed(&app.store, record.id, &codes).await?;
    if failed.is_empty() {
        let text = "no recipient of this queue has failed, or none with one of these codes";
        return Err(Problem::new(Code::NothingToRetry, text));
    }
    let places: Vec<u32> = failed.iter().map(|failed| failed.seq).collect();
    let key = key.or_else(|| id_of(record.id, &places));
    let numbers = failed.into_iter().map(|failed| Recipient {
        number: failed.number,
        reference: failed.reference,
    });
    let job = SendJob {
        delay: record.delay,
        on_unknown: record.on_unknown,
        duplicates: record.duplicates,
        reference: record.reference,
        label: record.label,
        ..SendJob::new(numbers, record.content)
    };
    queues::start(app, to, key, job).await
}

/// The identity of a retry that names none: the same for the same recipients of the same queue, so that to ask twice is not
/// to send twice.
fn id_of(queue: QueueId, places: &[u32]) -> Option<JobId> {
    let mut hash = Sha256::new();
    for place in places {
        hash.update(place.to_be_bytes());
    }
    let id = uuid::Uuid::new_v5(&queue.as_uuid(), &hash.finalize());
    JobId::new(&id.to_string()).ok()
}

fn codes(body: &[u8]) -> Result<Vec<u16>, Problem> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let RetryBody { codes } = extract::fields(body)?;
    match codes {
        Some(codes) if codes.is_empty() || codes.len() > CODES_MAX => Err(Problem::field(
            "codes",
            format!("must be 1 to {CODES_MAX} statuses"),
        )),
        codes => Ok(codes.unwrap_or_default()),
    }
}

/// Most statuses that one request names.
const CODES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_without_a_key_is_known_by_whom_it_is_for() {
        let queue = shared::testing::queue_id();
        assert_eq!(id_of(queue, &[1, 2]), id_of(queue, &[1, 2]));
        assert_ne!(id_of(queue, &[1, 2]), id_of(queue, &[1]));
        assert_ne!(id_of(queue, &[1]), id_of(shared::testing::queue_id(), &[1]));
    }

    #[test]
    fn codes_are_a_list_or_absent() {
        assert_eq!(codes(b"").unwrap(), [] as [u16; 0]);
        assert_eq!(codes(b"{}").unwrap(), [] as [u16; 0]);
        assert_eq!(codes(br#"{"codes":[404,503]}"#).unwrap(), [404, 503]);
        assert_eq!(codes(br#"{"codes":[]}"#).unwrap_err().fields()[0].field, "codes");
        assert_eq!(
            codes(br#"{"codes":["404"]}"#).unwrap_err().fields()[0].field,
            "codes[0]"
        );
    }
}
