//! The page at `/` in headless Chromium: the tasks of each view, done through the page against a real cluster.
//!
//! `tests/page/drive.mjs` does them. `PICTURES` names a folder for pictures of each view (docs/pictures).

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tests::cluster::{AUTH, Cluster};
use tests::folder::Folder;

/// All tasks, with a look at each view, and with pictures of each where they are asked for.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_each_view_are_done_through_the_page() -> Result<()> {
    // The files that are sent are on this machine.
    let uploads = Folder::new()?;
    let store = uploads.path().display().to_string();
    let settings = [("MEDIA_ALLOW_PRIVATE", "true"), ("MEDIA_STORE", store.as_str())];
    let cluster = Cluster::start_with(1, &settings).await?;
    let (_, control, _) = cluster.simulator();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("page/drive.mjs");
    let run = tokio::process::Command::new("node")
        .arg(script)
        .env("PAGE_URL", format!("http://{}", cluster.api_address()))
        .env("PAGE_KEY", AUTH)
        .env("SIMULATOR_CONTROL", control)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        // It says itself how far it is, also where it does not come to an end.
        .status();
    let status = tokio::time::timeout(PATIENCE, run)
        .await
        .context("the tasks take too long")??;
    ensure!(status.success(), "a task could not be done: {status}");
    Ok(())
}
