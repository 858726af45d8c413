//! The list.
//!
//! The words of a metric are its doc comment: they stand here, in `docs/METRICS.md` and in what a process shows.

use super::labels::{
    Answered, AnyJob, AnyReason, AttemptNumber, AttemptOutcome, CallEnd, Closing, Collection, CommitFailure,
    ConnectionUse, DeadLetterQueue, DeviceRefusal, DisabledFor, Dropped, FailureStatus, FileDelay, JobLoss,
    JobOutcome, LeaseEnd, Link, Method, Misbehaviour, PageReading, ProblemCode, Published, PutBack,
    RelayFailure, Role, Route, SessionState, Shard, SocketDrop, SpanDrop, Standing, StartedAgain,
    StatusClass, Transaction, TransactionEnd, Version,
};
use super::metric::Shown::{By, Once};
use super::metric::{Buckets, Counter, Declared, Declares, Gauge, Histogram, Kind, Shown};
use crate::event::RestrictionKind;
use crate::job::FailureCode;
use crate::waiting::Reason;

/// Metrics that belong together.
#[derive(Clone, Copy)]
pub struct Family {
    /// What they are about.
    pub title: &'static str,
    /// The metrics.
    pub metrics: &'static [&'static dyn Declares],
}

impl std::fmt::Debug for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.title)
    }
}

const API: Shown = By(&[Role::Api]);
const SESSION: Shown = By(&[Role::Session]);
const WEBHOOK: Shown = By(&[Role::Webhook]);
const ALL: Shown = By(&Role::ALL);

