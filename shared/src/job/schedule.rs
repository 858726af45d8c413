//! Sends at set times: the body as callers write it, and the parsed job.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::send::{SendBody, SendJob};
use super::timing::Timing;
use crate::body::{self, JobError, Moment};
use crate::clock::unix_millis;
use crate::id::ScheduleName;
use crate::named::stored;

stored! {
    /// What to do about firings that nobody was there for, or that are more than a minute late.
    #[derive(Default)]
    Misfire {
        /// Leave them out.
        Skip = 0 "skip",
        /// Fire once for all of them.
        #[default]
        Once = 1 "once",
        /// Fire for each, at most for the last hundred.
        All = 2 "all",
    }
}

/// Send at set times.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleJob {
    /// What its caller calls it by, one of its session.
    pub id: ScheduleName,
    /// When it fires.
    pub timing: Timing,
    /// What to do about firings that were missed.
    pub misfire: Misfire,
    /// What each firing sends.
    pub send: SendJob,
}

/// The body of a `schedule` job, and of `POST …/schedules`: `send` at the times of `cron`, or once, at `at`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleBody {
    /// What you call it by: 1 to 128 printable characters, one of its session.
    id: ScheduleName,
    /// Five fields: minute, hour, day of the month, month, day of the week.
    cron: Option<String>,
    /// The IANA time zone that `cron` is read in, such as `Europe/Berlin`; UTC where absent.
    timezone: Option<String>,
    /// When to fire, if once: a time with its offset, or milliseconds since 1970.
    at: Option<Moment>,
    /// What to do about firings that nobody was there for, or that are more than a minute late.
    #[serde(default)]
    misfire: Misfire,
    /// What each firing sends: the body of a `send` job, without `queueId`, `messageId` and `startAt`.
    #[schemars(with = "SendBody")]
    send: Map<String, Value>,
}

impl ScheduleJob {
    /// Parses the body of a `schedule` job.
    ///
    /// # Errors
    /// [`JobError`], which names the field.
    pub fn parse(body: &[u8]) -> Result<Self, JobError> {
        body::parse::<ScheduleBody>(body)?.try_into()
    }
}

impl TryFrom<ScheduleBody> for ScheduleJob {
    type Error = JobError;

    fn try_from(body: ScheduleBody) -> Result<Self, JobError> {
        if let Some(field) = OF_A_FIRING
            .into_iter()
            .find(|field| body.send.contains_key(*field))
        {
            let words = "can't be given here: each firing has its own";
            return Err(JobError::new(format!("send.{field}"), words));
        }
        let send = SendJob::parse(&body::to_vec(&body.send)).map_err(|error| error.within("send"))?;
        Ok(Self {
            id: body.id,
            timing: Timing::read(body.cron.as_deref(), body.timezone.as_deref(), body.at)?,
            misfire: body.misfire,
            send,
        })
    }
}

/// Fields of a send that each firing has of its own.
const OF_A_FIRING: [&str; 3] = ["queueId", "messageId", "startAt"];

impl Serialize for ScheduleJob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = json!({ "id": self.id, "misfire": self.misfire, "send": self.send });
        match &self.timing {
            Timing::Cron(cron) => {
                body["cron"] = cron.text().into();
                body["timezone"] = cron.zone().into();
            }
            Timing::At(at) => body["at"] = unix_millis(*at).into(),
        }
        body.serialize(serializer)
    }
}

/// Delete a schedule.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnscheduleJob {
    /// Which.
    pub id: ScheduleName,
}
