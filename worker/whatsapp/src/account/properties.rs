//! The server's settings of this account, and how an answer with them is read.
//!
//! Facts: docs/PROTOCOL.md, "Properties".

use std::collections::BTreeMap;
use std::time::Duration;

use super::buckets::Buckets;
use crate::binary::Node;

/// What the server has set for this account, as far as we act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Properties {
    /// Chats with one person are addressed by LID.
    pub(crate) is_migrated: bool,
    /// How long a token lasts that a contact gave us.
    pub(crate) received_tokens: Buckets,
    /// How long one lasts that we gave.
    pub(crate) issued_tokens: Buckets,
    /// Whether our tokens are issued to hidden ids rather than to numbers.
    pub(crate) issues_to_lid: bool,
    /// How many days old a message may be that we ask our own phone for.
    pub(crate) placeholder_days: u16,
}

impl Default for Properties {
    fn default() -> Self {
        Self {
            is_migrated: false,
            received_tokens: Buckets::DEFAULT,
            issued_tokens: Buckets::DEFAULT,
            issues_to_lid: false,
            placeholder_days: 14,
        }
    }
}

#[cfg(test)]
impl Properties {
    /// Tokens last for a second.
    pub(crate) fn brief() -> Self {
        let second = Buckets::DEFAULT.with_secs(1).with_count(1);
        Self {
            received_tokens: second,
            issued_tokens: second,
            ..Self::default()
        }
    }
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) properties: Properties,
    /// When to ask again.
    pub(super) refresh: Duration,
    /// How many values made no sense, or were named twice with different values. Those stay as they were.
    pub(super) odd: u32,
}

/// Reads `<props>` on top of what was known: a property that is missing is as by default, in an answer that holds changes
/// alone as it was. `None` if it is no such answer.
pub(super) fn read(answer: &Node, known: Properties) -> Option<Read> {
    let props = answer.child("props")?;
    let is_delta = ["true", "1"].iter().any(|yes| props.attr_is("delta_update", yes));
    let mut values = Values::of(props);
    let base = if is_delta { known } else { Properties::default() };
    let is_migrated = values.flag(MIGRATED, base.is_migrated, known.is_migrated);
    let issues_to_lid = values.flag(ISSUE_TO_LID, base.issues_to_lid, known.issues_to_lid);
    let received_tokens = values.buckets(RECEIVED, base.received_tokens, known.received_tokens);
    let issued_tokens = values.buckets(ISSUED, base.issued_tokens, known.issued_tokens);
    let placeholder_days = match values.number(PLACEHOLDER_DAYS) {
        Value::Missing => base.placeholder_days,
        Value::Odd => known.placeholder_days,
        Value::Is(days) => {
            u16::try_from(days).map_or(MAX_PLACEHOLDER_DAYS, |days| days.min(MAX_PLACEHOLDER_DAYS))
        }
    };
    let properties = Properties {
        is_migrated,
        received_tokens,
        issued_tokens,
        issues_to_lid,
        placeholder_days,
    };
    let refresh = props.attr_u64("refresh").map_or(REFRESH, Duration::from_secs);
    Some(Read {
        properties,
        refresh: refresh.clamp(REFRESH_MIN, REFRESH_MAX),
        odd: values.odd,
    })
}

/// The values of the properties that we know, as they stand in one answer.
struct Values {
    texts: BTreeMap<u32, Option<String>>,
    odd: u32,
}

enum Value<T> {
    /// The server says nothing of it.
    Missing,
    /// What it says makes no sense.
    Odd,
    Is(T),
}

impl Values {
    fn of(props: &Node) -> Self {
        let (mut texts, mut odd) = (BTreeMap::new(), 0);
        for prop in props.nodes_named("prop") {
            let code = prop.attr_number("config_code");
            let Some(code) = code.filter(|code| KNOWN.contains(code)) else {
                continue;
            };
            let text = prop.attr_str("config_value").map(|text| text.into_owned());
            odd += u32::from(text.is_none());
            let before = texts.insert(code, text.clone());
            // Named twice: which of the two holds, nobody can tell.
            if before.is_some_and(|before| before != text) {
                odd += 1;
                texts.insert(code, None);
            }
        }
        Self { texts, odd }
    }

    fn parse<T>(&mut self, code: u32, parse: impl Fn(&str) -> Option<T>) -> Value<T> {
        let Some(text) = self.texts.get(&code) else {
            return Value::Missing;
        };
        match text.as_deref().map(parse) {
            Some(Some(value)) => Value::Is(value),
            Some(None) => {
                self.odd += 1;
                Value::Odd
            }
            None => Value::Odd,
        }
    }

    fn number(&mut self, code: u32) -> Value<u64> {
        self.parse(code, |text| text.trim().parse().ok())
    }

    fn flag(&mut self, code: u32, missing: bool, odd: bool) -> bool {
        let value = self.parse(code, |text| match text {
            "1" | "true" | "enabled" => Some(true),
            "0" | "false" | "disabled" | "" => Some(false),
            _ => None,
        });
        match value {
            Value::Missing => missing,
            Value::Odd => odd,
            Value::Is(value) => value,
        }
    }

