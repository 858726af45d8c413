//! Versions of clients: which are taken, what the page says, and the announcement of an end.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use whatsapp::binary::Node;
use whatsapp::device::Device;
use whatsapp::payload::{self, History, Profile};
use whatsapp::version::{ClientVersion, Published};

use crate::client::Companion;
use crate::simulator;
use crate::wire::Wire;

const PHONE: &str = "15551240001";

fn http() -> reqwest::Client {
    // Whoever is first installs it for the process.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::new()
}

async fn post(base: &str, path: &str, body: Value) -> (u16, Value) {
    let url = format!("{base}{path}");
    let answer = http().post(url).body(body.to_string()).send().await.unwrap();
    (
        answer.status().as_u16(),
        serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
    )
}

/// The page as a client asks for it, with this header.
async fn page(base: &str, site: Option<&str>) -> (u16, String) {
    let mut request = http().get(format!("{base}/sw.js"));
    if let Some(site) = site {
        request = request.header("Sec-Fetch-Site", site);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn an_outdated_client_is_refused_at_its_next_login_and_at_registration() {
    let handle = simulator().await;
    let mut known = Companion::online(&handle, PHONE).await;
    let newer = ClientVersion::web(ClientVersion::KNOWN.tertiary + 1);
    let (status, info) = post(
        &handle.control_url,
        "/version",
        json!({ "min": newer.to_string() }),
    )
    .await;
    assert_eq!((status, &info["refused"]), (200, &json!(0)));
    // Who is connected stays.
    known.iq("w:p", "get", Node::new("ping")).await;

    let mut rng = StdRng::seed_from_u64(3);
    let login = known.login_payload();
    let profile = |version| Profile {
        version,
        browser: "Chrome".into(),
        os: "Mac OS".into(),
        history: History::Recent.into(),
    };
    let fresh = Device::generate(&mut rng);
    let registration = payload::registration(&fresh, &profile(ClientVersion::KNOWN));
    for (device, payload) in [(&known.device, login), (&fresh, registration)] {
        let mut wire = Wire::open(&handle, device, &payload, &mut rng).await;
        let first = wire.next().await.unwrap();
        assert!(first.is("failure") && first.attr_is("reason", "405") && first.attr_is("location", "sim"));
        assert!(wire.next().await.is_none());
    }
    let payload = payload::login(&known.device, &profile(newer)).unwrap();
    let mut wire = Wire::open(&handle, &known.device, &payload, &mut rng).await;
    assert!(wire.next().await.unwrap().is("success"));
    let (_, info) = post(&handle.control_url, "/version", json!({})).await;
    assert_eq!(info["refused"], 2);
}

#[tokio::test]
async fn a_version_that_is_too_old_by_its_number_is_refused() {
    let handle = simulator().await;
    let known = Companion::online(&handle, PHONE).await;
    let mut rng = StdRng::seed_from_u64(3);
    // The known one is some days old at least; ten years are more than any is.
    for (days, is_taken) in [(3_650, true), (1, false), (0, true)] {
        let (status, _) = post(&handle.control_url, "/version", json!({ "max_age_days": days })).await;
        assert_eq!(status, 200);
        let mut wire = Wire::open(&handle, &known.device, &known.login_payload(), &mut rng).await;
        let first = wire.next().await.unwrap();
        assert_eq!(first.is("success"), is_taken, "{days}: {first:?}");
    }
}

#[tokio::test]
async fn the_page_names_what_is_published_to_whoever_asks_as_a_browser_does() {
    let handle = simulator().await;
    let base = &handle.control_url;
    for site in [None, Some("cross-site")] {
        assert_eq!(page(base, site).await.0, 400);
    }
    let published = |text: &str| Published::read(text.as_bytes());
    let (status, script) = page(base, Some("none")).await;
    assert!(status == 200 && script.contains(r#"\"client_revision\":"#));
    assert_eq!(published(&script).unwrap().version, ClientVersion::KNOWN);
    let change = json!({ "published": "2.3000.1049999999", "page": "document" });
    assert_eq!(post(base, "/version", change).await.0, 200);
    let (_, document) = page(base, Some("none")).await;
    let read = published(&document).unwrap();
    assert!(document.contains(r#""client_revision":1049999999"#) && read.built.is_some());
    for (kind, status) in [("rubbish", 200), ("error", 500)] {
        post(base, "/version", json!({ "page": kind })).await;
        let (got, text) = page(base, Some("none")).await;
        assert!(got == status && published(&text).is_err(), "{kind}: {got} {text}");
    }
    let (_, info) = post(base, "/version", json!({})).await;
    assert_eq!((&info["asked"], &info["page"]), (&json!(4), &json!("error")));
    for bad in [
        json!({ "min": "2.3000" }),
        json!({ "page": "x" }),
        json!({ "mim": "2.3000.1" }),
    ] {
        assert_eq!(post(base, "/version", bad).await.0, 422);
    }
}

#[tokio::test]
async fn an_end_is_announced_to_who_is_online_and_taken_back() {
    let handle = simulator().await;
    let mut client = Companion::online(&handle, PHONE).await;
    for body in [json!({ "t": "1785000000" }), json!({ "t": "soon" }), json!({})] {
        let (status, answer) = post(&handle.control_url, "/version/expiration", body.clone()).await;
        assert_eq!((status, answer), (200, json!({ "told": 1 })));
        let is_told = |node: &Node| node.child("client_expiration").is_some();
        let told = client.wire().expect("client_expiration", is_told).await;
        let t = told
            .child("client_expiration")
            .unwrap()
            .attr_str("t")
            .map(String::from);
        assert!(told.is("ib") && t.as_deref() == body["t"].as_str());
    }
}
