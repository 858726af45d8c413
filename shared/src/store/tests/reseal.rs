//! What an older key sealed is sealed under the current one, also while sessions write.

use super::super::keys::{self, KeyKind};
use super::super::reseal::{self, Resealed};
use super::super::{proxies, webhooks};
use super::*;
use crate::config::Secret;
use crate::id::WebhookId;
use crate::seal::{Place, Sealer};

const NEW: [u8; 32] = [7; 32];

/// The test's own key is the older one.
fn both() -> Sealer {
    format!(
        "{},{}",
        hex::encode([&NEW[1..], &[9]].concat()),
        crate::testing::TEST_KEY
    )
    .parse()
    .unwrap()
}

fn only_new() -> Sealer {
    hex::encode([&NEW[1..], &[9]].concat()).parse().unwrap()
}

fn with(db: &TestDatabase, sealer: Sealer) -> Store {
    Store::new(db.config(), Some(sealer), Clock::system()).unwrap()
}

async fn put_keys(db: &TestDatabase, session: SessionId, count: i64) {
    let names: Vec<Vec<u8>> = (0..count).map(|number| number.to_be_bytes().to_vec()).collect();
    let sealer = db.store().sealer().unwrap().of(session);
    let sealed: Vec<Vec<u8>> = names
        .iter()
        .map(|name| sealer.seal(1, name, b"ratchet"))
        .collect();
    let sql = "INSERT INTO device_key (session_id, kind, name, value)
        SELECT $1, 1, * FROM unnest($2::bytea[], $3::bytea[])";
    let rows: [&(dyn ToSql + Sync); 3] = [&session.get(), &names, &sealed];
    db.store().execute(sql, &rows).await.unwrap();
}

#[tokio::test]
async fn everything_opens_without_the_older_key_once_it_was_gone_through() {
    let db = TestDatabase::new().await;
    let session = session(&db).await;
    // More than two pages.
    put_keys(&db, session, 1_001).await;
    let proxy = "socks5://user:secret@127.0.0.1:1080".parse().unwrap();
    let sealed = proxies::seal(db.store(), session, &proxy).unwrap();
    let sql = "UPDATE session SET proxy = $2, proxy_address = $3 WHERE id = $1";
    let row: [&(dyn ToSql + Sync); 3] = [&session.get(), &sealed.sealed_bytes(), &sealed.address];
    db.store().execute(sql, &row).await.unwrap();
    let id = crate::testing::webhook_id();
    put_webhook(&db, id).await;

    let rotated = with(&db, both());
    let done = reseal::all(&rotated).await.unwrap();
    let all = 1_001 + 1 + 3;
    assert_eq!(
        (done.seen, done.changed, done.is_complete()),
        (all, all, true),
        "{done:?}"
    );
    let again = reseal::all(&rotated).await.unwrap();
    assert_eq!((again.seen, again.changed), (all, 0));

    let later = with(&db, only_new());
    let wanted = [
        (KeyKind(1), 0_i64.to_be_bytes().to_vec()),
        (KeyKind(1), 1_000_i64.to_be_bytes().to_vec()),
    ];
    let values = keys::load(&later, session, &wanted).await.unwrap();
    assert!(
        values.iter().all(|value| value.as_deref() == Some(b"ratchet")),
        "{values:?}"
    );
    let record = webhooks::find(&later, id).await.unwrap().unwrap();
    assert_eq!(record.secret.unwrap().expose(), "whsec_of_a_test");
    let column = later
        .query_one("SELECT proxy FROM session WHERE id = $1", &[&session.get()])
        .await
        .unwrap();
    let stored = proxies::SealedProxy {
        address: sealed.address,
        sealed: column.get::<_, Vec<u8>>(0).into(),
    };
    assert!(proxies::open(&later, session, &stored).is_ok());
    // Whoever has the older key alone opens nothing any more.
    assert!(keys::load(db.store(), session, &wanted).await.is_err());
}

async fn put_webhook(db: &TestDatabase, id: WebhookId) {
    let name = *id.as_uuid().as_bytes();
    let seal = |kind, value: &[u8]| {
        let place = Place {
            session: SessionId::new(0),
            kind,
            name: &name,
        };
        db.store().sealer().unwrap().seal(place, value)
    };
    let secret = Secret::new("whsec_of_a_test");
    let (now, old) = (
        seal(webhooks::SECRET_KIND, secret.expose().as_bytes()),
        seal(webhooks::SECRET_KIND, b"old"),
    );
    let headers = seal(webhooks::HEADERS_KIND, b"{\"x-key\":\"v\"}");
    let sql = "INSERT INTO webhook (id, url, secret, old_secret, old_secret_until, headers)
        VALUES ($1, 'https://example.com', $2, $3, now() + interval '1 day', $4)";
    let row: [&(dyn ToSql + Sync); 4] = [&id.as_uuid(), &now, &old, &headers];
    db.store().execute(sql, &row).await.unwrap();
}

#[tokio::test]
async fn what_a_session_holds_is_left_for_the_next_time_and_nobody_waits() {
    let db = TestDatabase::new().await;
    let session = session(&db).await;
    put_keys(&db, session, 3).await;
    let rotated = with(&db, both());
    let held = db.hold("device_key").await;
    let done = reseal::all(&rotated).await.unwrap();
    assert_eq!((done.changed, done.busy, done.is_complete()), (0, 3, false));
    held.release().await;
    let done = reseal::all(&rotated).await.unwrap();
    assert_eq!((done.changed, done.is_complete()), (3, true));
}

#[tokio::test]
async fn what_opens_under_no_key_stays_and_is_counted() {
    let db = TestDatabase::new().await;
    let session = session(&db).await;
    put_keys(&db, session, 2).await;
    let stranger = with(&db, only_new());
    let done = reseal::all(&stranger).await.unwrap();
    let wanted = Resealed {
        seen: 2,
        unopened: 2,
        ..Resealed::default()
    };
    assert_eq!(done, wanted);
    let name = 0_i64.to_be_bytes().to_vec();
    assert!(
        keys::load(db.store(), session, &[(KeyKind(1), name)])
            .await
            .is_ok()
    );
}
