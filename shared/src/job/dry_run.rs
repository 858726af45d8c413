//! What a send would do: who would get what, who would not, and when it would end. Nothing of it is kept or sent.

use std::collections::HashMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::list::List;
use super::recipients::{DuplicateEntry, Duplicates, LISTED_MAX, Listed};
use super::send::{Delay, SendBody, SendJob};
use crate::body::{self, JobError};
use crate::content::Content;

/// Most recipients that are shown with what they would get.
pub const PREVIEW_MAX: usize = 10;

/// A send that is only looked at.
#[derive(Clone, PartialEq)]
pub struct DryRun {
    /// The body, as it was given.
    given: Box<[u8]>,
    /// The send, to those who can be sent to: perhaps nobody.
    pub job: SendJob,
    invalid: Listed<InvalidRecipient>,
    duplicates: Listed<DuplicateRecipient>,
}

/// What a session has before it, as far as is known: what the end of a send is reckoned from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// The time.
    pub now: OffsetDateTime,
    /// The session sends nothing before this.
    pub free_at: Option<OffsetDateTime>,
    /// Whether the session is connected.
    pub is_open: bool,
    /// The gap of what has none of its own.
    pub delay: Delay,
    /// What takes turns with it.
    pub others: Others,
}

/// The queues of a session that take turns with another one, until that one has ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Others {
    /// How many they are.
    pub queues: u32,
    /// All their gaps together, each as short as may be.
    pub shortest: Duration,
    /// And as long as may be.
    pub longest: Duration,
}

/// What a send would do. Each list has at most 100 entries.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DryRunAnswer {
    /// How many would be sent to.
    pub recipients: u32,
    /// Who can't be sent to, and why: they refuse the send unless it says `invalid: "skip"`.
    pub invalid: Vec<InvalidRecipient>,
    /// How many that are.
    pub invalid_count: u32,
    /// Who is named twice: left out, unless the send says `duplicates: "keep"`.
    pub duplicates: Vec<DuplicateRecipient>,
    /// How many that are.
    pub duplicates_count: u32,
    /// What the first ten would get.
    pub first: Vec<Preview>,
    /// When the first would be sent to; null where nobody would.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>")]
    pub starts_at: Option<OffsetDateTime>,
    /// When the last would be sent to; null where nobody would.
    pub ends_at: Option<Ends>,
    /// How long that takes from now on; null where nobody would be sent to.
    pub takes_seconds: Option<Takes>,
    /// What must hold for that.
    pub assumptions: Vec<String>,
}

/// When a send would end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ends {
    /// If all gaps are as short as may be.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String")]
    pub earliest: OffsetDateTime,
    /// If all gaps are as long as may be.
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String")]
    pub latest: OffsetDateTime,
}

/// How long a send would take, in seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Takes {
    /// If all gaps are as short as may be.
    pub least: u64,
    /// If all gaps are as long as may be.
    pub most: u64,
}

/// Somebody who can't be sent to.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvalidRecipient {
    /// Where in the list, from 0.
    pub place: u32,
    /// The number as it was given, if there is one.
    pub value: Option<String>,
    /// Why.
    pub problem: String,
}

/// Somebody who is named twice.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DuplicateRecipient {
    /// Where in the list, from 0.
    pub place: u32,
    /// The number.
    pub number: String,
    /// Where first.
    pub of: u32,
}

/// A recipient, and the message that it would get.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    /// Who.
    pub number: String,
    /// The message, without a file that lies in the body itself.
    #[schemars(with = "Content")]
    pub message: Value,
}

/// Declares that a type shows nothing of people in logs.
macro_rules! discreet {
    ($($Name:ident),+) => {
        $(impl std::fmt::Debug for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($Name), "(…)"))
            }
        })+
    };
}

discreet!(
    DryRun,
    DryRunAnswer,
    InvalidRecipient,
    DuplicateRecipient,
    Preview
);

impl DryRun {
    /// Reads the body of a `send` job. Recipients that can't be sent to are what it is to find out, and no reason to refuse.
    ///
    /// # Errors
    /// [`JobError`], which names the field that is wrong beside them.
    pub fn parse(body: &[u8]) -> Result<Self, JobError> {
        let given = body.into();
        let mut body = body::parse::<SendBody>(body)?;
        let mut list = body.list()?;
        let mut job = body.job(&mut list)?;
        let duplicates = duplicates(&list, job.duplicates);
        let (bad, count) = list.bad();
        let invalid = bad.iter().map(|bad| InvalidRecipient {
            place: bad.place,
            value: bad.value.clone(),
            problem: bad.problem(),
        });
        let invalid = Listed {
            count,
            first: invalid.collect(),
        };
        job.numbers = std::mem::take(&mut list.recipients);
        if !job.numbers.is_empty() || count == 0 {
            job.check()?;
        }
        Ok(Self {
            given,
            job,
            invalid,
            duplicates,
        })
    }

