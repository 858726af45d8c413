//! Queues: broadcasts, their control and their recipients.

use serde_json::json;
use shared::content::{Content, Text};
use shared::job::{
    Delay, Duplicates, InvalidEntry, Listed, OnUnknown, QueuePatch, ReadEntry, Reading, Recipient,
    RetryCodes, SendJob,
};
use shared::recipient::Number;
use shared::store::queues::QueueState;
use shared::store::recipients::{RecipientRecord, RecipientState};
use shared::waiting::Reason;

use super::names::{ANA, AT, BRUNO, LATER, MESSAGE, NOBODY, QUEUE, TEXT, TOKEN, fixed};
use super::operation::Examples;
use crate::paging::{LIMIT_MAX, Page};
use crate::problem::{Code, Problem};
use crate::tokens::unknown;
use crate::v1::asked::{RequestState, SendRequest};
use crate::v1::counts::Counts;
use crate::v1::export;
use crate::v1::queues::{self, Accepted, Queue, Shown, no_such_queue};
use crate::v1::retry::RetryBody;
use crate::v1::waiting::Waiting;

/// The examples of this family.
pub(super) fn all() -> Vec<Examples> {
    let mut all = broadcasts();
    all.extend(shown());
    all.extend(commands());
    all
}

/// A queue that is not there.
const NO_QUEUE: &str = "/v1/sessions/shop/queues/00000000-0000-4000-8000-000000000000";
/// One that has ended.
const ENDED: &str = "/v1/sessions/shop/queues/6c1d2d0e-0c56-4d0b-8a2f-6f3c9f2b4e22";

fn broadcasts() -> Vec<Examples> {
    let bad = json!({ "numbers": [ANA, "12"], "message": { "type": "text", "text": TEXT } });
    let short = Number::new("12").err().map(|error| error.to_string());
    let bad_number = Problem::field("numbers[1]", short.unwrap_or_default());
    let again = RetryBody {
        codes: RetryCodes::try_from(vec![500, 503]).ok(),
    };
    let nothing = "no recipient of this queue has failed, or none with one of these codes";
    vec![
        Examples::of("post /v1/sessions/{token}/queues")
            .asks(&job())
            .answers(202, "accepted", &accepted(None))
            .answers(202, "read-in-another-way", &accepted(Some(reading())))
            .refuses_body("/v1/sessions/shop/queues", &bad, bad_number)
            .refuses("/v1/sessions/nobody/queues", unknown(&fixed(NOBODY))),
        Examples::of("post /v1/sessions/{token}/queues/{queue}/retry")
            .asks(&again)
            .answers(202, "accepted", &accepted(None))
            .refuses(
                &format!("{ENDED}/retry"),
                Problem::new(Code::NothingToRetry, nothing),
            )
            .refuses(&format!("{NO_QUEUE}/retry"), no_such_queue(&fixed(TOKEN))),
    ]
}

fn shown() -> Vec<Examples> {
    let missing = || no_such_queue(&fixed(TOKEN));
    let bad_limit = Problem::field("limit", format!("must be 1 to {LIMIT_MAX}"));
    let recipients = Page {
        items: recipients().into_iter().map(queues::Recipient::from).collect(),
        next: None,
    };
    vec![
        Examples::of("get /v1/queues")
            .answers(200, "queues", &page())
            .refuses("/v1/queues?limit=0", bad_limit),
        Examples::of("get /v1/sessions/{token}/queues")
            .answers(200, "queues", &page())
            .refuses("/v1/sessions/nobody/queues", unknown(&fixed(NOBODY))),
        Examples::of("get /v1/sessions/{token}/queues/{queue}")
            .answers(200, "stored", &Shown::Queue(Box::new(counted())))
            .answers(200, "accepted", &Shown::Request(not_stored()))
            .refuses(NO_QUEUE, missing()),
        Examples::of("get /v1/sessions/{token}/queues/{queue}/recipients")
            .answers(200, "recipients", &recipients)
            .refuses(&format!("{NO_QUEUE}/recipients"), missing()),
        Examples::of("get /v1/sessions/{token}/queues/{queue}/recipients.csv")
            .answers_text("text/csv", export::sheet(&self::recipients()))
            .refuses(&format!("{NO_QUEUE}/recipients.csv"), missing()),
    ]
}

