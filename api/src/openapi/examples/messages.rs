//! Single messages.

use serde_json::{Value, json};
use shared::content::Text;
use shared::id::StanzaId;
use shared::job::{Delay, DryRun, DryRunAnswer, Others, Outlook, Recipient, SendJob};
use shared::recipient::Number;
use shared::store::recipients::RecipientState;
use shared::waiting::Reason;

use super::names::{ANA, AT, BRUNO, LATER, MESSAGE, NOBODY, QUEUE, TEXT, TOKEN, fixed};
use super::operation::Examples;
use crate::problem::Problem;
use crate::tokens::unknown;
use crate::v1::asked::{RequestState, SendRequest};
use crate::v1::look_up::{Message, no_such_message};
use crate::v1::media::no_file;
use crate::v1::messages::{Accepted, Addressed};
use crate::v1::queues;
use crate::v1::waiting::Waiting;

/// The examples of this family.
pub(super) fn all() -> Vec<Examples> {
    let anywhere = Addressed {
        token: fixed(TOKEN),
        job: job(),
    };
    let no_number = Problem::field("number", bad_number());
    let body = json!({ "number": "12", "message": { "type": "text", "text": TEXT } });
    let elsewhere = Addressed {
        token: fixed(NOBODY),
        job: job(),
    };
    vec![
        Examples::of("post /v1/messages")
            .asks(&anywhere)
            .answers(202, "accepted", &accepted())
            .refuses_body("/v1/messages", &elsewhere, unknown(&fixed(NOBODY))),
        Examples::of("post /v1/sessions/{token}/messages")
            .asks(&job())
            .answers(202, "accepted", &accepted())
            .refuses_body("/v1/sessions/shop/messages", &body, no_number)
            .refuses("/v1/sessions/nobody/messages", unknown(&fixed(NOBODY))),
        Examples::of("post /v1/sessions/{token}/messages/dry-run")
            .asks(&personal())
            .answers(200, "told", &told())
            .refuses_body("/v1/sessions/shop/messages/dry-run", &broken(), broken_problem())
            .refuses("/v1/sessions/nobody/messages/dry-run", unknown(&fixed(NOBODY))),
        Examples::of("get /v1/sessions/{token}/messages/{message}/media")
            .answers_text("application/octet-stream", "a page".to_owned())
            .answers_part("application/octet-stream", "page".to_owned())
            .refuses("/v1/sessions/shop/messages/3EB000000000/media", no_file()),
        Examples::of("get /v1/sessions/{token}/messages/{message}")
            .answers(200, "stored", &stored())
            .answers(200, "accepted", &not_stored())
            .refuses(
                "/v1/sessions/shop/messages/3EB000000000",
                no_such_message(&fixed(TOKEN)),
            ),
    ]
}

/// What is wrong with a number that is too short.
fn bad_number() -> String {
    Number::new("12")
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

fn job() -> SendJob {
    SendJob::new([Recipient::from(fixed::<Number>(ANA))], Text::new(TEXT))
}

fn accepted() -> Accepted {
    Accepted {
        message_id: fixed(MESSAGE),
        queue_id: fixed(QUEUE),
        token: fixed(TOKEN),
        number: fixed(ANA),
        status: "PENDING",
        form: None,
    }
}

fn stored() -> Message {
    Message {
        message_id: fixed(MESSAGE),
        token: fixed(TOKEN),
        state: RecipientState::Delivered.as_str(),
        queue_id: Some(fixed(QUEUE)),
        recipient: Some(queues::Recipient {
            seq: 0,
            number: fixed(ANA),
            reference: None,
            variables: None,
            addressee: None,
            state: RecipientState::Delivered,
            message_id: Some(fixed(MESSAGE)),
            attempts: 0,
            error: None,
            sent_at: Some(AT),
            delivered_at: Some(LATER),
            read_at: None,
        }),
        request: None,
        rejected: Vec::new(),
    }
}

/// Its worker has not stored it yet.
fn not_stored() -> Message {
    let message: StanzaId = fixed(MESSAGE);
    Message {
        state: "accepted",
        recipient: None,
        request: Some(SendRequest {
            queue_id: Some(fixed(QUEUE)),
            message_id: Some(message),
            token: fixed(TOKEN),
            state: RequestState::Accepted,
            recorded_at: AT,
            rejection: None,
            waiting: Some(Waiting::of(Reason::Accepting, None)),
        }),
        ..stored()
    }
}

/// A send to two, of whom one lacks a variable.
fn personal() -> Value {
    let ana = json!({ "number": ANA, "variables": { "name": "Ana" } });
    json!({ "numbers": [ana, BRUNO], "message": { "type": "text", "text": "Hi {{name}}, we open at nine." } })
}

fn told() -> Option<DryRunAnswer> {
    let run = DryRun::parse(personal().to_string().as_bytes()).ok()?;
    Some(run.answer(&Outlook {
        now: AT,
        free_at: None,
        is_open: true,
        delay: Delay::default(),
        others: Others::default(),
    }))
}

/// A send whose text has a placeholder that is not closed.
fn broken() -> Value {
    let mut body = personal();
    body["message"]["text"] = "Hi {{name".into();
    body
}

fn broken_problem() -> Problem {
    let refused = DryRun::parse(broken().to_string().as_bytes()).err();
    refused.map_or_else(unexpected_success, Problem::from)
}

/// What is shown if an example that is to be refused were taken; the tests would not let it pass.
fn unexpected_success() -> Problem {
    Problem::field("message.text", "is taken")
}
