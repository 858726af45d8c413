//! A broadcast of thousands of pictures, each with a caption of its own: one upload for all of them.

use std::io::Cursor;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{DynamicImage, ImageFormat};
use serde_json::json;
use tests::cluster::Cluster;
use tests::events::Record;
use tests::simulated::Contacts;
use tests::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(300);
const OURS: &str = "5511900000057";
const CONTACTS: Contacts<'static> = Contacts::quiet("155546", 3_000);
/// Whose messages are looked at.
const LOOKED_AT: [usize; 4] = [0, 1, 1_499, 2_999];

#[tokio::test(flavor = "multi_thread")]
async fn thousands_get_a_picture_with_a_caption_of_their_own_by_one_upload() -> Result<()> {
    let cluster = Cluster::start(1).await?;
    cluster.control.phone(OURS, "ours").await?;
    cluster.control.contacts(&CONTACTS).await?;
    cluster.operator.pair(&cluster.control, "personal", OURS).await?;
    let record = Record::start(cluster.events("personal").await?);
    let mut picture = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(64, 36).write_to(&mut picture, ImageFormat::Png)?;
    let numbers = CONTACTS.numbers();
    let own = |number: &String| json!({ "number": number, "variables": { "code": number } });
    let body = json!({
        "numbers": numbers.iter().map(own).collect::<Vec<_>>(),
        "message": {
            "type": "image", "media": { "base64": STANDARD.encode(picture.into_inner()) },
            "caption": "Hi {{name|there}}, {{code}}",
        },
        "delay": { "min": 0, "max": 0 },
    });
    let (status, answer) = cluster
        .operator
        .post("/v1/sessions/personal/queues", body)
        .await?;
    ensure!(status.is_success(), "{status}: {answer}");
    let queue = answer["queueId"].as_str().context("a queue's id")?;
    record.until(PATIENCE, "send.message:COMPLETED", queue).await?;
    let count = u64::from(CONTACTS.count);
    eventually(PATIENCE, "all have it", async || {
        Ok(cluster.control.audit().await?.shown_once == count)
    })
    .await?;
    let audit = cluster.control.audit().await?;
    audit.clean(count)?;
    ensure!(audit.rest["uploads"] == 1, "{audit:?}");
    for number in LOOKED_AT.map(|at| &numbers[at]) {
        let shown = cluster.control.contact_messages(number).await?;
        let caption = format!("Hi there, {number}");
        let message = STANDARD.decode(&shown[0].message)?;
        let has_it = message
            .windows(caption.len())
            .any(|part| part == caption.as_bytes());
        ensure!(has_it, "{caption}: {shown:?}");
    }
    Ok(())
}
