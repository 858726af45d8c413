//! Baileys and our worker talk to each other through the simulator: each decrypts the other, over restarts of either,
//! with a device added, and with retry receipts forced in both directions.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tests::baileys::Baileys;
use tests::cluster::{Cluster, Simulator};
use tests::events::Record;
use tests::folder::Folder;
use tests::simulated::Contacts;

const PATIENCE: Duration = Duration::from_secs(60);
/// All that Baileys does with the simulator alone.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(180);
const OURS: &str = "5511900000020";
const THEIRS: &str = "5511900000021";

async fn we_write(cluster: &Cluster, text: &str) -> Result<()> {
    we_write_to(cluster, THEIRS, text).await
}

async fn we_write_to(cluster: &Cluster, number: &str, text: &str) -> Result<()> {
    let body = json!({ "token": "interop", "number": number, "text": text });
    let (status, answer) = cluster.operator.post("/api/whatsapp/send-text", body).await?;
    ensure!(status.is_success(), "{status}: {answer}");
    Ok(())
}

async fn we_read(record: &Record, text: &str) -> Result<()> {
    record
        .until_any(PATIENCE, &format!("new.message {text:?}"), |event| {
            event["event"] == "new.message" && event["data"]["body"].to_string().contains(text)
        })
        .await
}

async fn set_up(cluster: &Cluster, folder: &Folder) -> Result<(Record, Baileys)> {
    for (number, name) in [(OURS, "ours"), (THEIRS, "theirs")] {
        cluster.control.phone(number, name).await?;
    }
    cluster.operator.pair(&cluster.control, "interop", OURS).await?;
    let record = Record::start(cluster.events("interop").await?);
    let baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, THEIRS).await?;
    Ok((record, baileys))
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_go_both_ways_over_restarts_and_with_a_device_added() -> Result<()> {
    let mut cluster = Cluster::start(1).await?;
    let folder = Folder::new()?;
    let (record, mut baileys) = set_up(&cluster, &folder).await?;

    we_write(&cluster, "one from us").await?;
    baileys.reads("one from us").await?;
    baileys.write(OURS, "one from them").await?;
    we_read(&record, "one from them").await?;
    we_write(&cluster, "two from us").await?;
    baileys.reads("two from us").await?;

    cluster.kill_worker(0)?;
    cluster.restart_worker(0).await?;
    we_write(&cluster, "after our restart").await?;
    baileys.reads("after our restart").await?;
    baileys.write(OURS, "they saw our restart").await?;
    we_read(&record, "they saw our restart").await?;

    drop(baileys);
    we_write(&cluster, "while they were away").await?;
    let mut baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, THEIRS).await?;
    baileys.reads("while they were away").await?;
    baileys.write(OURS, "after their restart").await?;
    we_read(&record, "after their restart").await?;

    let second_folder = Folder::new()?;
    let mut second = Baileys::start(
        second_folder.path(),
        cluster.simulator().0,
        &cluster.control,
        THEIRS,
    )
    .await?;
    we_write(&cluster, "to both devices").await?;
    baileys.reads("to both devices").await?;
    second.reads("to both devices").await?;
    second.write(OURS, "from the second device").await?;
    we_read(&record, "from the second device").await?;

    let audit = cluster.control.audit().await?;
    ensure!(
        audit.message_keys_reused == 0 && audit.undecryptable == 0 && audit.repeated_texts == 0,
        "{audit:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_retry_receipt_is_answered_in_both_directions() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let folder = Folder::new()?;
    let (record, mut baileys) = set_up(&cluster, &folder).await?;
    we_write(&cluster, "a session first").await?;
    baileys.reads("a session first").await?;
    baileys.write(OURS, "a session back").await?;
    we_read(&record, "a session back").await?;

    cluster
        .control
        .fault(json!({ "kind": "corrupt_mac", "match": { "to": THEIRS } }))
        .await
        .context("a fault for them")?;
    we_write(&cluster, "garbled on the way to them").await?;
    baileys.reads("garbled on the way to them").await?;

    cluster
        .control
        .fault(json!({ "kind": "corrupt_mac", "match": { "to": OURS } }))
        .await
        .context("a fault for us")?;
    baileys.write(OURS, "garbled on the way to us").await?;
    we_read(&record, "garbled on the way to us").await?;

    we_write(&cluster, "and all is well again").await?;
    baileys.reads("and all is well again").await?;
    Ok(())
}

