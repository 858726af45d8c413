//! The version of WhatsApp Web: fetched by one worker for all, believed within bounds, taken by sessions that were refused.

use std::time::Duration;

use shared::store::client_version::{self, Known, Pace, WebVersion};
use shared::store::sessions::SessionState;
use simulator::fault::{Fault, Kind, On};
use simulator::world::{Page, VersionChange, VersionInfo};
use whatsapp::connection::{ClientVersion, Config};
use worker::version::{Fetching, Paces, Settings};

use crate::stage::{Stage, Worker, fault, text};

const PATIENCE: Duration = Duration::from_secs(40);
const HOUR: Duration = Duration::from_secs(3_600);
/// Those of the product, in the time of a test.
const PACES: Paces = Paces {
    look: Duration::from_millis(50),
    look_refused: Duration::from_millis(50),
    fetch: HOUR,
    turn: Pace {
        retry: Duration::from_millis(200),
        refused: Duration::from_millis(200),
        refusal_lasts: HOUR,
        expiring: Duration::from_millis(200),
    },
    timeout: Duration::from_millis(500),
};

fn days_on(days: u32) -> ClientVersion {
    ClientVersion::web(ClientVersion::KNOWN.tertiary + days * 65_000)
}

fn web(version: ClientVersion) -> WebVersion {
    WebVersion::new([version.primary, version.secondary, version.tertiary])
}

/// A worker that fetches from the simulator's page.
fn worker(stage: &Stage, name: &str, paces: Paces) -> Worker {
    let page = format!("{}/sw.js", stage.simulator.control_url);
    let settings = Settings {
        fixed: None,
        fetching: Fetching::From(page.parse().expect("an address")),
        paces,
    };
    stage.worker_of_version(name, settings, of_a_test)
}

fn of_a_test(config: &mut Config) {
    config.timing.update_spread = Duration::from_millis(10);
}

async fn change(stage: &Stage, change: VersionChange) -> VersionInfo {
    stage
        .simulator
        .versions(change)
        .await
        .expect("the simulator answers")
}

async fn publish(stage: &Stage, version: ClientVersion) {
    let published = Some(version);
    let page = Some(Page::Script);
    let news = VersionChange {
        published,
        page,
        ..VersionChange::default()
    };
    change(stage, news).await;
}

/// From now on earlier versions are refused, at the next login.
async fn refuse_below(stage: &Stage, version: ClientVersion) {
    let min = Some(version);
    let news = VersionChange {
        min,
        ..VersionChange::default()
    };
    change(stage, news).await;
    let cut = Fault {
        on: On::Now,
        ..fault(Kind::Cut)
    };
    stage.simulator.add_fault(cut).await.expect("a fault");
}

