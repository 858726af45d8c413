//! `doctor`: looks at a live set-up and says, line by line, what is well, what is wrong and what to do.
//!
//! Changes nothing but that missing exchanges and queues are made. Every check has a time-out of its own, so that it ends whatever hangs.

mod report;
mod version;

use std::time::Duration;

use rand::{Rng, RngExt};
use reqwest::Url;
use shared::broker::{Broker, Outgoing, PublishError, QueueName};
use shared::clock::Clock;
use shared::config::{self, ConfigError, Env};
use shared::egress::Reach;
use shared::random::Randomness;
use shared::store::keys::{self, KeyKind};
use shared::store::{SCHEMA_VERSION, Store, StoreError, leases, sessions, webhooks};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use self::report::{Finding, Report};
use self::version::version;
use crate::settings::Settings;

/// Longest that one check takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest that a broker that takes messages needs for one.
const ALARM_PATIENCE: Duration = Duration::from_secs(5);

/// By how much our clock and the database's may differ. Leases allow for two seconds.
const SKEW_MAX: Duration = Duration::from_secs(1);

/// Where SOCKS proxies listen whose address names no port.
const SOCKS_PORT: u16 = 1080;

/// Where WhatsApp listens when `WHATSAPP_URL` says nothing else.
const WHATSAPP_URL: &str = "wss://web.whatsapp.com/ws/chat";

/// Makes all checks with the settings of `env`.
pub async fn examine(env: impl Fn() -> Env) -> Report {
    let mut report = Report::default();
    settings(&mut report, &env);
    let common = config::Common::read(&mut env());
    let sealer = config::read_sealer(&mut env());
    let has_key = sealer.is_some();
    let mut wanted = match env().optional::<String>("WEBHOOK") {
        Some(_) => Webhooks::Wanted,
        None => Webhooks::NotWanted,
    };
    match Store::new(&common.database, sealer, Clock::system()) {
        Ok(store) => {
            if database(&mut report, &store).await {
                report.add("workers", in_time(workers(&store, &common.amqp)).await);
                let some = timeout(PATIENCE, webhooks::list(&store, None, 1)).await;
                if matches!(some, Ok(Ok(some)) if !some.is_empty()) {
                    wanted = Webhooks::Wanted;
                }
                let fixed: Option<String> = env().optional("WHATSAPP_VERSION");
                report.add("version", in_time(version(&store, fixed)).await);
                if has_key {
                    report.add("key", in_time(key(&store)).await);
                }
            }
        }
        Err(error) => report.add("database", Finding::Bad(format!("{error}; correct DATABASE_URL"))),
    }
    broker(&mut report, &common.amqp, wanted).await;
    let whatsapp = env()
        .optional::<String>("WHATSAPP_URL")
        .unwrap_or_else(|| WHATSAPP_URL.to_owned());
    match env().optional::<String>("WHATSAPP_PROXY") {
        // What can be reached from here by itself tells nothing then.
        Some(proxy) => report.add("proxy", way_out(&proxy).await),
        None => report.add("whatsapp", reachable(&whatsapp).await),
    }
    if let Some(webhook) = env().optional::<String>("WEBHOOK") {
        report.add("webhook", global_webhook(&webhook).await);
    }
    report
}

fn settings(report: &mut Report, env: &impl Fn() -> Env) {
    let mut rest = env();
    let _ = config::read_delay(&mut rest);
    let found = [Settings::read(env()).err(), rest.finish().err()];
    let problems: Vec<_> = found
        .into_iter()
        .flatten()
        .flat_map(|ConfigError(found)| found)
        .collect();
    if problems.is_empty() {
        let text =
            "those of the API, MIN and MAX can be read; workers name mistakes in theirs when they start";
        report.add("settings", Finding::Ok(text.to_owned()));
    }
    for problem in problems {
        report.add("settings", Finding::Bad(problem));
    }
}

/// What one check finds, if it does not hang.
async fn in_time(check: impl Future<Output = Finding>) -> Finding {
    timeout(PATIENCE, check).await.unwrap_or_else(|_| {
        Finding::Bad(format!(
            "no answer in {} s; the service is overloaded, or something holds it up",
            PATIENCE.as_secs()
        ))
    })
}

/// Looks at the database; says whether its tables can be asked for more.
async fn database(report: &mut Report, store: &Store) -> bool {
    match timeout(PATIENCE, store.ping()).await {
        Ok(Ok(())) => report.add("database", Finding::Ok("reachable".to_owned())),
        Ok(Err(error)) => {
            let advice = "is PostgreSQL running, and are address, user and password in DATABASE_URL right?";
            report.add("database", Finding::Bad(format!("{error}; {advice}")));
            return false;
        }
        Err(_) => {
            let text = "no answer in 10 s; does a firewall stand before the address in DATABASE_URL?";
            report.add("database", Finding::Bad(text.to_owned()));
            return false;
        }
    }
    let schema = in_time(schema(store)).await;
    let is_ours = matches!(schema, Finding::Ok(_));
    report.add("schema", schema);
    report.add("clock", in_time(skew(store, Clock::system())).await);
    is_ours
}