/// Both are companions of one account: what either writes the other has as its own, and what comes comes to both.
#[tokio::test(flavor = "multi_thread")]
async fn our_worker_and_baileys_are_companions_of_one_account() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    cluster.control.phone(OURS, "ours").await?;
    let contacts = Contacts::quiet("551190100000", 2);
    cluster.control.contacts(&contacts).await?;
    let numbers = contacts.numbers();
    cluster.operator.pair(&cluster.control, "interop", OURS).await?;
    let record = Record::start(cluster.events("interop").await?);
    let folder = Folder::new()?;
    let mut baileys = Baileys::start(folder.path(), cluster.simulator().0, &cluster.control, OURS).await?;

    we_write_to(&cluster, &numbers[0], "written by our worker").await?;
    let copy = baileys.reads("written by our worker").await?;
    ensure!(copy["fromMe"] == true, "{copy}");
    baileys.write(&numbers[1], "written by Baileys").await?;
    record
        .until_any(PATIENCE, "our copy of what Baileys wrote", |event| {
            event["event"] == "new.message"
                && event["data"]["body"].to_string().contains("written by Baileys")
                && event["data"]["header"]["fromMe"] == true
        })
        .await?;
    cluster
        .control
        .contact_writes(&numbers[0], OURS, "to both companions")
        .await?;
    baileys.reads("to both companions").await?;
    we_read(&record, "to both companions").await?;

    for (number, text) in numbers
        .iter()
        .zip(["written by our worker", "written by Baileys"])
    {
        let shown = cluster.control.contact_messages(number).await?;
        let texts: Vec<_> = shown.iter().map(|shown| shown.text.as_deref()).collect();
        ensure!(texts == [Some(text)], "{number} was shown {texts:?}");
    }
    let audit = cluster.control.audit().await?;
    ensure!(
        audit.violations == 0 && audit.malformed == 0 && audit.undecryptable == 0 && audit.lost == 0,
        "{audit:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_shows_the_token_that_the_other_gave() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    let folder = Folder::new()?;
    let (record, mut baileys) = set_up(&cluster, &folder).await?;
    we_write(&cluster, "a first word").await?;
    baileys.reads("a first word").await?;
    baileys.write(OURS, "a first answer").await?;
    we_read(&record, "a first answer").await?;
    until_tokens_are_given(&cluster, 2).await?;

    for number in [OURS, THEIRS] {
        let path = format!("/phones/{number}/tokens");
        cluster.control.post(&path, json!({ "proofs": "always" })).await?;
    }
    we_write(&cluster, "proved by us").await?;
    baileys.reads("proved by us").await?;
    baileys.write(OURS, "proved by them").await?;
    we_read(&record, "proved by them").await?;

    let audit = cluster.control.audit().await?;
    let count = |name: &str| audit.rest[name].as_u64();
    ensure!(
        count("tokens_shown") >= Some(2) && count("tokens_wrong") == Some(0),
        "{audit:?}"
    );
    ensure!(
        count("messages_unproved") == Some(0) && count("tokens_misplaced") == Some(0),
        "{audit:?}"
    );
    Ok(())
}

/// Waits until this many tokens were issued, and all that the devices were told of them is acknowledged.
async fn until_tokens_are_given(cluster: &Cluster, issued: u64) -> Result<()> {
    let given = async {
        loop {
            let audit = cluster.control.audit().await?;
            let sessions = cluster.control.get("/sessions").await?;
            let sessions = sessions.as_array().context("a list")?;
            let is_quiet = sessions.iter().all(|session| session["pending"] == 0);
            if is_quiet && audit.rest["tokens_issued"].as_u64() >= Some(issued) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, given)
        .await
        .context("tokens of both")?
}

#[tokio::test(flavor = "multi_thread")]
async fn baileys_pairs_with_the_simulator_and_exchanges_texts_with_its_contacts() -> Result<()> {
    let folder = Folder::new()?;
    let simulator = Simulator::start(folder.path())?;
    let run = tokio::process::Command::new("node")
        .args(["--test", "--test-force-exit", "simulator.test.mjs"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("interop"))
        .env("SIM_WS", &simulator.ws)
        .env("SIM_CONTROL", &simulator.control)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(SCRIPT_PATIENCE, run)
        .await
        .context("the script does not end")??;
    ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
