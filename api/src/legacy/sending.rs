//! What all routes that send have in common: the answer to one message, and that to many.

use serde_json::{Value, json};
use shared::id::JobId;
use shared::job::SendJob;
use time::OffsetDateTime;

use crate::app::{App, Sent};
use crate::legacy::bodies::Answer;
use crate::problem::Problem;
use crate::tokens::Addressee;
use crate::v1::queues;

/// Starts a queue.
pub(super) async fn send_many(
    app: &App,
    to: Addressee,
    key: Option<JobId>,
    job: SendJob,
) -> Result<Answer, Problem> {
    let total = job.numbers.len();
    let queue = queues::start(app, to, key, job).await?;
    let mut told = json!({ "queueId": queue.queue_id, "status": queue.status, "progress": queue.progress });
    if let Some(reading) = queue.reading {
        told["reading"] = json!(reading);
    }
    Ok(Answer {
        queue: Some(told),
        ..Answer::with_data(format!("Sending {total} message start").into())
    })
}

/// Sends to one recipient; what it answers is the message that is on its way.
pub(super) async fn send_one(
    app: &App,
    to: &Addressee,
    key: Option<JobId>,
    job: SendJob,
) -> Result<Value, Problem> {
    begin(app, to, key, job).await.map(|(answer, _)| answer)
}

/// The same, with what it is found by.
pub(super) async fn begin(
    app: &App,
    to: &Addressee,
    key: Option<JobId>,
    job: SendJob,
) -> Result<(Value, Sent), Problem> {
    let mut answer = sent(&job, app.clock.wall());
    let sent = app.send(to, key, job).await?;
    answer["key"]["id"] = json!(sent.message);
    Ok((answer, sent))
}

/// The document's WebMessageInfo of a message that is on its way.
pub(super) fn sent(job: &SendJob, now: OffsetDateTime) -> Value {
    let message = job.first_message();
    json!({
        "key": { "remoteJid": job.numbers.first().map(|recipient| recipient.number.jid()), "fromMe": true, "id": null },
        "message": { message.message_type(): message.message() },
        "messageTimestamp": now.unix_timestamp().to_string(),
        "status": "PENDING",
    })
}
