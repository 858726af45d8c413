//! A database, a broker prefix, a simulator and session workers of one test.

use std::time::Duration;

use serde_json::Value;
use shared::broker::{Outgoing, Publisher, QueueName, Rpc};
use shared::clock::Clock;
use shared::content::Text;
use shared::id::{JobId, QueueId, Token, WorkerId};
use shared::job::{Answer, Delay, Job, PaceJob, QueueCommand, SendJob, SendLimits};
use shared::lifecycle::Lifecycle;
use shared::process::Process;
use shared::random::Randomness;
use shared::recipient::Number;
use shared::store::sessions::{self, SessionRecord};
use shared::telemetry::{Health, Tracer};
use shared::testing::{TestBroker, TestDatabase, job_id, token};
use simulator::fault::{Fault, Kind, Match, On};
use simulator::population::Manners;
use simulator::{Handle, Options, Simulator};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use worker::lease::Timing;
use worker::session::Settings;
use worker::session::attempts::Attempts;
use worker::session::look_up::LookUpPace;
use worker::session::pacer::Pace;
use worker::session::rate::RateLimit;
use worker::shard;

/// Digits of a number in the plan of the country code 1.
const NUMBER_DIGITS: usize = 11;
/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct Stage {
    pub(crate) database: TestDatabase,
    pub(crate) broker: TestBroker,
    pub(crate) simulator: Handle,
    publisher: Publisher,
    rpc: Rpc,
    events: watch::Receiver<Vec<Value>>,
}

/// A session worker in this process.
pub(crate) struct Worker {
    pub(crate) life: Lifecycle,
    pub(crate) health: Health,
    task: JoinHandle<()>,
}

impl Worker {
    /// Ends it as SIGKILL would: nothing is handed over.
    pub(crate) fn kill(self) {
        self.task.abort();
    }

    /// Ends it as SIGTERM would.
    pub(crate) async fn stop(self) {
        self.life.stop();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("the worker ends")
            .expect("without a panic");
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let (database, broker) = (TestDatabase::new().await, TestBroker::new(2).await);
        let simulator = Simulator::start(Options::default())
            .await
            .expect("the simulator starts");
        let (tell, events) = watch::channel(Vec::new());
        let mut consumer = broker.broker().consume(&QueueName::Webhooks, 500);
        tokio::spawn(async move {
            while let Some(delivery) = consumer.next().await {
                let event: Value = serde_json::from_slice(&delivery.body).expect("an event is JSON");
                tell.send_modify(|events| events.push(event));
                drop(delivery.ack().await);
            }
        });
        let (publisher, rpc) = (broker.broker().publisher(), broker.broker().rpc());
        Self {
            database,
            broker,
            simulator,
            publisher,
            rpc,
            events,
        }
    }

    /// Starts a session worker whose default gap is none.
    pub(crate) fn worker(&self, name: &str) -> Worker {
        self.worker_with(name, |_| {})
    }

