//! The labels of metrics: each a type of its own, with the values that it takes.
//!
//! What the product names already (kinds of jobs, reasons to wait) is a label under the same words. Words of the protocol
//! library, which this crate does not know, are named again here; the worker finds them by their text, and a test there
//! finds one that is missing.

use metrics::SharedString;

use super::declare::{bounded, closed, optional};
use crate::event::RestrictionKind;
use crate::id::ShardId;
use crate::job::{FailureCode, JobKind};
use crate::named::named;
use crate::waiting::Reason;

closed! {
    JobKind as "kind",
    FailureCode as "code",
    RestrictionKind as "kind",
    Reason as "reason",
    Link as "link",
    ConnectionUse as "state",
    SessionState as "state",
    Standing as "reason",
    JobOutcome as "outcome",
    Published as "outcome",
    JobLoss as "outcome",
    CallEnd as "outcome",
    FailureStatus as "status",
    PutBack as "reason",
    FileDelay as "reason",
    Closing as "reason",
    Answered as "outcome",
    DeviceRefusal as "reason",
    Misbehaviour as "reason",
    Collection as "collection",
    Dropped as "what",
    PageReading as "outcome",
    Method as "method",
    StatusClass as "status",
    AttemptNumber as "attempt",
    AttemptOutcome as "outcome",
    DisabledFor as "reason",
    SocketDrop as "reason",
    RelayFailure as "reason",
    CommitFailure as "reason",
    TransactionEnd as "outcome",
    SpanDrop as "reason",
    LeaseEnd as "reason",
    StartedAgain as "reason",
    DeadLetterQueue as "queue",
    Role as "role",
}

named! {
    /// A connection to the broker.
    Link {
        /// It publishes.
        Publish = "publish",
        /// It consumes.
        Consume = "consume",
    }
}

named! {
    /// What a connection to the database does.
    ConnectionUse {
        /// A task has it.
        Used = "used",
        /// It waits for a task.
        Idle = "idle",
        /// A task that waits for one.
        Awaited = "awaited",
    }
}

named! {
    /// The state of a session's connection to WhatsApp.
    SessionState {
        /// Created; its worker has not seen it yet.
        New = "new",
        /// Connecting.
        Connecting = "connecting",
        /// Waits for a phone.
        Pairing = "pairing",
        /// Connected and logged in.
        Open = "open",
        /// Not connected.
        Closed = "closed",
        /// Logged out by WhatsApp.
        LoggedOut = "logged-out",
    }
}

named! {
    /// Why a session sends nothing just now, as its worker knows it.
    Standing {
        /// There is nothing to send.
        Idle = "idle",
        /// The random gap after the last send.
        Pace = "pace",
        /// `SEND_CAP`.
        Cap = "cap",
        /// WhatsApp has not answered for the last send.
        Ack = "ack",
        /// A send is tried again.
        BackOff = "back-off",
        /// Recipients that were sent to in vain are sent to again.
        Attempt = "attempt",
        /// WhatsApp said that the session goes too fast.
        RateLimit = "rate-limit",
        /// Numbers must be looked up first.
        LookUp = "look-up",
        /// New contacts can't be written to.
        Restricted = "restricted",
        /// All there is starts later.
        StartsAt = "starts-at",
        /// Not connected.
        NotConnected = "not-connected",
        /// Recipients are read from the database.
        Reading = "reading",
    }
}

named! {
    /// What became of a job that was taken from the broker.
    JobOutcome {
        /// Stored.
        Accepted = "accepted",
        /// Stored before.
        Duplicate = "duplicate",
        /// Carried out.
        Done = "done",
        /// Refused.
        Rejected = "rejected",
        /// No job at all: kept as a dead letter.
        Dead = "dead",
        /// Put back for a moment: its session has enough to do.
        PutBack = "put_back",
    }
}

named! {
    /// What follows when a session ends with a job in its hands.
    JobLoss {
        /// It waits at its place, and is handed to the session again.
        Again = "again",
        /// That happened too often: it goes back to the broker, whose limit of deliveries makes it a dead letter.
        Returned = "returned",
    }
}

