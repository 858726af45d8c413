//! socket.io, asked by its own client from npm.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use shared::broker::Outgoing;
use shared::id::EventId;
use shared::lifecycle::Lifecycle;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};

use super::*;
use crate::listener;
use crate::realtime::Realtime;
use crate::settings::SocketLimits;

/// One more replica of the API, served over TCP.
async fn replica(api: &TestApi, limits: SocketLimits) -> (SocketAddr, Lifecycle) {
    let key = ApiKey::new(KEY, IpAddr::V4(Ipv4Addr::UNSPECIFIED)).unwrap();
    let (store, broker) = (api.database.store().clone(), api.broker.broker().clone());
    let app = Arc::new(App::new(store, broker, key, 1, Reach::Public));
    let origins = ["https://app.example.com".parse().unwrap()];
    let realtime = Realtime::new(&app, &origins, limits);
    let routes = router(app, &origins, realtime.routes());
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, life) = (socket.local_addr().unwrap(), Lifecycle::new());
    life.spawn(realtime.run(life.soft().clone()));
    let listening = life.clone();
    tokio::spawn(
        async move { listener::serve(socket, routes, listener::Limits::default(), &listening).await },
    );
    (address, life)
}

/// A client from npm, and what it tells.
struct Client {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn start(address: SocketAddr, options: Value, join: Value) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients/sockets.mjs");
        let asked = json!({ "url": format!("http://{address}"), "options": options, "join": join });
        let mut child = Command::new("node")
            .arg(script)
            .arg(asked.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is not installed");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next that it got, and its argument.
    async fn next(&mut self) -> (String, Value) {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.expect("nothing in time").unwrap();
        let line = line.expect("the client ended: npm ci --prefix tests/clients");
        let mut told: Value = serde_json::from_str(&line).unwrap();
        (told["event"].as_str().unwrap().to_owned(), told["data"].take())
    }

    async fn joined(mut self, tokens: Value) -> Self {
        assert_eq!(
            self.next().await,
            ("joined".to_owned(), json!({ "tokens": tokens }))
        );
        self
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().unwrap().to_string();
        let done = std::process::Command::new("kill").args([signal, &pid]).status();
        assert!(done.unwrap().success());
    }
}

/// Publishes an event as a relay does.
async fn tell(api: &TestApi, token: &Token, event: &str, sequence: i64, data: Value) -> EventId {
    let id = testing::event_id();
    tell_as(api, token, event, sequence, data, id).await;
    id
}

async fn tell_as(api: &TestApi, token: &Token, event: &str, sequence: i64, data: Value, id: EventId) {
    let envelope = json!({
        "event": event, "instance": { "owner": "15550009999@s.whatsapp.net", "name": token },
        "data": data, "id": id, "timestamp": 1_795_186_399_188_i64, "sequence": sequence,
    });
    let broker = api.broker.broker();
    let message = Outgoing::event(broker.topology(), token, event, id, envelope.to_string().into());
    broker.publisher().publish(message).await.unwrap();
}

fn with_key(tokens: &[&Token], transport: &str) -> Value {
    json!({ "auth": { "key": KEY, "tokens": tokens }, "transports": [transport] })
}

#[tokio::test(flavor = "multi_thread")]
async fn any_replica_gives_every_event_once_and_nobody_gets_those_of_others() {
    let api = TestApi::new().await;
    let (shop, other) = (testing::token(), testing::token());
    let (one, _one) = replica(&api, SocketLimits::default()).await;
    let (two, _two) = replica(&api, SocketLimits::default()).await;
    let header = format!("Basic {}", STANDARD.encode(format!("{KEY}:")));
    let mut clients = [
        Client::start(one, with_key(&[&shop], "websocket"), json!(null))
            .joined(json!([shop]))
            .await,
        Client::start(two, with_key(&[&shop], "polling"), json!(null))
            .joined(json!([shop]))
            .await,
        // The usual way of a client: it polls, then it upgrades; the key comes in the header.
        Client::start(
            two,
            json!({ "extraHeaders": { "Authorization": header } }),
            json!([shop, shop]),
        )
        .joined(json!([]))
        .await,
    ];
    assert_eq!(
        clients[2].next().await,
        ("join-answer".into(), json!({ "status": true, "tokens": [shop] }))
    );
    let mut all = Client::start(one, json!({ "auth": { "key": KEY, "tokens": "*" } }), json!(null))
        .joined(json!(["*"]))
        .await;

    tell(&api, &other, "paused.queue", 1, json!({ "action": "pause" })).await;
    let open = json!({ "instance": { "name": shop, "id": "1" }, "state": "open", "statusReason": 200 });
    let id = tell(&api, &shop, "connection.update", 1, open.clone()).await;
    // A relay that ended between publishing and noting it publishes again.
    tell_as(&api, &shop, "connection.update", 1, open, id).await;
    let message = json!({
        "header": { "messageId": "AB12", "fromMe": false, "wuid": "1@s.whatsapp.net" },
        "body": { "messageType": "conversation", "message": "Hi" },
        "context": { "sourceDevice": "web", "messageTimestamp": 1, "fromGroup": false },
    });
    tell(&api, &shop, "new.message", 2, message).await;
    let qr_code = json!({ "name": shop, "qrcode": { "code": "2@x", "base64": "data:image/png;base64,AA" } });
    tell(&api, &shop, "qrcode.updated", 3, qr_code).await;

    assert_eq!(all.next().await.0, "paused.queue");
    for client in clients.iter_mut().chain([&mut all]) {
        let mut told = Vec::new();
        for _ in 0..7 {
            told.push(client.next().await);
        }
        let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "connection-open",
            "message",
            "connection.update",
            "message-upsert",
            "new.message",
            "qrcode",
            "qrcode.updated",
        ];
        assert_eq!(names, expected);
        assert_eq!(told[0].1["user"]["id"], "15550009999@s.whatsapp.net");
        assert_eq!(told[3].1["message"], json!({ "conversation": "Hi" }));
        assert_eq!(told[4].1["sequence"], 2, "the whole envelope");
        assert_eq!(told[5].1["data"], "data:image/png;base64,AA");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_the_key_or_asks_for_nonsense_is_not_let_in() {
    let api = TestApi::new().await;
    let (address, life) = replica(
        &api,
        SocketLimits {
            clients: 1,
            ..SocketLimits::default()
        },
    )
    .await;
    for (options, told) in [
        (
            json!({}),
            "the Authorization header is missing; or send it as auth.key",
        ),
        (
            json!({ "auth": { "key": "guessed" } }),
            "auth.key: the key is not right",
        ),
        (json!({ "auth": { "key": 5 } }), "auth.key: must be a string"),
        (
            json!({ "auth": { "key": KEY, "tokens": [{}] } }),
            "auth.tokens[0]: must be a session's token",
        ),
    ] {
        let (event, why) = Client::start(address, options, json!(null)).next().await;
        assert_eq!(event, "connect_error");
        assert!(why.as_str().unwrap().starts_with(told), "{why}");
    }
    let mut first = Client::start(address, with_key(&[], "websocket"), json!([""]))
        .joined(json!([]))
        .await;
    let (_, answer) = first.next().await;
    assert_eq!(answer["status"], false);
    assert!(
        answer["message"].as_str().unwrap().starts_with("tokens[0]: "),
        "{answer}"
    );
    let (event, why) = Client::start(address, with_key(&[], "websocket"), json!(null))
        .next()
        .await;
    assert_eq!(event, "connect_error");
    assert!(why.as_str().unwrap().contains("SOCKET_CLIENTS"), "{why}");
    // A process that ends closes its connections, so that clients come back elsewhere.
    life.stop();
    assert_eq!(
        first.next().await,
        ("disconnect".into(), json!("transport close"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_let_go_with_a_reason_and_holds_nobody_up() {
    const EVENTS: i64 = 600;
    let api = TestApi::new().await;
    let token = testing::token();
    let limits = SocketLimits {
        backlog: 256 << 10,
        queue: 1_000_000,
        ..SocketLimits::default()
    };
    let (address, _life) = replica(&api, limits).await;
    let mut slow = Client::start(address, with_key(&[&token], "websocket"), json!(null))
        .joined(json!([token]))
        .await;
    let mut quick = Client::start(address, with_key(&[&token], "websocket"), json!(null))
        .joined(json!([token]))
        .await;
    slow.signal("-STOP");
    // Far more than the sockets between the two hold.
    let filling = "x".repeat(32 << 10);
    let publisher = api.broker.broker().publisher();
    for sequence in 1..=EVENTS {
        let id = testing::event_id();
        let envelope = json!({
            "event": "job.accepted", "instance": { "owner": null, "name": token }, "data": filling,
            "id": id, "timestamp": 0, "sequence": sequence,
        });
        let topology = api.broker.broker().topology();
        let message = Outgoing::event(topology, &token, "job.accepted", id, envelope.to_string().into());
        publisher.publish(message).await.unwrap();
        // Each has come to the quick one, which has never more than this waiting.
        let (event, envelope) = quick.next().await;
        assert_eq!(
            (event.as_str(), &envelope["sequence"]),
            ("job.accepted", &json!(sequence))
        );
    }
    slow.signal("-CONT");
    let mut got = 0;
    let told = loop {
        match slow.next().await {
            (event, _) if event == "job.accepted" => got += 1,
            told => break told,
        }
    };
    assert!(got < EVENTS, "nothing was dropped");
    assert_eq!((told.0.as_str(), &told.1["reason"]), ("dropped", &json!("slow")));
    assert_eq!(
        slow.next().await,
        ("disconnect".into(), json!("io server disconnect"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_may_poll_where_origin_says_so() {
    let api = TestApi::new().await;
    let origins = ["https://app.example.com".parse().unwrap()];
    let realtime = Realtime::new(&api.app, &origins, SocketLimits::default());
    let routes = router(api.app.clone(), &origins, realtime.routes());
    for (origin, allowed) in [
        ("https://app.example.com", true),
        ("https://evil.example.com", false),
    ] {
        let request = Request::get("/socket.io/?EIO=4&transport=polling").header("origin", origin);
        let answer = routes
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let named = answer.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        assert_eq!(named.is_some_and(|named| named == origin), allowed, "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_get_no_websocket_with_the_key_either() {
    let api = TestApi::new().await;
    let token = testing::token();
    let (address, _life) = replica(&api, SocketLimits::default()).await;
    let from = |origin: &str| {
        let mut options = with_key(&[&token], "websocket");
        options["extraHeaders"] = json!({ "Origin": origin });
        Client::start(address, options, json!(null))
    };
    let (event, told) = from("https://evil.example.com").next().await;
    assert_eq!(event, "connect_error");
    assert!(told.to_string().contains("name it in ORIGIN"), "{told}");
    for origin in ["https://app.example.com", &format!("http://{address}")] {
        from(origin).joined(json!([token])).await;
    }
}