    /// The length and the number of buckets, each by its own.
    fn buckets(&mut self, codes: BucketCodes, missing: Buckets, odd: Buckets) -> Buckets {
        let secs = match self.number(codes.secs) {
            Value::Missing => missing,
            Value::Odd => odd,
            Value::Is(secs) => missing.with_secs(secs),
        };
        match self.number(codes.count) {
            Value::Missing => secs.with_count_of(missing),
            Value::Odd => secs.with_count_of(odd),
            Value::Is(count) => secs.with_count(count),
        }
    }
}

/// The two properties that describe buckets.
#[derive(Clone, Copy)]
struct BucketCodes {
    secs: u32,
    count: u32,
}

const MIGRATED: u32 = 9435;
const RECEIVED: BucketCodes = BucketCodes {
    secs: 865,
    count: 909,
};
const ISSUED: BucketCodes = BucketCodes {
    secs: 996,
    count: 997,
};
const ISSUE_TO_LID: u32 = 14303;
const PLACEHOLDER_DAYS: u32 = 3639;
/// All that are read: an answer has about 2,400.
const KNOWN: [u32; 7] = [
    MIGRATED,
    RECEIVED.secs,
    RECEIVED.count,
    ISSUED.secs,
    ISSUED.count,
    ISSUE_TO_LID,
    PLACEHOLDER_DAYS,
];

const DAY_SECS: u64 = 24 * 60 * 60;
/// Most days that a placeholder may be old.
const MAX_PLACEHOLDER_DAYS: u16 = 180;
/// When to ask again if the server does not say.
const REFRESH: Duration = Duration::from_secs(DAY_SECS);
/// The server can't make us ask more often than this.
const REFRESH_MIN: Duration = Duration::from_secs(10 * 60);
/// Nor less often than this.
const REFRESH_MAX: Duration = Duration::from_secs(7 * DAY_SECS);

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(props: &[(&str, &str)]) -> Node {
        let prop = |(code, value): &(&str, &str)| {
            let prop = Node::new("prop");
            prop.attr("config_code", *code).attr("config_value", *value)
        };
        let sampling = Node::new("prop")
            .attr("event_code", 9435u32)
            .attr("sampling_weight", 1u32);
        let all = props.iter().map(prop).chain([sampling]);
        Node::new("iq").with_child(Node::new("props").attr("refresh", 86_400u32).with_children(all))
    }

    fn read_on(known: Properties, props: &[(&str, &str)]) -> Read {
        read(&answer(props), known).unwrap()
    }

    #[test]
    fn what_is_missing_is_as_by_default() {
        let known = Properties {
            issues_to_lid: true,
            ..Properties::default()
        };
        let read = read_on(known, &[("7", "x"), ("9435", "1")]);
        assert_eq!((read.odd, read.refresh), (0, REFRESH));
        let expected = Properties {
            is_migrated: true,
            ..Properties::default()
        };
        assert_eq!(read.properties, expected);
        assert!(super::read(&Node::new("iq"), known).is_none());
    }

    #[test]
    fn the_numbers_of_buckets_are_taken_each_by_its_own() {
        let all = [
            ("865", "10"),
            ("909", "26"),
            ("996", "0"),
            ("997", "2"),
            ("14303", "true"),
            ("3639", "3"),
        ];
        let read = read_on(Properties::default(), &all);
        let properties = read.properties;
        assert_eq!(
            properties.received_tokens,
            Buckets::DEFAULT.with_secs(10).with_count(26)
        );
        assert_eq!(
            properties.issued_tokens,
            Buckets::DEFAULT.with_secs(1).with_count(2)
        );
        assert!(properties.issues_to_lid && !properties.is_migrated);
        assert_eq!(properties.placeholder_days, 3);
    }

    #[test]
    fn odd_and_contradicting_values_are_counted_and_change_nothing() {
        let good = [("865", "10"), ("909", "26"), ("14303", "1"), ("3639", "3")];
        let known = read_on(Properties::default(), &good).properties;
        let bad = [
            ("865", "-1"),
            ("909", "many"),
            ("14303", "perhaps"),
            ("3639", "1"),
            ("3639", "2"),
            ("9435", "0"),
            ("9435", "0"),
        ];
        let read = read_on(known, &bad);
        assert_eq!((read.properties, read.odd), (known, 4));
    }

    #[test]
    fn changes_go_on_top_of_what_was_known() {
        let known = read_on(Properties::default(), &[("865", "10"), ("14303", "1")]).properties;
        let mut delta = answer(&[("14303", "0")]);
        let mut props = delta.child("props").unwrap().clone();
        props.set_attr("delta_update", "true");
        delta = Node::new("iq").with_child(props);
        let read = read(&delta, known).unwrap();
        let expected = Properties {
            issues_to_lid: false,
            ..known
        };
        assert_eq!(read.properties, expected);
    }

    #[test]
    fn the_server_can_t_make_us_ask_all_the_time() {
        for (refresh, expected) in [("0", REFRESH_MIN), ("99999999", REFRESH_MAX), ("soon", REFRESH)] {
            let answer = Node::new("iq").with_child(Node::new("props").attr("refresh", refresh));
            assert_eq!(read(&answer, Properties::default()).unwrap().refresh, expected);
        }
    }
}
