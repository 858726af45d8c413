//! The recipients of a queue that failed, as a new queue.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::id::JobId;
use shared::job::RetryCodes;
use shared::store::queues::QueueRecord;
use shared::store::retries::{self, Retry};

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
    pub codes: Option<RetryCodes>,
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
    (record, codes): (QueueRecord, RetryCodes),
) -> Result<Accepted, Problem> {
    let Some(Retry { id, job }) = retries::of_failed(&app.store, record, &codes).await? else {
        let text = "no recipient of this queue has failed, or none with one of these codes";
        return Err(Problem::new(Code::NothingToRetry, text));
    };
    queues::start(app, to, Some(key.unwrap_or(id)), job).await
}

fn codes(body: &[u8]) -> Result<RetryCodes, Problem> {
    if body.is_empty() {
        return Ok(RetryCodes::default());
    }
    let RetryBody { codes } = extract::fields(body)?;
    Ok(codes.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_a_list_or_absent() {
        assert!(codes(b"").unwrap().is_empty());
        assert!(codes(b"{}").unwrap().is_empty());
        assert_eq!(codes(br#"{"codes":[404,503]}"#).unwrap()[..], [404, 503][..]);
        assert_eq!(codes(br#"{"codes":[]}"#).unwrap_err().fields()[0].field, "codes");
        assert_eq!(
            codes(br#"{"codes":["404"]}"#).unwrap_err().fields()[0].field,
            "codes[0]"
        );
    }
}