async fn schema(store: &Store) -> Finding {
    match store.check_schema().await {
        Ok(()) => Finding::Ok(format!("version {SCHEMA_VERSION}")),
        Err(StoreError::Schema { found, needed }) if found < needed => Finding::Bad(format!(
            "version {found}, this program needs {needed}; run fanfare-api migrate"
        )),
        Err(error @ StoreError::Schema { .. }) => {
            Finding::Bad(format!("{error}; run the release that migrated the database"))
        }
        Err(error) => Finding::Bad(error.to_string()),
    }
}

/// Whether somebody works: jobs are taken all the same, and wait.
async fn workers(store: &Store, amqp: &config::Amqp) -> Finding {
    let (mut held, all) = (0, amqp.shards);
    for shard in amqp.shard_ids() {
        match leases::is_held(store, shard).await {
            Ok(true) => held += 1,
            Ok(false) => {}
            Err(error) => return Finding::Bad(error.to_string()),
        }
    }
    if held == all {
        Finding::Ok(format!("a session worker holds each of the {all} shards"))
    } else if held == 0 {
        Finding::Bad("no session worker runs, so jobs wait; start fanfare-worker session".to_owned())
    } else {
        Finding::Warn(format!(
            "session workers hold {held} of {all} shards; the others are being taken over, or SHARDS is not the same \
             for all processes"
        ))
    }
}

/// Whether the key opens what others sealed, tried on the credentials of one session.
async fn key(store: &Store) -> Finding {
    let sessions = match sessions::list(store, None, sessions::PAGE_MAX).await {
        Ok(sessions) => sessions,
        Err(error) => return Finding::Bad(error.to_string()),
    };
    let Some(session) = sessions.iter().find(|session| session.paired_at.is_some()) else {
        return Finding::Ok("not tried: no session is paired yet".to_owned());
    };
    match keys::load(store, session.id, &[(KeyKind::DEVICE, Vec::new())]).await {
        Ok(_) => Finding::Ok("opens the credentials in the database".to_owned()),
        Err(StoreError::Seal(_)) => Finding::Bad(
            "does not open the credentials in the database; put the one that sealed them into KEY_ENCRYPTION_KEY, behind \
             the new one if there is one"
                .to_owned(),
        ),
        Err(error) => Finding::Bad(error.to_string()),
    }
}

/// Compares our clock with the database's, allowing for the time that the question took.
async fn skew(store: &Store, ours: Clock) -> Finding {
    let asked = ours.now();
    let theirs = match store.clock().await {
        Ok(time) => time,
        Err(error) => return Finding::Bad(format!("the database does not tell the time: {error}")),
    };
    let took = ours.now() - asked;
    let difference = (ours.wall() - theirs).unsigned_abs();
    let skew = difference.saturating_sub(took);
    let millis = skew.as_millis();
    if skew > SKEW_MAX {
        return Finding::Bad(format!(
            "{millis} ms apart from the database's; run an NTP client on both machines"
        ));
    }
    Finding::Ok(format!(
        "at most {} ms apart from the database's",
        (millis + took.as_millis()).max(1)
    ))
}

/// Whether anybody wants webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Webhooks {
    Wanted,
    NotWanted,
}

/// Whether somebody delivers webhooks, and removes what is kept for a time only.
async fn webhook_workers(broker: &Broker, wanted: Webhooks) -> Finding {
    let advice = "start fanfare-worker webhook";
    match (broker.consumers(&QueueName::Webhooks).await, wanted) {
        (Err(error), _) => Finding::Bad(error.to_string()),
        (Ok(0), Webhooks::Wanted) => Finding::Bad(format!("none runs, so webhooks wait; {advice}")),
        (Ok(0), Webhooks::NotWanted) => Finding::Warn(format!(
            "none runs, so nothing that is kept for a time is removed; {advice}"
        )),
        (Ok(1), _) => Finding::Ok("one runs".to_owned()),
        (Ok(running), _) => Finding::Ok(format!("{running} run")),
    }
}

