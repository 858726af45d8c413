//! A broadcast on an account that is restricted in the middle of it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::events::Record;
use tests::simulated::Contacts;
use tests::wait::eventually;

/// A take-over and a broadcast of two thousand, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// New contacts, and known ones.
const EACH: u32 = 1_000;
/// Those of the known ones who write to the account; the account's phone knows the others from before it was linked.
const WRITERS: usize = 500;
/// What counts the messages to new contacts that the server took: those who gave no token are shown one made from the
/// account's salt.
const TAKEN_FOR_NEW: &str = "salted_tokens_shown";
/// The account.
const OWNER: &str = "5511900000090";

fn contacts(prefix: &str) -> Contacts<'_> {
    Contacts {
        prefix,
        count: EACH,
        deliver_ms: 5,
        read_ms: None,
        reply: None,
    }
}

/// Who is written to.
struct People {
    new: Vec<String>,
    known: Vec<String>,
}

impl People {
    /// Makes all of them, and the account, which hears of half of the known ones by its phone's history and of the others
    /// from themselves.
    async fn meet(cluster: &Cluster) -> Result<(Self, Record)> {
        for prefix in ["1555810", "1555820"] {
            cluster.control.contacts(&contacts(prefix)).await?;
        }
        let (new, known) = (contacts("1555810").numbers(), contacts("1555820").numbers());
        let chats: Vec<Value> = known[WRITERS..]
            .iter()
            .map(|number| json!({ "number": number }))
            .collect();
        cluster.control.phone(OWNER, "shop").await?;
        let path = format!("/phones/{OWNER}/sharing");
        cluster.control.post(&path, json!({ "chats": chats })).await?;
        cluster.operator.pair(&cluster.control, "shop", OWNER).await?;
        let record = Record::start(cluster.events("shop").await?);
        for number in &known[..WRITERS] {
            cluster.control.contact_writes(number, OWNER, "hello").await?;
        }
        eventually(PATIENCE, "all that was written has come", async || {
            let sessions = cluster.control.get("/sessions").await?;
            Ok(sessions[0]["pending"] == 0 && named(&record, "new.message") >= WRITERS)
        })
        .await?;
        Ok((Self { new, known }, record))
    }

    /// New and known ones in turns.
    fn mixed(&self) -> Vec<String> {
        let pairs = self.new.iter().zip(&self.known);
        pairs
            .flat_map(|(new, known)| [new.clone(), known.clone()])
            .collect()
    }

    /// Whether each of the known ones has seen one message.
    async fn known_have_theirs(&self, cluster: &Cluster) -> Result<bool> {
        let seen = stream::iter(&self.known)
            .map(|number| cluster.control.contact_messages(number))
            .buffer_unordered(16);
        seen.try_all(|messages| async move { messages.len() == 1 && messages[0].times_shown == 1 })
            .await
    }
}

fn named(record: &Record, name: &str) -> usize {
    record.count(|event| event["event"] == name)
}

async fn count(cluster: &Cluster, name: &str) -> Result<u64> {
    let audit = cluster.control.audit().await?;
    audit.rest[name].as_u64().context("a number")
}

/// How many new contacts were looked up whose messages the server has neither taken nor refused.
async fn under_way(cluster: &Cluster) -> Result<u64> {
    let audit = cluster.control.audit().await?;
    let of = |name: &str| audit.rest[name].as_u64().context("a number");
    Ok(of("numbers_looked_up")?.saturating_sub(of(TAKEN_FOR_NEW)? + of("refused_new")?))
}

/// Restricts the account, and waits until that holds contacts back and the last who were looked up before have theirs, or
/// were refused it: an answer that is lost with its worker would be asked for again.
async fn restrict(cluster: &Cluster, record: &Record, queue: &str) -> Result<()> {
    let path = format!("/phones/{OWNER}/restrict");
    cluster.control.post(&path, json!({ "seconds": 86_400 })).await?;
    eventually(
        PATIENCE,
        "the session knows, and holds new contacts back",
        async || {
            let queue = cluster.operator.queue("shop", queue).await?;
            let is_told = named(record, "session.restricted") > 0;
            let is_held = queue["held"].as_u64().is_some_and(|held| held > 0);
            Ok(is_told && is_held && under_way(cluster).await? == 0)
        },
    )
    .await
}

/// What must hold while the lock lasts: the known ones have theirs, and the others wait.
async fn only_new_ones_wait(cluster: &Cluster, people: &People, queue: &str) -> Result<()> {
    eventually(
        PATIENCE,
        "only new contacts are left, and it says so",
        async || {
            let queue = cluster.operator.queue("shop", queue).await?;
            Ok(queue["waiting"]["reason"] == "restricted" && queue["waiting"]["until"].is_string())
        },
    )
    .await?;
    eventually(
        PATIENCE,
        "every known contact was shown its message",
        async || people.known_have_theirs(cluster).await,
    )
    .await?;
    let (_, session) = cluster.operator.get("/v1/sessions/shop").await?;
    ensure!(session["restriction"]["kind"] == "time-lock", "{session}");
    let waiting = cluster.operator.queue("shop", queue).await?;
    let held = waiting["held"].as_u64().unwrap_or_default();
    ensure!(held > 0 && held < u64::from(EACH), "{waiting}");
    let shown = cluster.control.audit().await?.shown_once;
    ensure!(shown + held == u64::from(2 * EACH), "{shown} shown, {held} wait");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_new_contacts_wait_out_a_restriction_over_a_killed_worker_and_known_ones_do_not()
-> Result<()> {
    let (new, all) = (u64::from(EACH), u64::from(2 * EACH));
    let mut cluster = Cluster::start(1).await?;
    let (people, record) = People::meet(&cluster).await?;
    let queue = cluster
        .operator
        .broadcast("shop", &people.mixed(), "we open at nine", 0.0..=0.004)
        .await?;
    eventually(PATIENCE, "the broadcast goes to both kinds", async || {
        let to_known = count(&cluster, "tokens_shown").await?;
        Ok(to_known >= 200 && count(&cluster, TAKEN_FOR_NEW).await? >= 50)
    })
    .await?;
    restrict(&cluster, &record, &queue).await?;
    cluster.kill_worker(0)?;
    cluster.restart_worker(0).await?;
    only_new_ones_wait(&cluster, &people, &queue).await?;
    let asked = count(&cluster, "contact_lookups").await?;
    ensure!(
        asked < new,
        "nobody is looked up who can't be written to: {asked}"
    );
    ensure!(named(&record, "session.unrestricted") == 0, "it was not over yet");

    cluster
        .control
        .delete(&format!("/phones/{OWNER}/restrict"))
        .await?;
    record.until(PATIENCE, "send.message:COMPLETED", &queue).await?;
    ensure!(named(&record, "session.unrestricted") > 0, "its end is told");
    ensure!(named(&record, "send.message:ERROR") == 0, "nobody fails");
    eventually(PATIENCE, "every contact was shown its message", async || {
        Ok(cluster.control.audit().await?.shown_once >= all)
    })
    .await?;
    let audit = cluster.control.audit().await?;
    ensure!(audit.rest["refused_again"] == 0, "{audit:?}");
    let look_ups = ["contact_lookups", "numbers_looked_up"].map(|name| audit.rest[name].as_u64());
    ensure!(
        look_ups == [Some(new); 2],
        "one for each new number, none for known ones: {audit:?}"
    );
    audit.clean(all)?;
    crate::broadcast::in_order(&record.events(), &queue, all)
}