    /// Starts a session worker that connects in another way.
    pub(crate) fn worker_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut whatsapp::connection::Config),
    ) -> Worker {
        self.worker_of_version(name, worker::version::Settings::default(), change)
    }

    /// Starts a session worker that looks numbers up at this pace.
    pub(crate) fn worker_paced(&self, name: &str, gap: Duration, per_day: u32) -> Worker {
        self.worker_set(name, |settings| settings.look_ups = LookUpPace { gap, per_day })
    }

    /// Starts a session worker that learns its version in this way.
    pub(crate) fn worker_of_version(
        &self,
        name: &str,
        version: worker::version::Settings,
        change: impl FnOnce(&mut whatsapp::connection::Config),
    ) -> Worker {
        self.worker_set(name, |settings| {
            settings.version = version;
            change(&mut settings.whatsapp);
        })
    }

    /// Starts a session worker of a deployment with these limits.
    pub(crate) fn worker_within(&self, name: &str, limits: SendLimits) -> Worker {
        self.worker_set(name, |settings| settings.limits = limits)
    }

    /// Starts a session worker that is set in another way.
    pub(crate) fn worker_set(&self, name: &str, change: impl FnOnce(&mut Settings)) -> Worker {
        let life = Lifecycle::new();
        let mut whatsapp = whatsapp::connection::Config::whatsapp(whatsapp::connection::ClientVersion::KNOWN);
        whatsapp.url = self.simulator.ws_url.clone();
        whatsapp.root_key = whatsapp::signal::curve::PublicKey::new(self.simulator.root_public_key);
        whatsapp.media_url = self.simulator.control_url.clone();
        whatsapp.timing.backoff_base = Duration::from_millis(50);
        whatsapp.timing.backoff_cap = Duration::from_millis(500);
        whatsapp.tells_renumbered = true;
        let mut settings = Settings {
            shards: 2,
            pace: Pace::default(),
            limits: SendLimits::default(),
            cap: 10_000.try_into().expect("not zero"),
            attempts: Attempts {
                most: 5,
                pause: Duration::from_millis(100),
            },
            look_ups: LookUpPace {
                gap: Duration::ZERO,
                per_day: 1_000_000,
            },
            rate_limit: RateLimit {
                first: Duration::from_millis(200),
                longest: Duration::from_secs(2),
            },
            whatsapp,
            keep_bytes: Some(65_536),
            media: worker::media::Settings {
                reach: shared::egress::Reach::Anywhere,
                timeout: Duration::from_secs(20),
                ..worker::media::Settings::default()
            },
            version: worker::version::Settings::default(),
        };
        change(&mut settings);
        let timing = Timing {
            ttl: Duration::from_secs(3),
            tick: Duration::from_millis(200),
            margin: Duration::from_secs(1),
        };
        let (store, broker) = (self.database.another_store(), self.broker.broker().clone());
        let process = Process {
            store,
            broker,
            clock: Clock::system(),
            randomness: Randomness::system(),
            life: life.clone(),
            health: Health::new(Clock::system()),
            tracer: Tracer::default(),
        };
        let health = process.health.clone();
        let worker = WorkerId::generate(name, &mut process.randomness.fork()).expect("a name");
        let task = tokio::spawn(async move {
            Box::pin(shard::run(process, settings, worker, timing))
                .await
                .expect("the role starts");
        });
        Worker { life, health, task }
    }

    /// A session that is created as the API does it.
    pub(crate) async fn session(&self) -> Token {
        let token = token();
        let session = sessions::create(self.database.store(), &token, 2)
            .await
            .expect("a session")
            .into_record();
        self.broker
            .broker()
            .bind_token(&token, session.shard)
            .await
            .expect("a binding");
        self.publish(&token, &job_id(), &Job::SessionStart).await;
        token
    }

    /// A session that is paired with this phone and open.
    pub(crate) async fn paired(&self, phone: &str) -> Token {
        let number: simulator::number::Number = phone.parse().expect("a number");
        self.simulator
            .create_phone(number, "Owner")
            .await
            .expect("a phone");
        let token = self.session().await;
        self.scan(&token, number).await;
        token
    }

    /// Scans what this session shows until it is open. A second code comes when another worker
    /// takes the session over before the first was used: a person would scan that one.
    async fn scan(&self, token: &Token, number: simulator::number::Number) {
        let mut scanned: Vec<String> = Vec::new();
        loop {
            let is_news = |event: &Value| is_open(event) || new_code(event, &scanned).is_some();
            let news = self
                .any_event(token, "code, nor an open connection", is_news)
                .await;
            let Some(code) = new_code(&news, &scanned).map(str::to_owned) else {
                return;
            };
            // One that is refused went with its connection: the next one comes.
            self.simulator.scan(number, &code).await.ok();
            scanned.push(code);
        }
    }

    /// Contacts whose numbers are this prefix, as many zeros as make them whole, and an index.
    pub(crate) async fn contacts(&self, prefix: &str, count: u64) -> Vec<String> {
        self.contacts_of(prefix, count, Manners::default()).await
    }

    /// Contacts that show messages and send no receipts: nothing but the server's answer tells of them.
    pub(crate) async fn silent_contacts(&self, prefix: &str, count: u64) -> Vec<String> {
        let manners = Manners {
            deliver_after: None,
            ..Manners::default()
        };
        self.contacts_of(prefix, count, manners).await
    }

    /// Contacts with these manners, whose whole numbers begin with `prefix`.
    pub(crate) async fn contacts_of(&self, prefix: &str, count: u64, manners: Manners) -> Vec<String> {
        let room = NUMBER_DIGITS.saturating_sub((count - 1).to_string().len());
        let prefix = &format!("{prefix:0<room$}");
        let run = self.simulator.create_contacts(prefix, count, manners).await;
        run.expect("contacts");
        let digits = (count - 1).to_string().len();
        (0..count)
            .map(|index| format!("{prefix}{index:0digits$}"))
            .collect()
    }

    pub(crate) async fn publish(&self, token: &Token, id: &JobId, job: &Job) {
        let message = Outgoing::job(self.broker.broker().topology(), token, id, job);
        self.publisher
            .publish(message)
            .await
            .expect("the job is published");
    }

    pub(crate) async fn publish_raw(&self, token: &str, kind: &str, id: &str, body: &str) {
        let message = Outgoing {
            exchange: self.broker.broker().topology().jobs(),
            key: token.to_owned(),
            kind: Some(kind.to_owned()),
            message_id: Some(id.to_owned()),
            mandatory: true,
            body: body.to_owned().into(),
            ..Outgoing::default()
        };
        self.publisher
            .publish(message)
            .await
            .expect("the message is published");
    }

    /// Publishes a send; answers its queue.
    pub(crate) async fn send(&self, token: &Token, job: SendJob) -> QueueId {
        let id = job_id();
        let queue = job.queue_id(token, &id);
        self.publish(token, &id, &Job::Send(Box::new(job))).await;
        queue
    }

    /// Publishes a command and waits for its answer.
    pub(crate) async fn call(&self, token: &Token, job: Job) -> Answer {
        self.rpc
            .call(token, &job_id(), &job, PATIENCE)
            .await
            .expect("an answer")
    }

    /// Whether the recipient at this place of a queue is being sent to.
    pub(crate) async fn is_sending(&self, queue: QueueId, seq: u32) -> bool {
        let sql = format!("SELECT state FROM recipient WHERE queue_id = '{queue}' AND seq = {seq}");
        self.database.query(&sql).await == [Some("1".to_owned())]
    }

    /// From now on each write of an event fails, and its session is lost.
    pub(crate) async fn fail_events(&self) {
        let steps = [
            "CREATE SEQUENCE failures",
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM nextval('failures'); RAISE EXCEPTION 'disk full'; END $$",
            "CREATE TRIGGER fail BEFORE INSERT ON outbox EXECUTE FUNCTION fail()",
        ];
        for step in steps {
            self.database.query(step).await;
        }
    }

    /// Events can be written again.
    pub(crate) async fn mend_events(&self) {
        self.database.query("DROP TRIGGER fail ON outbox").await;
    }

    /// From now on statements like `INSERT ON outbox` hang, until [`Stage::let_go`].
    pub(crate) async fn hold(&self, statements: &str) {
        // Of the statement: a trigger of the row would lock it against all other writes.
        let trigger =
            format!("CREATE TRIGGER hold BEFORE {statements} FOR EACH STATEMENT EXECUTE FUNCTION hold()");
        let steps = [
            "CREATE TABLE go ()",
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN
                WHILE NOT EXISTS (SELECT 1 FROM go) LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN NULL;
             END $$",
            &trigger,
        ];
        for step in steps {
            self.database.query(step).await;
        }
    }

    /// Waits until a statement hangs.
    pub(crate) async fn until_held(&self) {
        let sql =
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        while self.database.query(sql).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What was held goes through.
    pub(crate) async fn let_go(&self) {
        self.database.query("INSERT INTO go DEFAULT VALUES").await;
    }

    /// How many writes of events failed.
    pub(crate) async fn failures(&self) -> u32 {
        let last = self.database.query("SELECT last_value FROM failures").await;
        let last = last[0].as_deref().expect("a number");
        last.parse().expect("a number")
    }

    pub(crate) async fn record(&self, token: &Token) -> Option<SessionRecord> {
        sessions::find(self.database.store(), token)
            .await
            .expect("the database answers")
    }

    /// Waits for an event of a session.
    pub(crate) async fn event(&self, token: &Token, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.any_event(token, name, |event| event["event"] == name && fits(event))
            .await
    }

    /// Waits for an event of a session, whatever its name; `what` is what is missing if none comes.
    async fn any_event(&self, token: &Token, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let wanted = |event: &&Value| event["instance"]["name"] == token.as_str() && fits(event);
        let mut events = self.events.clone();
        let found = async {
            let seen = events
                .wait_for(|events| events.iter().any(|event| wanted(&event)))
                .await
                .expect("events");
            seen.iter().find(wanted).cloned().expect("just seen")
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(event) => event,
            Err(_) => panic!("no {what}; seen: {:#?}", self.names(token)),
        }
    }

    /// The events of a session so far.
    pub(crate) fn seen(&self, token: &Token) -> Vec<Value> {
        let events = self.events.borrow();
        events
            .iter()
            .filter(|event| event["instance"]["name"] == token.as_str())
            .cloned()
            .collect()
    }

    /// The events of a queue so far.
    pub(crate) fn of_queue(&self, token: &Token, queue: QueueId) -> Vec<Value> {
        let queue = queue.to_string();
        let of_queue = |event: &Value| {
            event["data"]["queue"]["queueId"] == queue.as_str() || event["data"]["queueId"] == queue.as_str()
        };
        self.seen(token).into_iter().filter(of_queue).collect()
    }

    fn names(&self, token: &Token) -> Vec<String> {
        self.seen(token)
            .iter()
            .map(|event| event["event"].to_string())
            .collect()
    }

    /// Waits until the audit satisfies a condition.
    pub(crate) async fn audit(
        &self,
        fits: impl Fn(&simulator::audit::Report) -> bool,
    ) -> simulator::audit::Report {
        let start = tokio::time::Instant::now();
        loop {
            let report = self.simulator.audit().await.expect("an audit");
            if fits(&report) {
                return report;
            }
            assert!(start.elapsed() < PATIENCE, "the audit stays {report:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A text to numbers, with a gap in seconds.
pub(crate) fn text(numbers: &[String], delay: Option<(f64, f64)>) -> SendJob {
    let numbers = numbers
        .iter()
        .map(|number| Number::new(number).expect("a number"));
    SendJob {
        delay: delay.map(|(min, max)| Delay::new(min, max).expect("a delay")),
        ..SendJob::new(numbers, Text::new("hello"))
    }
}

/// A fault of messages, for all of them.
pub(crate) fn fault(kind: Kind) -> Fault {
    Fault {
        kind,
        matching: Match::default(),
        probability: None,
        count: None,
        delay_ms: None,
        ack: false,
        code: None,
        reason: None,
        copies: None,
        cut: None,
        on: On::Message,
        keys: false,
        says: None,
    }
}

pub(crate) fn pause(queue_id: QueueId) -> Job {
    Job::Pause(QueueCommand { queue_id })
}

pub(crate) fn resume(queue_id: QueueId) -> Job {
    Job::Resume(QueueCommand { queue_id })
}

pub(crate) fn adopt(queue_id: QueueId) -> Job {
    Job::Adopt(QueueCommand { queue_id })
}

pub(crate) fn pace(queue_id: QueueId, delay: (f64, f64)) -> Job {
    let delay = Delay::new(delay.0, delay.1).expect("a delay");
    Job::Pace(PaceJob { queue_id, delay })
}

pub(crate) fn delete(queue_id: QueueId) -> Job {
    Job::Delete(QueueCommand { queue_id })
}

/// The names of events, in order.
pub(crate) fn names(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect()
}

fn is_open(event: &Value) -> bool {
    event["event"] == "connection.update" && event["data"]["state"] == "open"
}

/// The code of a `qrcode.updated` that is not among these.
fn new_code<'a>(event: &'a Value, scanned: &[String]) -> Option<&'a str> {
    let code = event["data"]["qrcode"]["code"].as_str()?;
    (!scanned.iter().any(|known| known == code)).then_some(code)
}
