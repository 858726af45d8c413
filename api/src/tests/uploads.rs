//! Files of callers: taken whole or not at all, named by sends, and gone when their time is over.

use axum::http::header::CONTENT_TYPE;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::uploads::UploadError;

impl TestApi {
    async fn upload(&self, kind: &str, body: impl Into<Body>) -> Answered {
        let request = Request::post("/v1/media")
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
            .header(CONTENT_TYPE, kind);
        self.request(request.body(body.into()).unwrap()).await
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
    let cut = api.upload("multipart/form-data; boundary=x", &form[..110]).await;
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