async fn known(stage: &Stage) -> Known {
    client_version::read(stage.database.store())
        .await
        .expect("the database answers")
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_session_is_back_when_a_newer_version_is_published() {
    let stage = Stage::new().await;
    let workers = ["w1", "w2"].map(|name| worker(&stage, name, PACES));
    let token = stage.paired("15550000061").await;
    let numbers = stage.contacts("15550061", 1).await;
    refuse_below(&stage, days_on(1)).await;
    stage
        .event(&token, "connection.update", |event| {
            event["data"]["state"] == "close" && event["data"]["statusReason"] == 405
        })
        .await;
    // Its credentials are good, it is still wanted, and what it is to send waits.
    let record = stage.record(&token).await.unwrap();
    assert!(record.wanted && !record.refused && record.paired_at.is_some());
    assert_eq!(
        (record.state, record.close_reason),
        (SessionState::Closed, Some(405))
    );
    stage.send(&token, text(&numbers, None)).await;
    until("all workers say so", async || {
        workers.iter().all(|worker| worker.health.troubles().len() == 1)
    })
    .await;
    for worker in &workers {
        let trouble = worker.health.troubles().remove(0);
        assert!(trouble.contains(&ClientVersion::KNOWN.to_string()), "{trouble}");
        // Only degraded: another process in its place would be refused too.
        assert_eq!(worker.health.not_ready().await, [""; 0]);
    }

    publish(&stage, days_on(2)).await;
    until("it is open again", async || {
        stage.record(&token).await.unwrap().state == SessionState::Open
    })
    .await;
    stage.audit(|report| report.contacts.shown_once == 1).await;
    until("nothing is wrong any more", async || {
        workers.iter().all(|worker| worker.health.troubles().is_empty())
    })
    .await;
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_that_was_refused_shows_its_qr_code_with_a_newer_version() {
    let stage = Stage::new().await;
    refuse_below(&stage, days_on(1)).await;
    let worker = worker(&stage, "w1", PACES);
    let token = stage.session().await;
    stage
        .event(&token, "connection.update", |event| {
            event["data"]["statusReason"] == 405
        })
        .await;
    assert!(stage.record(&token).await.unwrap().wanted);
    publish(&stage, days_on(1)).await;
    stage.event(&token, "qrcode.updated", |_| true).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worker_of_two_fetches() {
    let stage = Stage::new().await;
    publish(&stage, days_on(3)).await;
    let paces = Paces {
        turn: Pace {
            retry: HOUR,
            ..PACES.turn
        },
        ..PACES
    };
    let workers = ["w1", "w2"].map(|name| worker(&stage, name, paces));
    until("the page was read", async || {
        known(&stage).await.fetched_at.is_some()
    })
    .await;
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(known(&stage).await.release.unwrap().version, web(days_on(3)));
    assert_eq!(change(&stage, VersionChange::default()).await.asked, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_makes_no_sense_changes_nothing() {
    let stage = Stage::new().await;
    publish(&stage, days_on(5)).await;
    let paces = Paces {
        fetch: Duration::from_millis(200),
        ..PACES
    };
    let worker = worker(&stage, "w1", paces);
    let holds = async |version| known(&stage).await.release.map(|known| known.version) == Some(web(version));
    until("the version is there", async || holds(days_on(5)).await).await;
    let bad = [
        (Page::Rubbish, days_on(6), "names no version"),
        (Page::Error, days_on(6), "answered with an error"),
        (Page::Hanging, days_on(6), "no answer in time"),
        (Page::Script, days_on(4), "an older version"),
        (Page::Document, ClientVersion::web(u32::MAX), "can't be out yet"),
    ];
    for (page, published, words) in bad {
        let news = VersionChange {
            page: Some(page),
            published: Some(published),
            ..VersionChange::default()
        };
        change(&stage, news).await;
        until(words, async || {
            known(&stage).await.failure.is_some_and(|why| why.contains(words))
        })
        .await;
        assert!(holds(days_on(5)).await, "{words}");
    }
    publish(&stage, days_on(7)).await;
    until("the next one is taken", async || holds(days_on(7)).await).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_announced_end_of_a_version_is_kept_and_looked_ahead_of() {
    let stage = Stage::new().await;
    let worker = worker(&stage, "w1", PACES);
    stage.paired("15550000062").await;
    let ends = async || known(&stage).await.expires(web(ClientVersion::KNOWN));
    until("the page was read", async || {
        known(&stage).await.fetched_at.is_some()
    })
    .await;
    let announce = async |at: Option<i64>| {
        let told = stage
            .simulator
            .announce_expiration(at.map(|at| at.to_string()))
            .await;
        assert_eq!(told, Ok(1));
    };
    let soon = known(&stage).await.now.unix_timestamp() + 3 * 86_400;
    announce(Some(soon)).await;
    until("the end is known", async || {
        ends().await.map(|at| at.unix_timestamp()) == Some(soon)
    })
    .await;
    until("it is told", async || worker.health.troubles().len() == 1).await;
    announce(None).await;
    until("it is taken back", async || ends().await.is_none()).await;
    announce(Some(soon)).await;
    until("it is there again", async || ends().await.is_some()).await;
    // The page is asked again long before the next day.
    publish(&stage, days_on(1)).await;
    until("a newer version is found", async || {
        known(&stage).await.release.unwrap().version == web(days_on(1))
    })
    .await;
    until("there is no trouble", async || {
        worker.health.troubles().is_empty()
    })
    .await;
    worker.stop().await;
}