named! {
    /// What became of a job that the API wants an answer to.
    CallEnd {
        /// A worker answered, if only that it was not done.
        Answered = "answered",
        /// Nobody answered in time.
        TimedOut = "timed_out",
        /// The process waits for as many answers as it may.
        Busy = "busy",
        /// The broker did not take the job.
        Unpublished = "unpublished",
        /// The answer can't be read.
        Unreadable = "unreadable",
    }
}

named! {
    /// What became of a job that the API published.
    Published {
        /// The broker has it.
        Confirmed = "confirmed",
        /// No queue takes it.
        Unroutable = "unroutable",
        /// The queue is full.
        Refused = "refused",
        /// The broker is away, or did not confirm in time.
        Failed = "failed",
    }
}

named! {
    /// Why a recipient can't be reached, in the manner of HTTP.
    FailureStatus {
        /// This kind of message can't be sent to them.
        BadRequest = "400",
        /// The account blocks them, or may not write there.
        Forbidden = "403",
        /// Not on WhatsApp.
        NotFound = "404",
        /// No devices any more.
        Gone = "410",
        /// The file is too large.
        TooLarge = "413",
        /// The file is not of its kind.
        UnsupportedMedia = "415",
        /// The file could not be fetched.
        FailedDependency = "424",
        /// WhatsApp took the message for malformed.
        Malformed = "500",
        /// WhatsApp refused it.
        BadGateway = "502",
        /// It failed on our side.
        Unavailable = "503",
        /// WhatsApp did not answer.
        TimedOut = "504",
        /// None of these.
        Other = "other",
    }
}

named! {
    /// Why a send that was begun goes back to its queue.
    PutBack {
        /// The connection broke, or nobody answered: it goes again.
        Connection = "connection",
        /// The number must be looked up first.
        LookUp = "look-up",
        /// The account goes by another number, and is sent to by that.
        Renumbered = "renumbered",
        /// A new contact, while new contacts can't be written to: set apart.
        NewContact = "new-contact",
        /// The session goes too fast.
        RateLimit = "rate-limit",
        /// WhatsApp could not handle it just now.
        Trouble = "trouble",
    }
}

named! {
    /// Why a message's file is not uploaded yet, and tried again.
    FileDelay {
        /// Its URL did not give it.
        Fetch = "fetch",
        /// WhatsApp named no media host.
        Hosts = "hosts",
        /// The media host did not take it.
        Upload = "upload",
    }
}

named! {
    /// Why a session's connection to WhatsApp ended.
    Closing {
        /// After pairing, and now and then: it connects again.
        Restart = "restart",
        /// WhatsApp, or the phone, logged it out.
        LoggedOut = "logged-out",
        /// Logged out on request.
        LogoutRequested = "logout-requested",
        /// Another connection of the device took over.
        Replaced = "replaced",
        /// Banned for a time.
        Banned = "banned",
        /// The version of WhatsApp Web is too old.
        ClientOutdated = "client-outdated",
        /// WhatsApp refused the login for another reason.
        Refused = "refused",
        /// WhatsApp had an error.
        ServerError = "server-error",
        /// WhatsApp asks to go slower.
        Throttled = "throttled",
        /// The stream ended, in good order or not.
        Stream = "stream",
        /// What came could not be read, or the handshake failed.
        Protocol = "protocol",
        /// It could not be reached, or was silent for too long.
        Network = "network",
        /// The proxy could not be reached, or refused.
        Proxy = "proxy",
        /// Nobody scanned the code in time, or the pairing was refused.
        Pairing = "pairing",
        /// Stopped by us: by a user, or with the worker.
        Stopped = "stopped",
        /// None of these.
        Other = "other",
    }
}

named! {
    /// What a question to WhatsApp came to.
    Answered {
        /// The number is on WhatsApp.
        Found = "found",
        /// It is not.
        Missing = "missing",
        /// No answer.
        Failed = "failed",
    }
}

