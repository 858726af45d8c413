//! The names of things: one newtype per id, made by one checked constructor.
//!
//! Ids are public (they travel in routing keys, logs and URLs); nothing here is a secret.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rand::{Rng, RngExt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::clock::unix_millis;

/// Longest token, in characters. A token is part of an AMQP routing key, which holds 255 bytes.
pub const TOKEN_MAX: usize = 64;
/// Longest job id and stanza id, in characters (both travel in AMQP short strings).
pub const TEXT_ID_MAX: usize = 128;
/// Most shards a deployment can have: shard numbers are two digits in queue names.
pub const SHARDS_MAX: u16 = 100;

/// The namespace of queue ids that are derived from a token and a job id (see [`QueueId::derived`]).
const QUEUE_NAMESPACE: Uuid = Uuid::from_u128(0x5a0c_9d6e_2f7b_4d8a_9c31_fa4f_a9e0_0001);

/// Why a text is not a valid id.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdError {
    /// The token breaks `[A-Za-z0-9_-]{1,64}`.
    #[error("must be 1 to {TOKEN_MAX} characters of A-Z, a-z, 0-9, _ and -")]
    Token,
    /// Not a UUID.
    #[error("must be a UUID")]
    Uuid,
    /// Not 1 to 128 printable ASCII characters without blanks.
    #[error("must be 1 to {TEXT_ID_MAX} printable ASCII characters without blanks")]
    Text,
    /// Not a shard of this deployment.
    #[error("must be a number below {SHARDS_MAX}")]
    Shard,
}

/// A session's public name, chosen by its owner. It is a routing key, not a secret. Cheap to clone.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(Arc<str>);

impl Token {
    /// Parses a token.
    ///
    /// # Errors
    /// [`IdError::Token`] unless it is `[A-Za-z0-9_-]{1,64}`.
    pub fn new(text: &str) -> Result<Self, IdError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if text.is_empty() || text.len() > TOKEN_MAX || !text.bytes().all(allowed) {
            return Err(IdError::Token);
        }
        Ok(Self(text.into()))
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Implements the text traits (Display, Debug, FromStr, serde, JSON Schema) of an id with `new` and `as_str`.
macro_rules! text_id {
    ($name:ident, $error:ty, $pattern:expr, $doc:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.as_str())
            }
        }
        impl FromStr for $name {
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $doc })
            }
        }
    };
}

text_id!(
    Token,
    IdError,
    "^[A-Za-z0-9_-]{1,64}$",
    "the public name of a session"
);

/// The identity of a job: the AMQP `message_id`, or the caller's idempotency key. The same id twice is one job.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct JobId(Box<str>);

/// The id of a WhatsApp message (a stanza), as `messageId` in events: upper-case hex when it is ours.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StanzaId(Box<str>);

/// The ids of a queue's messages, each by its recipient's place: the same however often one is asked for.
#[derive(Clone, Copy, Debug)]
pub struct StanzaIds([u8; 16]);

/// The name of a worker process, unique per start.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WorkerId(Box<str>);

/// What a caller calls a schedule by, one of its session.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ScheduleName(Box<str>);