fn commands() -> Vec<Examples> {
    let missing = || no_such_queue(&fixed(TOKEN));
    let illegal = |done: &str| {
        Problem::new(
            Code::IllegalTransition,
            format!("a completed queue can't be {done}"),
        )
    };
    let (paused, deleted) = (in_state(QueueState::Paused), in_state(QueueState::Deleted));
    vec![
        Examples::of("post /v1/sessions/{token}/queues/{queue}/pause")
            .answers(200, "paused", &paused)
            .answers(202, "not-taken-yet", &in_state(QueueState::Running))
            .refuses(&format!("{ENDED}/pause"), illegal("paused"))
            .refuses(&format!("{NO_QUEUE}/pause"), missing()),
        Examples::of("post /v1/sessions/{token}/queues/{queue}/resume")
            .answers(200, "resumed", &in_state(QueueState::Running))
            .answers(202, "not-taken-yet", &paused)
            .refuses(&format!("{ENDED}/resume"), illegal("resumed"))
            .refuses(&format!("{NO_QUEUE}/resume"), missing()),
        Examples::of("post /v1/sessions/{token}/queues/{queue}/adopt")
            .answers(200, "adopted", &in_state(QueueState::Running))
            .answers(202, "not-taken-yet", &in_state(QueueState::Running))
            .refuses(&format!("{ENDED}/adopt"), illegal("adopted"))
            .refuses(&format!("{NO_QUEUE}/adopt"), missing()),
        Examples::of("patch /v1/sessions/{token}/queues/{queue}")
            .asks(&delay().map(QueuePatch::from))
            .answers(200, "changed", &in_state(QueueState::Running))
            .answers(202, "not-taken-yet", &old_pace())
            .refuses(ENDED, illegal("changed"))
            .refuses(NO_QUEUE, missing()),
        Examples::of("delete /v1/sessions/{token}/queues/{queue}")
            .answers(200, "deleted", &deleted)
            .answers(202, "not-taken-yet", &in_state(QueueState::Running))
            .refuses(ENDED, illegal("deleted"))
            .refuses(NO_QUEUE, missing()),
    ]
}

fn delay() -> Option<Delay> {
    Delay::new(10.0, 30.0).ok()
}

fn job() -> SendJob {
    let ana = Recipient {
        number: fixed(ANA),
        reference: Some(fixed("customer-17")),
        variables: None,
    };
    SendJob {
        delay: delay(),
        reference: Some(fixed("order-4711")),
        label: Some(fixed("opening hours")),
        ..SendJob::new([ana, Recipient::from(fixed::<Number>(BRUNO))], Text::new(TEXT))
    }
}

fn accepted(reading: Option<Reading>) -> Accepted {
    Accepted {
        queue_id: fixed(QUEUE),
        token: fixed(TOKEN),
        status: "STARTED",
        progress: 0,
        total: 2,
        form: None,
        reading,
    }
}

/// One number was left out as the caller asked, and one was written as people do.
fn reading() -> Reading {
    let skipped = InvalidEntry {
        place: 2,
        problem: Number::new("12")
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default(),
    };
    let read = ReadEntry {
        place: 0,
        given: "+55 31 90000-0001".to_owned(),
        number: ANA.to_owned(),
    };
    Reading {
        duplicates: None,
        invalid: Some(Listed {
            count: 1,
            first: vec![skipped],
        }),
        read_as: Some(Listed {
            count: 1,
            first: vec![read],
        }),
    }
}

fn page() -> Page<Queue> {
    Page {
        items: vec![in_state(QueueState::Running)],
        next: None,
    }
}

/// The broadcast, one of whose two recipients is settled.
fn in_state(state: QueueState) -> Queue {
    Queue {
        queue_id: fixed(QUEUE),
        token: fixed(TOKEN),
        state,
        progress: 50,
        total: 2,
        settled: 1,
        failed: 0,
        counts: None,
        message: Content::from(Text::new(TEXT)),
        delay: delay(),
        on_unknown: OnUnknown::Resend,
        start_at: None,
        duplicates: Duplicates::Drop,
        reference: Some(fixed("order-4711")),
        label: Some(fixed("opening hours")),
        created_at: AT,
        started_at: Some(AT),
        paused_at: (state == QueueState::Paused).then_some(LATER),
        finished_at: state.is_final().then_some(LATER),
        held: None,
        waiting: None,
        rejected: Vec::new(),
    }
}

fn old_pace() -> Queue {
    Queue {
        delay: None,
        ..in_state(QueueState::Running)
    }
}

/// As it is shown by itself.
fn counted() -> Queue {
    let tally = vec![
        (RecipientState::Delivered, None, 1),
        (RecipientState::Queued, None, 1),
    ];
    Queue {
        counts: Some(Counts::new(tally)),
        waiting: Some(Waiting::of(Reason::Pace, Some(LATER))),
        ..in_state(QueueState::Running)
    }
}

/// Its worker has not stored it yet.
fn not_stored() -> SendRequest {
    SendRequest {
        queue_id: Some(fixed(QUEUE)),
        message_id: None,
        token: fixed(TOKEN),
        state: RequestState::Accepted,
        recorded_at: AT,
        rejection: None,
        waiting: Some(Waiting::of(Reason::Accepting, None)),
    }
}

fn recipients() -> [RecipientRecord; 2] {
    let ana = RecipientRecord {
        seq: 0,
        number: fixed(ANA),
        state: RecipientState::Delivered,
        stanza: Some(fixed(MESSAGE)),
        reference: Some(fixed("customer-17")),
        addressee: None,
        attempts: 0,
        error_status: None,
        error: None,
        sent_at: Some(AT),
        delivered_at: Some(LATER),
        read_at: None,
        variables: None,
    };
    let bruno = RecipientRecord {
        seq: 1,
        number: fixed(BRUNO),
        state: RecipientState::Failed,
        stanza: None,
        reference: None,
        addressee: None,
        attempts: 0,
        error_status: Some(404),
        error: Some("the number is not on WhatsApp".to_owned()),
        sent_at: None,
        delivered_at: None,
        read_at: None,
        variables: None,
    };
    [ana, bruno]
}