named! {
    /// Why a device was left out.
    DeviceRefusal {
        /// It has no proof that it belongs to its account.
        NoProof = "no_proof",
        /// The proof is wrong.
        BadProof = "bad_proof",
        /// It belongs to another account.
        OtherAccount = "other_account",
        /// Whose it is, is not known.
        UnknownAccount = "unknown_account",
        /// Its keys are not signed.
        BadKeys = "bad_keys",
        /// None of these.
        Other = "other",
    }
}

named! {
    /// What a peer did that no app does.
    Misbehaviour {
        /// A ciphertext with a wrong MAC.
        WrongMac = "wrong_mac",
        /// A ciphertext that can't be read.
        Unreadable = "unreadable",
        /// A message that was shown before.
        Repeated = "repeated",
        /// A plaintext that is no message.
        Rubbish = "rubbish",
        /// Bytes that are no stanza.
        NoStanza = "no_stanza",
        /// A stanza that lacks what it must have.
        Malformed = "malformed",
        /// A deletion of what is another's.
        ForgedDeletion = "forged_deletion",
        /// An edit of what is another's.
        ForgedEdit = "forged_edit",
        /// Says to be our phone, and is not.
        NotOurPhone = "not_our_phone",
        /// None of these.
        Other = "other",
    }
}

named! {
    /// A collection of the app state.
    Collection {
        /// Names of the account.
        CriticalBlock = "critical_block",
        /// Contacts.
        CriticalUnblockLow = "critical_unblock_low",
        /// Chats: archived, pinned, muted.
        RegularLow = "regular_low",
        /// Stars, deletions.
        RegularHigh = "regular_high",
        /// Settings.
        Regular = "regular",
        /// None of these.
        Other = "other",
    }
}

named! {
    /// What a session gave up, or left to the next login, since it had no room for it or could not read it.
    Dropped {
        /// A piece of the past that could not be fetched in all its tries, or that too many others came after.
        HistoryPiece = "history_piece",
        /// A deletion in a group that waited to be judged with too many others.
        GroupDeletion = "group_deletion",
        /// A device's request for a message it can't read; WhatsApp tells it again at the next login.
        RetryRequest = "retry_request",
        /// A message that our phone was to be asked for; WhatsApp brings it again at the next login.
        UnreadMessage = "unread_message",
        /// A record of our own that can't be read.
        Record = "record",
        /// None of these.
        Other = "other",
    }
}

named! {
    /// What reading the page that names the current version came to.
    PageReading {
        /// A newer version.
        Newer = "newer",
        /// The same version.
        Same = "same",
        /// No answer in time.
        TimedOut = "timed_out",
        /// No connection.
        Unreachable = "unreachable",
        /// The answer broke off.
        Lost = "lost",
        /// Another status than 200.
        Status = "status",
        /// More than a page should have.
        TooLarge = "too_large",
        /// No version in it.
        Unreadable = "unreadable",
        /// An older version than the present one.
        Older = "older",
        /// A version that can't be there yet.
        TooNew = "too_new",
        /// None of these.
        Other = "other",
    }
}

named! {
    /// The method of a request. A client may invent methods.
    Method {
        /// GET.
        Get = "GET",
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// PATCH.
        Patch = "PATCH",
        /// DELETE.
        Delete = "DELETE",
        /// OPTIONS.
        Options = "OPTIONS",
        /// Another.
        Other = "other",
    }
}

named! {
    /// The class of an answer's status.
    StatusClass {
        /// 2xx.
        Success = "2xx",
        /// 3xx.
        Redirection = "3xx",
        /// 4xx.
        ClientError = "4xx",
        /// 5xx.
        ServerError = "5xx",
        /// Another.
        Other = "other",
    }
}

named! {
    /// Which attempt at a webhook it was.
    AttemptNumber {
        /// The first.
        First = "first",
        /// A later one.
        Retry = "retry",
    }
}

