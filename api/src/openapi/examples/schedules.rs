//! Schedules, at both doors.

use serde_json::json;
use shared::job::{Misfire, Recurrence, ScheduleJob, SendJob, Timing};
use shared::recipient::Number;
use shared::store::schedules::ScheduleRecord;

use super::names::{ANA, AT, LATER, NOBODY, QUEUE, SCHEDULE, TEXT, TOKEN, fixed};
use super::operation::Examples;
use crate::legacy::bodies::Answer;
use crate::legacy::scheduler::Duplicate;
use crate::paging::Page;
use crate::problem::{Code, Problem};
use crate::tokens::unknown;
use crate::v1::schedules::{Schedule, no_such_schedule};

/// A schedule that is not there.
const MISSING: &str = "/v1/sessions/shop/schedules/weekly";

/// The examples of this family.
pub(super) fn all() -> Vec<Examples> {
    let mut all = own();
    all.extend(older());
    all
}

fn own() -> Vec<Examples> {
    let zone = json!({ "id": SCHEDULE, "cron": "0 9 * * *", "timezone": "Europe/Atlantis", "send": send() });
    let bad_zone = Problem::field("timezone", "must be an IANA time zone, such as Europe/Berlin");
    let page = Page {
        items: vec![schedule()],
        next: None,
    };
    vec![
        Examples::of("post /v1/sessions/{token}/schedules")
            .asks(&job())
            .answers(201, "made", &schedule())
            .answers(200, "there-already", &schedule())
            .refuses_body("/v1/sessions/shop/schedules", &zone, bad_zone)
            .refuses("/v1/sessions/nobody/schedules", unknown(&fixed(NOBODY))),
        Examples::of("get /v1/sessions/{token}/schedules")
            .answers(200, "schedules", &page)
            .refuses("/v1/sessions/nobody/schedules", unknown(&fixed(NOBODY))),
        Examples::of("get /v1/sessions/{token}/schedules/{schedule}")
            .answers(200, "schedule", &schedule())
            .refuses(MISSING, no_such_schedule()),
        Examples::of("delete /v1/sessions/{token}/schedules/{schedule}").refuses(MISSING, no_such_schedule()),
    ]
}

fn older() -> Vec<Examples> {
    let path = "/api/whatsapp/scheduler";
    let (add, stop) = (format!("{path}/add-scheduler"), format!("{path}/stop-scheduler"));
    let written = |kind: &str| {
        let data = json!({ "number": ANA, "text": TEXT });
        json!({ "id": 1, "token": TOKEN, "type": kind, "data": data, "time": "05 12 * * *" })
    };
    let told = json!([{ "id": 1, "type": "sendText", "data": { "number": ANA, "text": TEXT }, "time": "05 12 * * *" }]);
    let told = || Answer::with_data(told.clone());
    let bad_type = Problem::field(
        "type",
        "can't be scheduled; what can: sendText, sendMedia, sendButtonMessage, sendTemplateMessage, sendListMessage",
    );
    let missing = Problem::new(Code::ScheduleNotFound, "ID: 7 Not Found");
    let stopped = Answer::done("Scheduler ID: 1 has been stopped");
    vec![
        Examples::of("post /api/whatsapp/scheduler/add-scheduler")
            .asks(&written("sendText"))
            .answers(200, "added", &told())
            .answers(409, "duplicate", &Duplicate::of(&fixed("1")))
            .refuses_body(&add, &written("sendSmoke"), bad_type),
        Examples::of("post /api/whatsapp/scheduler")
            .asks(&json!({ "token": TOKEN }))
            .answers(200, "schedules", &told())
            .refuses_body(path, &json!({ "token": NOBODY }), unknown(&fixed(NOBODY))),
        Examples::of("post /api/whatsapp/scheduler/stop-scheduler")
            .asks(&json!({ "id": 1, "token": TOKEN }))
            .answers(200, "stopped", &stopped)
            .refuses_body(&stop, &json!({ "id": 7, "token": TOKEN }), missing),
    ]
}

fn send() -> SendJob {
    SendJob::new([fixed::<Number>(ANA)], shared::content::Text::new(TEXT))
}

fn job() -> ScheduleJob {
    // Unwrap safety: a test makes all examples.
    #[allow(clippy::unwrap_used)]
    let cron = Recurrence::parse("0 9 * * *", Some("Europe/Berlin")).unwrap();
    ScheduleJob {
        id: fixed(SCHEDULE),
        timing: Timing::Cron(cron),
        misfire: Misfire::Once,
        send: send(),
    }
}

fn schedule() -> Schedule {
    let job = job();
    let record = ScheduleRecord {
        id: fixed(QUEUE),
        token: fixed(TOKEN),
        seed: None,
        next_at: job.timing.next(LATER),
        fired_at: job.timing.last(AT),
        queue: Some(fixed(QUEUE)),
        fired: 3,
        created_at: AT,
        job,
    };
    record.into()
}