/// Gives a text id its checked constructor.
macro_rules! printable_id {
    ($name:ident, $doc:expr) => {
        impl $name {
            /// Parses the id.
            ///
            /// # Errors
            /// [`IdError::Text`] unless it is 1 to 128 printable ASCII characters without blanks.
            pub fn new(text: &str) -> Result<Self, IdError> {
                if text.is_empty() || text.len() > TEXT_ID_MAX || !text.bytes().all(|b| b.is_ascii_graphic())
                {
                    return Err(IdError::Text);
                }
                Ok(Self(text.into()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        text_id!($name, IdError, "^[!-~]{1,128}$", $doc);
    };
}

printable_id!(JobId, "the identity of a job; the same id twice is one job");
printable_id!(StanzaId, "the id of a WhatsApp message");
printable_id!(ScheduleName, "what a schedule is called by");
printable_id!(WorkerId, "the name of a worker process");

impl StanzaIds {
    /// Ids that no other queue has.
    pub fn fresh(rng: &mut impl Rng) -> Self {
        let mut seed = [0; 16];
        rng.fill_bytes(&mut seed);
        Self(seed)
    }

    /// The id of the message to the recipient at this place: `3EB0` and 18 upper-case hexadecimal digits, as the clients of
    /// browsers make them.
    pub fn of(&self, seq: u32) -> StanzaId {
        let digest = Sha256::new_with_prefix(self.0)
            .chain_update(seq.to_be_bytes())
            .finalize();
        let mut id = String::with_capacity(22);
        id.push_str("3EB0");
        for byte in &digest[..9] {
            for digit in [byte >> 4, byte & 15] {
                id.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
        StanzaId(id.into())
    }
}

impl ScheduleId {
    /// A fresh id.
    pub fn fresh(at: OffsetDateTime, rng: &mut impl Rng) -> Self {
        Self(uuid_v7(at, rng))
    }

    /// The identity of the firing for a time: the same however often, and by whomever, it is published.
    pub fn firing(self, at: OffsetDateTime) -> JobId {
        let firing = Uuid::new_v5(&self.0, &unix_millis(at).to_be_bytes());
        JobId(firing.to_string().into())
    }
}

impl JobId {
    /// A fresh id for a job whose publisher named none, ordered by time of making.
    pub fn fresh(at: OffsetDateTime, rng: &mut impl Rng) -> Self {
        Self(uuid_v7(at, rng).to_string().into())
    }
}

impl WorkerId {
    /// A name for this process: the given prefix (a host name, say) and a random part, so that a restart
    /// is another worker.
    ///
    /// # Errors
    /// [`IdError::Text`] if the prefix is too long or not printable.
    pub fn generate(prefix: &str, rng: &mut impl Rng) -> Result<Self, IdError> {
        let random = uuid::Builder::from_random_bytes(rng.random()).into_uuid();
        Self::new(&format!("{prefix}-{}", random.simple()))
    }
}

/// Declares an id that is a UUID.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID itself.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self).map_err(|_| IdError::Uuid)
            }
        }
    };
}

uuid_id! {
    /// A queue: the sends of one job.
    QueueId
}
uuid_id! {
    /// A schedule: one that is made anew under the same name is another.
    ScheduleId
}
uuid_id! {
    /// An event. UUIDv7, the same on every redelivery.
    EventId
}
uuid_id! {
    /// A registered webhook.
    WebhookId
}
uuid_id! {
    /// A file that a caller uploaded.
    MediaId
}
uuid_id! {
    /// One delivery of one event to one webhook. UUIDv7.
    DeliveryId
}

impl QueueId {
    /// The id of a queue whose job names none: the job id if that is a UUID, else a UUIDv5 of token and job
    /// id. Deterministic, so that a repeated publish, over whichever door, is the same queue.
    pub fn derived(token: &Token, job: &JobId) -> Self {
        match Uuid::parse_str(job.as_str()) {
            Ok(uuid) => Self(uuid),
            Err(_) => Self::of_session(token, job),
        }
    }

    /// An id that no other session derives from the same job id.
    pub fn of_session(token: &Token, job: &JobId) -> Self {
        let name = format!("{token}/{job}");
        Self(Uuid::new_v5(&QUEUE_NAMESPACE, name.as_bytes()))
    }
}

/// A UUIDv7 of this time.
fn uuid_v7(at: OffsetDateTime, rng: &mut impl Rng) -> Uuid {
    let millis = u64::try_from(unix_millis(at)).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &rng.random()).into_uuid()
}

impl EventId {
    /// A fresh id, ordered by time of making.
    pub fn fresh(at: OffsetDateTime, rng: &mut impl Rng) -> Self {
        Self(uuid_v7(at, rng))
    }

    /// The id of what happens once to a queue, at `millis` since 1970: the same however often it is told.
    pub fn of_queue(queue: QueueId, millis: u64) -> Self {
        let mut random = [0; 10];
        random.copy_from_slice(&queue.as_uuid().as_bytes()[6..]);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

impl WebhookId {
    /// A fresh id.
    pub fn fresh(rng: &mut impl Rng) -> Self {
        Self(uuid::Builder::from_random_bytes(rng.random()).into_uuid())
    }
}

impl DeliveryId {
    /// A fresh id, ordered by time of making.
    pub fn fresh(at: OffsetDateTime, rng: &mut impl Rng) -> Self {
        Self(uuid_v7(at, rng))
    }

    /// Before all ids that are made at `at` or later, and behind all that were made before.
    pub fn first_of(at: OffsetDateTime) -> Self {
        let millis = u64::try_from(unix_millis(at)).unwrap_or_default();
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid())
    }
}

/// One of the N parts that a deployment's sessions are divided into.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ShardId(u16);

impl ShardId {
    /// Checks a shard number.
    ///
    /// # Errors
    /// [`IdError::Shard`] if it is not below [`SHARDS_MAX`].
    pub const fn new(number: u16) -> Result<Self, IdError> {
        if number < SHARDS_MAX {
            Ok(Self(number))
        } else {
            Err(IdError::Shard)
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ShardId {
    /// Two digits, as in queue names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.0)
    }
}

/// How often a shard has changed hands. A write that names an old epoch is refused.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Epoch(i64);

/// The database's number of a session.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct SessionId(i64);

/// Gives a number id its constructor, accessor and Display.
macro_rules! number_id {
    ($name:ident) => {
        impl $name {
            /// Wraps the number.
            pub const fn new(number: i64) -> Self {
                Self(number)
            }

            /// The number.
            pub const fn get(self) -> i64 {
                self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}
number_id!(Epoch);
number_id!(SessionId);

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn tokens_are_one_to_64_safe_characters() {
        for good in ["a", "A-b_9", &"x".repeat(64)] {
            assert_eq!(Token::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a.b", "a b", "ü", "a/b", "#", &"x".repeat(65)] {
            assert_eq!(Token::new(bad), Err(IdError::Token), "{bad:?}");
        }
    }

    #[test]
    fn derived_queue_id_is_the_uuid_or_depends_on_token_and_job() {
        let (a, b) = (Token::new("a").unwrap(), Token::new("b").unwrap());
        let uuid = "78e37ede-32d9-4636-83f0-39469daf89f6";
        assert_eq!(QueueId::derived(&a, &JobId::new(uuid).unwrap()).to_string(), uuid);
        let job = JobId::new("order-17").unwrap();
        assert_eq!(QueueId::derived(&a, &job), QueueId::derived(&a, &job));
        assert_ne!(QueueId::derived(&a, &job), QueueId::derived(&b, &job));
    }

    #[test]
    fn the_ids_of_a_queues_messages_have_the_usual_form_and_are_its_own() {
        let mut rng = StdRng::seed_from_u64(1);
        let (one, other) = (StanzaIds::fresh(&mut rng), StanzaIds::fresh(&mut rng));
        let id = one.of(0);
        assert_eq!(id, one.of(0));
        assert_ne!(id, one.of(1));
        assert_ne!(id, other.of(0));
        let digits = id.as_str().strip_prefix("3EB0").unwrap();
        assert_eq!(digits.len(), 18);
        assert!(digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')));
    }

    #[test]
    fn text_ids_refuse_blanks_and_length() {
        assert!(JobId::new("a b").is_err());
        assert!(StanzaId::new(&"A".repeat(129)).is_err());
        assert!(JobId::new("3EB0").is_ok());
    }
}