named! {
    /// What an attempt at a webhook came to.
    AttemptOutcome {
        /// The endpoint took the event.
        Delivered = "delivered",
        /// It failed.
        Failed = "failed",
        /// The endpoint answered 410: its webhook is disabled.
        Gone = "gone",
    }
}

named! {
    /// Why a webhook was disabled by itself.
    DisabledFor {
        /// Its endpoint answered 410.
        Gone = "gone",
        /// Too many deliveries wait for it.
        TooMany = "too_many",
    }
}

named! {
    /// Why a socket.io client was let go.
    SocketDrop {
        /// It takes its events too slowly.
        Slow = "slow",
        /// There is no room for one more.
        Full = "full",
    }
}

named! {
    /// Why events could not be published.
    RelayFailure {
        /// A queue is full.
        Refused = "refused",
        /// The broker is away, or did not confirm in time.
        Broker = "broker",
        /// The database is away.
        Database = "database",
        /// The lease was over.
        Lease = "lease",
    }
}

named! {
    /// Why a session's write was not committed.
    CommitFailure {
        /// The lease's epoch is not the present one: another worker has the shard.
        Fenced = "fenced",
        /// The database is away.
        Unavailable = "unavailable",
        /// The database refused the write.
        Refused = "refused",
    }
}

named! {
    /// How a transaction ended.
    TransactionEnd {
        /// Committed.
        Committed = "committed",
        /// Rolled back on purpose.
        RolledBack = "rolled_back",
        /// Given up: it failed, or its task ended.
        Dropped = "dropped",
    }
}

named! {
    /// Why spans did not come to their receiver.
    SpanDrop {
        /// Too many waited.
        Full = "full",
        /// The receiver can't be reached.
        Away = "away",
        /// It refused them.
        Refused = "refused",
    }
}

named! {
    /// How a lease was lost.
    LeaseEnd {
        /// It was not renewed in time.
        Expired = "expired",
        /// Another worker took the shard.
        Taken = "taken",
    }
}

named! {
    /// Why a session is started again by its worker.
    StartedAgain {
        /// Its actor failed.
        Lost = "lost",
        /// Its actor panicked.
        Panicked = "panicked",
    }
}

named! {
    /// A queue of dead letters.
    DeadLetterQueue {
        /// What was no job.
        Jobs = "jobs",
        /// Events that webhook workers could not handle.
        Webhooks = "webhooks",
    }
}

named! {
    /// A role of a process.
    Role {
        /// `fanfare-api serve`.
        Api = "api",
        /// `fanfare-worker session`.
        Session = "session",
        /// `fanfare-worker webhook`.
        Webhook = "webhook",
    }
}

impl Role {
    /// The name of the role's scrape targets (their label `job`), and of what its spans are of.
    pub const fn job(self) -> &'static str {
        match self {
            Self::Api => "fanfare-api",
            Self::Session => "fanfare-session",
            Self::Webhook => "fanfare-webhook",
        }
    }
}

optional! {
    /// The kind of a job, or `none` of what is no job.
    AnyJob(JobKind) as "kind";
    /// Why a queue stands still, or `none` of one that does not.
    AnyReason(Reason) as "reason";
}

bounded! {
    /// A shard.
    Shard(ShardId) as "shard", "the numbers of the shards, `SHARDS` of them", |shard| shard.get().to_string().into();
    /// The name of a transaction.
    Transaction(&'static str) as "name", "the transactions of the code", |name| SharedString::const_str(name);
    /// A route of the API.
    Route(String) as "route", "the routes of the API, and `unmatched`", |route| SharedString::from_owned(route.clone());
    /// The code of a problem that the API answers with.
    ProblemCode(&'static str) as "code", "the codes of [VOCABULARY.md](VOCABULARY.md#codes-of-what-is-refused), all of them", |code| SharedString::const_str(code);
    /// A version of Fanfare.
    Version(&'static str) as "version", "the version of the build", |version| SharedString::const_str(version);
}