/// Declares families of metrics, and [`FAMILIES`] of all of them.
macro_rules! families {
    ($($title:literal { $(
        $(#[doc = $help:literal])+
        $CONST:ident: $Kind:ident$(<$Labels:ty>)? = $name:literal, $unit:literal, $shown:expr $(, $buckets:ident)?;
    )+ })+) => {
        $($(
            $(#[doc = $help])+
            pub static $CONST: $Kind$(<$Labels>)? = $Kind::new(Declared {
                name: $name,
                kind: Kind::$Kind,
                unit: $unit,
                shown: $shown,
                buckets: families!(@buckets $($buckets)?),
                help: concat!($($help),+),
            });
        )+)+

        /// All metrics, by what they are about.
        pub static FAMILIES: &[Family] = &[$(Family { title: $title, metrics: &[$(&$CONST),+] }),+];
    };
    (@buckets) => { None };
    (@buckets $buckets:ident) => { Some(Buckets::$buckets) };
}

families! {
    "Jobs" {
        /// Jobs that the API handed to the broker, by what became of that
        JOBS_PUBLISHED: Counter<Published> = "fanfare_jobs_published_total", "jobs", API;
        /// Jobs taken from the broker, by kind and by what became of them; `none` is what is no job
        JOBS: Counter<(AnyJob, JobOutcome)> = "fanfare_jobs_total", "jobs", SESSION;
        /// Jobs that were answered with a failure, by its code: those that were refused, and questions that came to nothing
        JOBS_FAILED: Counter<FailureCode> = "fanfare_jobs_failed_total", "jobs", SESSION;
        /// Jobs whose session ended with them in its hands, by what follows; `returned` is one that a session may die of
        JOBS_LOST: Counter<JobLoss> = "fanfare_jobs_lost_total", "jobs", SESSION;
        /// Jobs that the API wanted an answer to, by what became of that
        CALLS: Counter<CallEnd> = "fanfare_calls_total", "jobs", API;
        /// How long a job waited from its publishing until a worker stored it, or carried it out
        JOB_WAIT: Histogram<AnyJob> = "fanfare_job_wait_seconds", "seconds", SESSION, Waited;
        /// Messages in the queue of a shard: jobs that no worker has stored yet
        SHARD_QUEUE: Gauge<Shard> = "fanfare_shard_queue_messages", "messages", Once;
        /// Messages among the dead letters, which nobody takes away by himself
        DEAD_LETTERS: Gauge<DeadLetterQueue> = "fanfare_dead_letters", "messages", Once;
        /// Schedules that came due and made a queue
        SCHEDULES_FIRED: Counter = "fanfare_schedules_fired_total", "schedules", SESSION;
        /// Schedules that came due and could not be fired: they are tried again
        SCHEDULES_PUT_OFF: Counter = "fanfare_schedules_put_off_total", "schedules", SESSION;
    }

    "Sending" {
        /// Messages that WhatsApp acknowledged
        MESSAGES_SENT: Counter = "fanfare_messages_sent_total", "messages", SESSION;
        /// Recipients who can't be sent to, by status
        MESSAGES_FAILED: Counter<FailureStatus> = "fanfare_messages_failed_total", "recipients", SESSION;
        /// Recipients of whom nobody knows whether they got their message, and who are not sent to again
        MESSAGES_UNKNOWN: Counter = "fanfare_messages_unknown_total", "recipients", SESSION;
        /// Messages that went again under their stanza id, since nobody answered for the attempt before
        MESSAGES_REPEATED: Counter = "fanfare_messages_repeated_total", "messages", SESSION;
        /// Sends that were begun and went back to their queue, by why
        SENDS_PUT_BACK: Counter<PutBack> = "fanfare_sends_put_back_total", "sends", SESSION;
        /// Files of messages that were not brought or not uploaded and are tried again, by why
        FILES_DELAYED: Counter<FileDelay> = "fanfare_files_delayed_total", "tries", SESSION;
        /// How long a session waited before it sent on, by why; counted when the reason ends
        PACER_WAIT: Histogram<Standing> = "fanfare_pacer_wait_seconds", "seconds", SESSION, Waited;
        /// How long WhatsApp took to say whether numbers are on WhatsApp
        LOOK_UP: Histogram<Answered> = "fanfare_look_up_seconds", "seconds", SESSION, Took;
        /// How long the protocol took to make a message for all its devices: mostly to encrypt it
        ENCRYPTION: Histogram = "fanfare_encryption_seconds", "seconds", SESSION, Took;
        /// From a message's first byte to WhatsApp's acknowledgement
        SEND_ACK: Histogram = "fanfare_send_ack_seconds", "seconds", SESSION, Took;
        /// Recipients that are not settled yet, by why their queue stands still; `none` where it moves, or is about to
        RECIPIENTS_WAITING: Gauge<AnyReason> = "fanfare_recipients_waiting", "recipients", Once;
        /// Queues of this worker that have not moved for about a second, by why
        QUEUES_WAITING: Gauge<Reason> = "fanfare_queues_waiting", "queues", SESSION;
        /// Sessions that WhatsApp began to keep from writing to new contacts, by kind
        SESSIONS_RESTRICTED: Counter<RestrictionKind> = "fanfare_sessions_restricted_total", "sessions", SESSION;
        /// Pauses of sessions that went too fast for WhatsApp
        SESSIONS_RATE_LIMITED: Counter = "fanfare_sessions_rate_limited_total", "pauses", SESSION;
    }

    "Receiving" {
        /// Messages that came in
        MESSAGES_RECEIVED: Counter = "fanfare_messages_received_total", "messages", SESSION;
        /// Messages of the past that a phone shared
        HISTORY_MESSAGES: Counter = "fanfare_history_messages_total", "messages", SESSION;
        /// Pieces of the past that can't be read
        HISTORY_REFUSED: Counter = "fanfare_history_refused_total", "pieces", SESSION;
        /// Messages that came in and could not be decrypted, whatever was tried; their senders show them as sent
        MESSAGES_UNREADABLE: Counter = "fanfare_messages_unreadable_total", "messages", SESSION;
        /// What a session gave up or left to the next login, by what it was
        DROPPED: Counter<Dropped> = "fanfare_dropped_total", "times", SESSION;
        /// What a peer did that no app does, by what; it harms its own message alone
        PEERS_MISBEHAVED: Counter<Misbehaviour> = "fanfare_peers_misbehaved_total", "stanzas", SESSION;
        /// Devices that were left out because they did not prove who they are, by reason
        DEVICES_REFUSED: Counter<DeviceRefusal> = "fanfare_devices_refused_total", "devices", SESSION;
        /// Devices that turned out to have another identity than before
        IDENTITIES_CHANGED: Counter = "fanfare_identities_changed_total", "devices", SESSION;
        /// Messages that a device asked for again and WhatsApp did not take: it goes on waiting for them
        RESENDS_FAILED: Counter = "fanfare_resends_failed_total", "messages", SESSION;
        /// What WhatsApp has of an account that did not check out and was read from its beginning, by collection
        APP_STATE_REFUSED: Counter<Collection> = "fanfare_app_state_refused_total", "collections", SESSION;
        /// Answers for a passkey that were none for what WhatsApp had asked
        PASSKEYS_REFUSED: Counter = "fanfare_passkey_answers_refused_total", "answers", SESSION;
    }

    "Sessions and shards" {
        /// Sessions of this worker, by state
        SESSIONS: Gauge<SessionState> = "fanfare_sessions", "sessions", SESSION;
        /// Sessions of this worker, by why they send nothing just now
        SESSIONS_WAITING: Gauge<Standing> = "fanfare_sessions_waiting", "sessions", SESSION;
        /// Connections to WhatsApp that were logged in
        SESSIONS_OPENED: Counter = "fanfare_sessions_opened_total", "connections", SESSION;
        /// Connections to WhatsApp that ended, by why
        SESSIONS_CLOSED: Counter<Closing> = "fanfare_sessions_closed_total", "connections", SESSION;
        /// Sessions that failed inside their worker and were started again, by why
        SESSIONS_STARTED_AGAIN: Counter<StartedAgain> = "fanfare_sessions_started_again_total", "sessions", SESSION;
        /// Shards that this worker holds
        SHARDS_OWNED: Gauge = "fanfare_shards_owned", "shards", SESSION;
        /// Leases of shards that this worker lost without giving them back, by how
        LEASES_LOST: Counter<LeaseEnd> = "fanfare_leases_lost_total", "leases", SESSION;
        /// Leases of shards that this worker took
        LEASES_TAKEN: Counter = "fanfare_leases_taken_total", "leases", SESSION;
        /// Shards of the deployment
        SHARDS: Gauge = "fanfare_shards", "shards", Once;
        /// Shards that no live session worker holds
        SHARDS_UNOWNED: Gauge = "fanfare_shards_unowned", "shards", Once;
        /// Session workers that are alive
        SESSION_WORKERS: Gauge = "fanfare_session_workers", "workers", Once;
        /// Age of the version of WhatsApp Web that sessions of this worker say they are; it is refused after some months
        CLIENT_VERSION_AGE: Gauge = "fanfare_client_version_age_seconds", "seconds", SESSION;
        /// 1 while WhatsApp refuses sessions for that version
        CLIENT_VERSION_REFUSED: Gauge = "fanfare_client_version_refused", "1 or 0", SESSION;
        /// Connections that WhatsApp refused for their version (405)
        CLIENT_VERSION_REFUSALS: Counter = "fanfare_client_version_refusals_total", "connections", SESSION;
        /// Readings of the page that names the current version, by outcome
        CLIENT_VERSION_FETCHES: Counter<PageReading> = "fanfare_client_version_fetches_total", "readings", SESSION;
    }

    "Events" {
        /// Events that the broker confirmed
        EVENTS_PUBLISHED: Counter = "fanfare_events_published_total", "events", SESSION;
        /// From an event's commit to the broker's confirm
        OUTBOX_LAG: Histogram = "fanfare_outbox_lag_seconds", "seconds", SESSION, Waited;
        /// Tries to publish events that came to nothing, by why; the events wait in the database
        EVENTS_HELD: Counter<RelayFailure> = "fanfare_event_publish_failures_total", "tries", SESSION;
        /// Committed events that wait to be published, up to 100,000
        OUTBOX_EVENTS: Gauge = "fanfare_outbox_events", "events", Once;
        /// Age of the oldest of them; 0 where none waits
        OUTBOX_AGE: Gauge = "fanfare_outbox_age_seconds", "seconds", Once;
    }

    "Webhooks" {
        /// Events taken from the broker to be delivered
        WEBHOOK_EVENTS: Counter = "fanfare_webhook_events_total", "events", WEBHOOK;
        /// Events that can't be read and went to the dead letters
        WEBHOOK_EVENTS_DEAD: Counter = "fanfare_webhook_events_dead_total", "events", WEBHOOK;
        /// Attempts to deliver an event to a webhook, by outcome
        WEBHOOK_ATTEMPTS: Counter<(AttemptNumber, AttemptOutcome)> = "fanfare_webhook_attempts_total", "attempts", WEBHOOK;
        /// How long an attempt took, by outcome
        WEBHOOK_ATTEMPT: Histogram<AttemptOutcome> = "fanfare_webhook_attempt_seconds", "seconds", WEBHOOK, Took;
        /// Endpoints left alone for a while after a run of failures
        WEBHOOK_CIRCUITS: Counter = "fanfare_webhook_circuit_opened_total", "times", WEBHOOK;
        /// Deliveries given up: after their last attempt, or because their webhook was disabled
        WEBHOOK_DIED: Counter = "fanfare_webhook_dead_total", "deliveries", WEBHOOK;
        /// Webhooks that were disabled by themselves, by why
        WEBHOOKS_DISABLED: Counter<DisabledFor> = "fanfare_webhooks_disabled_total", "webhooks", WEBHOOK;
        /// Deliveries that were taken at once and are not listed, since there were too many or the database did not take them
        WEBHOOK_UNLISTED: Counter = "fanfare_webhook_unlisted_total", "deliveries", WEBHOOK;
        /// Webhooks that get nothing because their row can't be used, or is beyond the limit
        WEBHOOKS_UNUSABLE: Gauge = "fanfare_webhooks_unusable", "webhooks", WEBHOOK;
        /// Events in the queue of the webhook workers
        WEBHOOK_QUEUE: Gauge = "fanfare_webhook_queue_messages", "events", Once;
        /// Deliveries that wait for another attempt
        WEBHOOK_PENDING: Gauge = "fanfare_webhook_pending", "deliveries", Once;
        /// Deliveries given up that can be replayed
        WEBHOOK_DEAD: Gauge = "fanfare_webhook_dead", "deliveries", Once;
    }

    "HTTP and sockets" {
        /// HTTP requests, by route, method and class of status
        HTTP_REQUEST: Histogram<(Method, Route, StatusClass)> = "fanfare_http_request_seconds", "seconds", API, Took;
        /// Requests that were answered with a problem, by its code
        HTTP_PROBLEMS: Counter<ProblemCode> = "fanfare_http_problems_total", "requests", API;
        /// Clients of socket.io that are connected
        SOCKET_CLIENTS: Gauge = "fanfare_socket_clients", "clients", API;
        /// Clients of socket.io that were let go, by why
        SOCKETS_DROPPED: Counter<SocketDrop> = "fanfare_socket_dropped_total", "clients", API;
        /// Events that did not come to this process for socket.io, as their numbers tell
        SOCKET_MISSED: Counter = "fanfare_socket_missed_events_total", "events", API;
    }

    "Broker and database" {
        /// 1 while a connection to the broker stands and it takes messages, by link
        BROKER_CONNECTED: Gauge<Link> = "fanfare_broker_connected", "1 or 0", ALL;
        /// Connections to the broker that ended or failed, by link
        BROKER_RECONNECTS: Counter<Link> = "fanfare_broker_reconnects_total", "connections", ALL;
        /// 1 while the database answers
        DATABASE_UP: Gauge = "fanfare_database_up", "1 or 0", ALL;
        /// Connections of the pool, by what they do
        DATABASE_CONNECTIONS: Gauge<ConnectionUse> = "fanfare_database_connections", "connections", ALL;
        /// Database transactions, by name and outcome
        TRANSACTION: Histogram<(Transaction, TransactionEnd)> = "fanfare_transaction_seconds", "seconds", ALL, Took;
        /// Group commits, from gathered to durable
        COMMIT: Histogram = "fanfare_commit_seconds", "seconds", SESSION, Took;
        /// Writes in one group commit
        COMMIT_WRITES: Histogram = "fanfare_commit_batch_writes", "writes", SESSION, Counted;
        /// Writes of sessions that were not committed, by why
        COMMITS_FAILED: Counter<CommitFailure> = "fanfare_commit_failures_total", "writes", SESSION;
    }

    "Process" {
        /// 1, with what runs
        BUILD_INFO: Gauge<(Role, Version)> = "fanfare_build_info", "1", ALL;
        /// Lines of the log that were left out, since the same place had written too many
        LOG_LINES_LEFT_OUT: Counter = "fanfare_log_lines_left_out_total", "lines", ALL;
        /// Spans of traces that did not come to their receiver, by why
        SPANS_DROPPED: Counter<SpanDrop> = "fanfare_spans_dropped_total", "spans", ALL;
    }
}
