//! Files of callers: taken whole or not at all, named by sends, and gone when their time is over.

use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use shared::store::media::Room;
use tokio::sync::mpsc;

use super::*;
use crate::uploads::UploadError;

impl TestApi {
    async fn upload(&self, kind: &str, body: impl Into<Body>) -> Answered {
        let request = Request::post("/v1/media")
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
            .header(CONTENT_TYPE, kind);
        self.request(request.body(body.into()).unwrap()).await
    }

    /// With so much room for files, as many of which come in at a time.
    async fn with_room(files: u64, bytes: u64, at_a_time: usize) -> Self {
        let uploads = UploadSettings {
            room: Room { files, bytes },
            at_a_time,
            ..UploadSettings::default()
        };
        Self::with(SendLimits::default(), uploads).await
    }

    /// Waits until there are rows of so many files.
    async fn rows(&self, count: usize) {
        let waited = async {
            while self.database.query("SELECT 1 FROM media").await.len() != count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.expect("in time");
    }

    /// How many files lie in the store.
    fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path()).unwrap().count()
    }
}

#[tokio::test]
async fn a_file_is_taken_shown_and_removed() {
    let api = TestApi::new().await;
    let file = vec![7; 100_000];
    let answered = api.upload("image/jpeg; q=1", file.clone()).await;
    assert_eq!(answered.status, StatusCode::CREATED, "{answered:?}");
    let told = answered.json();
    assert_eq!(
        (&told["mimetype"], &told["length"], &told["sha256"]),
        (
            &json!("image/jpeg; q=1"),
            &json!(100_000),
            &json!(hex::encode(Sha256::digest(&file)))
        )
    );
    let path = format!("/v1/media/{}", told["id"].as_str().unwrap());
    assert_eq!(api.get(&path).await.json(), told);
    assert_eq!(api.files(), 1);
    assert_eq!(api.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(api.files(), 0);
    for answered in [api.get(&path).await, api.delete(&path).await] {
        assert_eq!(answered.json()["code"], "media_not_found");
    }
    assert_eq!(api.get("/v1/media/x").await.json()["errors"][0]["field"], "id");
}

#[tokio::test]
async fn a_form_brings_its_first_file() {
    let api = TestApi::new().await;
    let form = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\
                Content-Type: text/csv\r\n\r\na,b\r\n--x--\r\n";
    let answered = api.upload("multipart/form-data; boundary=x", form).await;
    let told = answered.json();
    assert_eq!(
        (&told["mimetype"], &told["length"]),
        (&json!("text/csv"), &json!(3))
    );
    let none = api.upload("multipart/form-data; boundary=x", "--x--\r\n").await;
    assert_eq!(none.json()["errors"][0]["field"], "file", "{none:?}");
    let cut = api
        .upload("multipart/form-data; boundary=x", &form[..form.len() - 9])
        .await;
    assert_eq!(cut.json()["code"], "malformed_body", "{cut:?}");
    assert_eq!(api.files(), 1, "nothing of it is kept");
}

#[tokio::test]
async fn what_is_too_large_empty_or_breaks_off_leaves_nothing() {
    let api = TestApi::new().await;
    let large = api.upload("image/png", vec![0; (1 << 20) + 1]).await;
    assert_eq!(
        (large.status.as_u16(), &large.json()["errors"][0]["field"]),
        (413, &json!("body"))
    );
    let empty = api.upload("image/png", "").await;
    assert_eq!(empty.json()["errors"][0]["field"], "body");
    let pieces = [Ok("some of it"), Err(std::io::Error::other("cut"))];
    let broken = Body::from_stream(futures_util::stream::iter(pieces));
    assert_eq!(
        api.upload("image/png", broken).await.json()["code"],
        "malformed_body"
    );
    assert_eq!(api.files(), 0);
    assert!(api.database.query("SELECT 1 FROM media").await.is_empty());
}

#[tokio::test]
async fn a_send_names_a_file_that_is_there() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.session().await;
    let told = api.upload("image/png", "a picture").await.json();
    let send = |id: &Value| json!({ "number": "5531900000001", "message": { "type": "image", "media": { "id": id } } });
    let path = format!("/v1/sessions/{token}/messages");
    let answered = api.post(&path, &send(&told["id"])).await;
    assert_eq!(answered.status, StatusCode::ACCEPTED, "{answered:?}");
    let (job, _) = worker.accept().await;
    assert_eq!(
        serde_json::to_value(&job).unwrap()["message"]["media"]["id"],
        told["id"]
    );
    let unknown = api
        .post(&path, &send(&json!("00000000-0000-4000-8000-000000000000")))
        .await;
    assert_eq!(unknown.json()["errors"][0]["field"], "message.media.id");
    let both = json!({ "number": "5531900000001", "message": { "type": "image",
        "media": { "id": told["id"], "url": "https://example.com/a" } } });
    let both = api.post(&path, &both).await;
    assert_eq!(both.json()["errors"][0]["field"], "message.media");
}