async fn broker(report: &mut Report, amqp: &config::Amqp, wanted: Webhooks) {
    let randomness = Randomness::system();
    let connecting = Broker::connect(amqp, Clock::system(), &randomness);
    let broker = match timeout(PATIENCE, connecting).await {
        Ok(Ok(broker)) => broker,
        Ok(Err(error)) => {
            return report.add("broker", Finding::Bad(format!("{error}; {}", error.advice())));
        }
        Err(_) => {
            let text = "no answer in 10 s; does a firewall stand before the address in AMQP_URL?";
            return report.add("broker", Finding::Bad(text.to_owned()));
        }
    };
    report.add(
        "broker",
        Finding::Ok("reachable; exchanges and queues are as they should be".to_owned()),
    );
    report.add(
        "alarm",
        in_time(alarm(&broker, &mut Randomness::system().fork())).await,
    );
    report.add("webhook workers", in_time(webhook_workers(&broker, wanted)).await);
    for (what, queue, advice) in [
        (
            "dead jobs",
            QueueName::DeadJobs,
            "look at their header x-reason, or x-death where the broker gave up, then move or purge them",
        ),
        (
            "dead events",
            QueueName::DeadWebhooks,
            "look at their x-reason header, then move or purge them",
        ),
        (
            "unroutable",
            QueueName::Unroutable,
            "is a session worker running? It answers jobs for unknown tokens",
        ),
        ("events", QueueName::Webhooks, "is a webhook worker running?"),
    ] {
        report.add(what, in_time(depth(&broker, &queue, advice)).await);
    }
    // It has been told all that there is; a broker that hangs is not waited for.
    drop(timeout(PATIENCE, broker.close()).await);
}

async fn depth(broker: &Broker, queue: &QueueName, advice: &str) -> Finding {
    match broker.depth(queue).await {
        Ok(0) => Finding::Ok("nothing waits".to_owned()),
        Ok(waiting) => Finding::Warn(format!(
            "{waiting} wait in {}; {advice}",
            broker.topology().queue(queue)
        )),
        Err(error) => Finding::Bad(error.to_string()),
    }
}