    /// The body, as it was given.
    pub(super) fn given(&self) -> &[u8] {
        &self.given
    }

    /// How many would be sent to.
    pub fn recipients(&self) -> u32 {
        u32::try_from(self.job.numbers.len()).unwrap_or(u32::MAX)
    }

    /// What it would do.
    pub fn answer(self, outlook: &Outlook) -> DryRunAnswer {
        let (recipients, span) = (self.recipients(), self.span(outlook));
        let seconds =
            |at: OffsetDateTime| u64::try_from((at - outlook.now).whole_seconds()).unwrap_or_default();
        DryRunAnswer {
            recipients,
            first: self.previews(),
            invalid: self.invalid.first,
            invalid_count: self.invalid.count,
            duplicates: self.duplicates.first,
            duplicates_count: self.duplicates.count,
            starts_at: span.map(|(starts, _)| starts),
            ends_at: span.map(|(_, ends)| ends),
            takes_seconds: span.map(|(_, ends)| Takes {
                least: seconds(ends.earliest),
                most: seconds(ends.latest),
            }),
            assumptions: assumptions(outlook),
        }
    }

    /// When it would start and end, if there is anybody.
    fn span(&self, outlook: &Outlook) -> Option<(OffsetDateTime, Ends)> {
        let gaps = self.recipients().checked_sub(1)?;
        let delay = self.job.delay.unwrap_or(outlook.delay);
        let starts = [self.job.start_at, outlook.free_at].into_iter().flatten();
        let starts = starts.fold(outlook.now, OffsetDateTime::max);
        let ends = Ends {
            earliest: after(starts, delay.min() * gaps + outlook.others.shortest),
            latest: after(starts, delay.max() * gaps + outlook.others.longest),
        };
        Some((starts, ends))
    }

    fn previews(&self) -> Vec<Preview> {
        let light = self.job.message.clone().without_file();
        let shown = self.job.numbers.iter().take(PREVIEW_MAX);
        let preview = shown.map(|recipient| {
            let own = recipient.variables.as_ref();
            let own = own.map(|variables| light.filled(variables));
            Preview {
                number: recipient.number.to_string(),
                // A content always serialises.
                message: serde_json::to_value(own.as_ref().unwrap_or(&light)).unwrap_or_default(),
            }
        });
        preview.collect()
    }
}

/// A time so much later; the last that there is, where there is none.
fn after(at: OffsetDateTime, wait: Duration) -> OffsetDateTime {
    let wait = time::Duration::try_from(wait).unwrap_or(time::Duration::MAX);
    let last = time::PrimitiveDateTime::MAX.assume_utc();
    at.checked_add(wait).unwrap_or(last)
}

/// Who is named twice, be they left out or kept.
fn duplicates(list: &List, rule: Duplicates) -> Listed<DuplicateRecipient> {
    let number = |place: u32| {
        let at = list.at.binary_search(&place).ok();
        let number = at
            .and_then(|at| list.recipients.get(at))
            .map(|one| one.number.to_string());
        let (bad, _) = list.bad();
        let unfit = || bad.iter().find(|bad| bad.place == place)?.value.clone();
        number.or_else(unfit).unwrap_or_default()
    };
    let entry = |entry: &DuplicateEntry| DuplicateRecipient {
        place: entry.place,
        number: number(entry.of),
        of: entry.of,
    };
    if rule == Duplicates::Drop {
        let dropped = list.reading().duplicates.as_ref();
        return Listed {
            count: dropped.map_or(0, |dropped| dropped.count),
            first: dropped.map_or_else(Vec::new, |dropped| dropped.first.iter().map(entry).collect()),
        };
    }
    let (mut places, mut kept) = (
        HashMap::new(),
        Listed {
            count: 0,
            first: Vec::new(),
        },
    );
    for (recipient, place) in list.recipients.iter().zip(&list.at) {
        let of = *places.entry(&recipient.number).or_insert(*place);
        if of != *place {
            kept.count += 1;
            if kept.first.len() < LISTED_MAX {
                kept.first.push(entry(&DuplicateEntry { place: *place, of }));
            }
        }
    }
    kept
}