#[tokio::test]
async fn files_go_when_their_time_is_over_and_none_are_taken_without_a_place() {
    let api = TestApi::new().await;
    let told = api.upload("image/png", "a picture").await.json();
    let expire = "UPDATE media SET expires_at = now() - interval '1 second'";
    api.database.query(expire).await;
    let path = format!("/v1/media/{}", told["id"].as_str().unwrap());
    assert_eq!(api.get(&path).await.json()["code"], "media_not_found");
    api.app.uploads.sweep_once(&api.app.store).await.unwrap();
    assert_eq!(api.files(), 0);
    assert!(api.database.query("SELECT 1 FROM media").await.is_empty());
    let nowhere = Uploads::default();
    let refused = nowhere.sweep_once(&api.app.store).await;
    assert!(refused.is_ok());
    let id = shared::id::MediaId::new(uuid::Uuid::nil());
    let refused = nowhere.delete(&api.app.store, id).await;
    assert!(matches!(refused, Err(UploadError::NoStore)));
}

/// A body whose length is not said.
fn unmeasured(bytes: usize) -> Body {
    Body::from_stream(stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![
        1;
        bytes
    ]))]))
}

/// A body that comes as it is told to.
fn told() -> (mpsc::UnboundedSender<std::io::Result<Bytes>>, Body) {
    let (tell, told) = mpsc::unbounded_channel();
    let pieces = stream::unfold(told, async |mut told: mpsc::UnboundedReceiver<_>| {
        told.recv().await.map(|piece| (piece, told))
    });
    (tell, Body::from_stream(pieces))
}

#[tokio::test]
async fn what_finds_no_room_in_the_store_is_refused_until_there_is() {
    let api = TestApi::with_room(2, 1_000, 4).await;
    let upload = async |body: Body| {
        let answered = api.upload("image/png", body).await;
        (answered.status.as_u16(), answered.json())
    };
    let (status, first) = upload(vec![1; 600].into()).await;
    assert_eq!(status, 201, "{first}");
    for body in [Body::from(vec![1; 401]), unmeasured(401)] {
        let (status, refused) = upload(body).await;
        assert_eq!((status, &refused["code"]), (507, &json!("media_store_full")));
        assert!(
            refused["detail"].as_str().unwrap().contains("MEDIA_STORE_BYTES"),
            "{refused}"
        );
    }
    assert_eq!(upload(vec![1; 300].into()).await.0, 201);
    assert_eq!(upload("x".into()).await.0, 507, "there are two already");
    assert_eq!(api.files(), 2);
    api.rows(2).await;
    let first = format!("/v1/media/{}", first["id"].as_str().unwrap());
    assert_eq!(api.delete(&first).await.status, StatusCode::NO_CONTENT);
    assert_eq!(upload(unmeasured(700)).await.0, 201);
    // What is over its time makes room at once.
    let expire = "UPDATE media SET expires_at = now() - interval '1 second'";
    api.database.query(expire).await;
    assert_eq!(upload(vec![1; 1_000].into()).await.0, 201);
    assert_eq!(api.files(), 1);
}

#[tokio::test]
async fn of_two_that_come_for_the_same_room_one_gets_it() {
    let api = TestApi::with_room(10, 1_000, 4).await;
    let [one, other] = [told(), told()];
    let both = async {
        // Either has begun before the other has come.
        api.rows(2).await;
        for tell in [one.0, other.0] {
            tell.send(Ok(vec![1; 600].into())).unwrap();
        }
    };
    let uploads = (api.upload("image/png", one.1), api.upload("image/png", other.1));
    let (one, other, ()) = tokio::join!(uploads.0, uploads.1, both);
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 507]);
    assert_eq!(api.files(), 1);
    api.rows(1).await;
}

#[tokio::test]
async fn only_so_many_come_at_a_time_and_of_one_whose_client_leaves_nothing_is_left() {
    let api = TestApi::with_room(10, 1_000, 1).await;
    let (tell, body) = told();
    let refused = async {
        api.rows(1).await;
        let refused = api.upload("image/png", "a picture").await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["code"]),
            (503, &json!("uploads_busy"))
        );
        assert!(refused.headers.contains_key(header::RETRY_AFTER));
        tell.send(Ok("a picture".into())).unwrap();
        drop(tell);
    };
    let (first, ()) = tokio::join!(api.upload("image/png", body), refused);
    assert_eq!(first.status, StatusCode::CREATED);

    let (tell, body) = told();
    tokio::select! {
        _ = api.upload("image/png", body) => panic!("it was answered"),
        () = api.rows(2) => {}
    }
    tell.send(Err(std::io::Error::other("gone"))).unwrap();
    api.rows(1).await;
    assert_eq!(api.files(), 1);
    let next = api.upload("image/png", "a picture").await;
    assert_eq!(next.status, StatusCode::CREATED);
}