/// A broker in a memory or disk alarm takes connections, the first message of each, and no more. A message for nobody tells:
/// it comes back.
async fn alarm(broker: &Broker, rng: &mut impl Rng) -> Finding {
    let publisher = broker.publisher();
    for _ in 0..2 {
        let message = Outgoing {
            key: format!("doctor-{:032x}", rng.random::<u128>()),
            mandatory: true,
            transient: true,
            ..Outgoing::default()
        };
        let told = match timeout(ALARM_PATIENCE, publisher.publish(message)).await {
            Ok(Err(PublishError::Unroutable)) => continue,
            Ok(Ok(())) => return Finding::Warn("a message for nobody was taken by somebody".to_owned()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer in {} s", ALARM_PATIENCE.as_secs()),
        };
        let advice = "RabbitMQ is short of memory or disk (rabbitmqctl status names the alarm): free some";
        return Finding::Bad(format!("no message is taken ({told}); {advice}"));
    }
    Finding::Ok("none: messages are taken".to_owned())
}

/// Whether the proxy is there. Its address may hold a password and is not repeated.
async fn way_out(url: &str) -> Finding {
    let Ok(url) = Url::parse(url) else {
        return Finding::Bad("WHATSAPP_PROXY is not an address of a proxy; correct it".to_owned());
    };
    let (Some(host), port) = (url.host_str(), url.port_or_known_default().unwrap_or(SOCKS_PORT)) else {
        return Finding::Bad("WHATSAPP_PROXY has no host".to_owned());
    };
    let host = host.trim_matches(['[', ']']);
    match timeout(PATIENCE, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Finding::Ok(format!("{host}:{port} takes connections")),
        Ok(Err(error)) => Finding::Bad(format!(
            "{host}:{port}: {error}; is WHATSAPP_PROXY right, and does it run?"
        )),
        Err(_) => Finding::Bad(format!(
            "{host}:{port}: no answer in 10 s; is WHATSAPP_PROXY right?"
        )),
    }
}

async fn reachable(url: &str) -> Finding {
    let Some((host, port)) = endpoint(url) else {
        return Finding::Bad(
            "WHATSAPP_URL is not a ws:// or wss:// address; correct it, or leave it empty".to_owned(),
        );
    };
    let advice = "check the address, DNS and outgoing connections of this machine";
    match timeout(PATIENCE, TcpStream::connect((host.as_str(), port))).await {
        Ok(Ok(_)) => Finding::Ok(format!("{host}:{port} takes connections")),
        Ok(Err(error)) => Finding::Bad(format!("{host}:{port}: {error}; {advice}")),
        Err(_) => Finding::Bad(format!("{host}:{port}: no answer in 10 s; {advice}")),
    }
}

async fn global_webhook(url: &str) -> Finding {
    if let Err(error) = Reach::Anywhere.check(url) {
        return Finding::Bad(format!("WEBHOOK {error}"));
    }
    match endpoint(url) {
        Some((host, port)) => match timeout(PATIENCE, TcpStream::connect((host.as_str(), port))).await {
            Ok(Ok(_)) => Finding::Ok(format!("{host}:{port} takes connections")),
            _ => Finding::Warn(format!(
                "{host}:{port} takes no connections; messages are kept and tried again"
            )),
        },
        None => Finding::Bad("WEBHOOK has no host".to_owned()),
    }
}

fn endpoint(url: &str) -> Option<(String, u16)> {
    let url = Url::parse(url).ok()?;
    if !matches!(url.scheme(), "ws" | "wss" | "http" | "https") {
        return None;
    }
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    Some((host, url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use shared::config::Secret;
    use shared::seal::Place;
    use shared::testing::{self, TestBroker, TestDatabase};

    use super::*;

    #[tokio::test]
    async fn a_set_up_without_a_session_worker_is_bad() {
        let database = TestDatabase::new().await;
        let amqp = |shards| config::Amqp {
            url: Secret::new(""),
            prefix: String::new(),
            shards,
        };
        assert!(matches!(
            workers(database.store(), &amqp(1)).await,
            Finding::Bad(_)
        ));
        database.lease(0, "w").await;
        assert!(matches!(
            workers(database.store(), &amqp(1)).await,
            Finding::Ok(_)
        ));
        assert!(matches!(
            workers(database.store(), &amqp(2)).await,
            Finding::Warn(_)
        ));
    }

    #[tokio::test]
    async fn a_key_that_did_not_seal_the_credentials_is_bad() {
        let database = TestDatabase::new().await;
        let token = testing::token();
        let session = sessions::create(database.store(), &token, 1)
            .await
            .unwrap()
            .into_record()
            .id;
        assert!(matches!(key(database.store()).await, Finding::Ok(_)));
        let paired = "UPDATE session SET jid = '1@s.whatsapp.net', paired_at = now()";
        database.query(paired).await;
        let place = Place {
            session,
            kind: KeyKind::DEVICE.0,
            name: b"",
        };
        let other: shared::seal::Sealer = "0123456789abcdef".repeat(4).parse().unwrap();
        let ours = testing::sealer();
        for (sealer, opens) in [(&other, false), (&ours, true)] {
            let sealed = hex::encode(sealer.seal(place, b"credentials"));
            let sql = format!(
                "INSERT INTO device_key VALUES ({session}, 0, '', '\\x{sealed}')
                 ON CONFLICT (session_id, kind, name) DO UPDATE SET value = excluded.value"
            );
            database.query(&sql).await;
            let found = key(database.store()).await;
            assert_eq!(matches!(found, Finding::Ok(_)), opens, "{found:?}");
        }
    }

    #[tokio::test]
    async fn a_set_up_without_a_webhook_worker_is_told_and_bad_where_webhooks_wait_for_it() {
        let broker = TestBroker::new(1).await;
        let found = async |wanted| webhook_workers(broker.broker(), wanted).await;
        assert!(matches!(found(Webhooks::NotWanted).await, Finding::Warn(_)));
        assert!(matches!(found(Webhooks::Wanted).await, Finding::Bad(_)));
        let mut consumer = broker.broker().consume(&QueueName::Webhooks, 1);
        let consuming = tokio::spawn(async move { consumer.next().await.is_some() });
        let limit = tokio::time::Instant::now() + PATIENCE;
        while !matches!(found(Webhooks::Wanted).await, Finding::Ok(_)) {
            assert!(tokio::time::Instant::now() < limit, "the consumer is not seen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        consuming.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_is_bad() {
        let hanging = in_time(std::future::pending()).await;
        assert!(matches!(hanging, Finding::Bad(_)));
    }

    #[test]
    fn endpoints_of_urls() {
        assert_eq!(
            endpoint("wss://web.whatsapp.com/ws/chat"),
            Some(("web.whatsapp.com".to_owned(), 443))
        );
        assert_eq!(endpoint("ws://[::1]:7001/ws"), Some(("::1".to_owned(), 7001)));
        assert_eq!(endpoint("web.whatsapp.com"), None);
    }

    #[tokio::test]
    async fn an_address_that_nobody_listens_on_is_bad() {
        // Bound and dropped: nobody listens there now.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        assert!(matches!(
            reachable(&format!("ws://127.0.0.1:{port}/")).await,
            Finding::Bad(_)
        ));
        let Finding::Bad(told) = way_out(&format!("socks5h://fan:secret@127.0.0.1:{port}")).await else {
            panic!("somebody listens there")
        };
        assert!(!told.contains("secret"), "{told}");
    }
}
