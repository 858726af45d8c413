use super::*;

#[tokio::test]
async fn an_address_that_is_taken_is_said_with_what_to_do() {
    assert!(listen(None).await.unwrap().is_none());
    let taken = listen(Some(([127, 0, 0, 1], 0).into())).await.unwrap().unwrap();
    let address = taken.local_addr().unwrap();
    let error = listen(Some(address)).await.unwrap_err();
    assert!(
        error.starts_with(&format!("METRICS_ADDR: can't listen on {address} (")),
        "{error}"
    );
    assert!(error.ends_with("choose another port"), "{error}");
}

#[tokio::test]
async fn readiness_names_what_is_not_ready() {
    let health = Health::new(crate::clock::Clock::system());
    health.check("broker", async || Err("not connected".to_owned()));
    health.check("database", async || Ok(()));
    assert_eq!(health.not_ready().await, ["broker: not connected"]);
    assert!(health.stuck().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_silent_loop_is_stuck_until_it_beats() {
    let health = Health::new(crate::clock::Clock::system());
    let heartbeat = health.heartbeat("leases", Duration::from_secs(5));
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(health.stuck(), ["leases: silent for more than 5s"]);
    heartbeat.beat();
    assert!(health.stuck().is_empty());
    drop(heartbeat);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(health.stuck().is_empty(), "a loop that ended is not stuck");
}

#[tokio::test(start_paused = true)]
async fn what_went_wrong_lately_is_told_for_a_while() {
    let health = Health::new(crate::clock::Clock::system());
    health.lately("sessions", "the disk is full".to_owned());
    assert_eq!(health.troubles(), ["sessions: the disk is full"]);
    assert!(health.not_ready().await.is_empty());
    tokio::time::advance(Duration::from_secs(100)).await;
    assert!(health.troubles().is_empty());
}

#[test]
fn a_token_opens_the_metrics_and_nothing_like_it_does() {
    let token = Secret::new("0123456789abcdef");
    let with = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        brings(&headers, &token)
    };
    assert!(with("Bearer 0123456789abcdef"));
    for wrong in [
        "Bearer 0123456789abcde",
        "Bearer ",
        "0123456789abcdef",
        "Basic 0123456789abcdef",
    ] {
        assert!(!with(wrong), "{wrong}");
    }
    assert!(!brings(&HeaderMap::new(), &token));
}

#[tokio::test]
async fn what_is_degraded_is_said_and_stays_ready() {
    let health = Health::new(crate::clock::Clock::system());
    health.degraded("version", Some("refused".to_owned()));
    health.degraded("version", Some("refused again".to_owned()));
    assert_eq!(health.troubles(), ["version: refused again"]);
    assert_eq!(health.not_ready().await, [""; 0]);
    let answer = report(health.not_ready().await, health.troubles()).into_response();
    assert_eq!(answer.status(), StatusCode::OK);
    let body = axum::body::to_bytes(answer.into_body(), 1_000).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let expected = serde_json::json!({ "ok": true, "problems": [], "degraded": ["version: refused again"] });
    assert_eq!(body, expected);
    health.degraded("version", None);
    assert_eq!(health.troubles(), [""; 0]);
}