/// What must hold for the end, each to be read behind "where".
fn assumptions(outlook: &Outlook) -> Vec<String> {
    let mut all = Vec::new();
    if !outlook.is_open {
        all.push("the session, which is not connected now, is connected at the start".to_owned());
    }
    all.push(match outlook.others.queues {
        0 => "no other queue of the session is sent meanwhile".to_owned(),
        1 => "one other queue of the session takes turns with it, and no further one comes".to_owned(),
        many => format!("{many} other queues of the session take turns with it, and no further one comes"),
    });
    all.push(
        "the session knows all the numbers; those that WhatsApp must be asked for first wait for LOOK_UP_GAP and \
         LOOK_UPS_PER_DAY"
            .to_owned(),
    );
    all.push("WhatsApp answers at once, and slows nothing down".to_owned());
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 09:00 UTC);

    fn outlook() -> Outlook {
        Outlook {
            now: NOW,
            free_at: None,
            is_open: true,
            delay: Delay::default(),
            others: Others::default(),
        }
    }

    fn run(body: &Value) -> DryRun {
        DryRun::parse(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn it_tells_who_would_get_what_and_who_would_not() {
        let numbers = json!([
            { "number": "+55 31 90000-0001", "variables": { "name": "Ana" } },
            "12",
            { "number": "5531900000001", "variables": { "name": "Bo" } },
            { "number": "5531900000002" },
            { "number": "5531900000003", "variables": { "name": "Cy" } },
            { "variables": {} },
        ]);
        let body = json!({ "numbers": numbers, "message": { "type": "image", "media": { "base64": "AA==" }, "caption": "Hi {{name}}" } });
        let answer = serde_json::to_value(run(&body).answer(&outlook())).unwrap();
        assert_eq!(answer["recipients"], 2);
        assert_eq!(
            answer["invalid"],
            json!([
                { "place": 1, "value": "12", "problem": "must have 7 to 15 digits, country code included" },
                { "place": 3, "value": "5531900000002",
                  "problem": "variables.name is required: message.caption says {{name}} and has no default for it" },
                { "place": 5, "value": null, "problem": "is required" },
            ])
        );
        assert_eq!(
            answer["duplicates"],
            json!([{ "place": 2, "number": "5531900000001", "of": 0 }])
        );
        let message = |caption: &str| json!({ "type": "image", "media": {}, "caption": caption });
        assert_eq!(
            answer["first"],
            json!([
                { "number": "5531900000001", "message": message("Hi Ana") },
                { "number": "5531900000003", "message": message("Hi Cy") },
            ])
        );
        let mut kept = body.clone();
        kept["duplicates"] = "keep".into();
        let kept = serde_json::to_value(run(&kept).answer(&outlook())).unwrap();
        assert_eq!(
            (&kept["recipients"], &kept["duplicates"]),
            (&json!(3), &answer["duplicates"])
        );
    }

    #[test]
    fn the_end_follows_from_gaps_turns_and_what_is_waited_for() {
        let body = json!({ "numbers": ["5531900000001", "5531900000002", "5531900000003"],
            "delay": { "min": 1, "max": 4 }, "message": { "type": "text", "text": "hi" } });
        let plain = run(&body).answer(&outlook());
        let ends = plain.ends_at.unwrap();
        assert_eq!(
            (plain.starts_at, ends.earliest - NOW),
            (Some(NOW), time::Duration::seconds(2))
        );
        assert_eq!(plain.takes_seconds, Some(Takes { least: 2, most: 8 }));
        let others = Others {
            queues: 2,
            shortest: Duration::from_secs(10),
            longest: Duration::from_secs(20),
        };
        let busy = Outlook {
            free_at: Some(NOW + Duration::from_secs(5)),
            is_open: false,
            others,
            ..outlook()
        };
        let answer = run(&body).answer(&busy);
        assert_eq!(answer.takes_seconds, Some(Takes { least: 17, most: 33 }));
        assert!(
            answer
                .assumptions
                .iter()
                .any(|one| one.contains("2 other queues"))
        );
        assert!(answer.assumptions.iter().any(|one| one.contains("not connected")));
        let mut later = body.clone();
        later["startAt"] = "2026-11-22T10:00:00Z".into();
        assert_eq!(
            run(&later).answer(&busy).starts_at,
            Some(datetime!(2026-11-22 10:00 UTC))
        );
        // The deployment's own gap.
        let mut own = body;
        own["delay"] = Value::Null;
        assert_eq!(
            run(&own).answer(&outlook()).takes_seconds,
            Some(Takes { least: 20, most: 60 })
        );
    }

    #[test]
    fn nobody_is_an_answer_and_a_message_that_can_not_be_sent_is_none() {
        let body = json!({ "numbers": ["12"], "message": { "type": "text", "text": "hi" } });
        let answer = run(&body).answer(&outlook());
        assert_eq!(
            (answer.recipients, answer.invalid_count, answer.starts_at),
            (0, 1, None)
        );
        let body = json!({ "numbers": ["12"], "message": { "type": "text", "text": "" } });
        let refused = DryRun::parse(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(refused.to_string(), "message.text: must not be empty");
        let body = json!({ "numbers": [], "message": { "type": "text", "text": "hi" } });
        assert_eq!(
            DryRun::parse(body.to_string().as_bytes()).unwrap_err().field,
            "numbers"
        );
    }

    #[test]
    fn lists_are_cut_and_counted() {
        let numbers: Vec<String> = (0..LISTED_MAX + 50).map(|n| n.to_string()).collect();
        let body = json!({ "numbers": numbers, "message": { "type": "text", "text": "hi" } });
        let answer = run(&body).answer(&outlook());
        assert_eq!((answer.invalid.len(), answer.invalid_count), (LISTED_MAX, 150));
    }
}
