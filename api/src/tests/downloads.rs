//! Files of messages that came in: whole and in part, checked to their end, and fetched again by the phone.

use serde_json::json;
use shared::job::{FailureCode, MediaRefreshJob};

use super::*;

const MESSAGE: &str = "3EB0AABB";

/// More than a piece, and no whole number of blocks.
fn content() -> Vec<u8> {
    (0..200_003_u32).map(|at| at.to_le_bytes()[1]).collect()
}

fn path(token: &Token) -> String {
    format!("/v1/sessions/{token}/messages/{MESSAGE}/media")
}

impl TestApi {
    /// A message with a file that is there.
    async fn with_file(&self) -> Token {
        let token = self.open_session().await;
        self.media.put("a", &content(), |_| {});
        self.received(&token, (MESSAGE, "a"), &content(), "200003").await;
        token
    }

    async fn part(&self, token: &Token, headers: &[(&str, &str)]) -> Answered {
        let request = signed(Method::GET, &path(token));
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value));
        self.request(request.body(Body::empty()).unwrap()).await
    }
}

#[tokio::test]
async fn a_file_is_given_whole_and_in_part_and_never_as_a_page() {
    let api = TestApi::new().await;
    let token = api.with_file().await;
    let whole = api.get(&path(&token)).await;
    assert_eq!(whole.status, StatusCode::OK);
    assert!(whole.bytes == content());
    let header = |answered: &Answered, name: &str| answered.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header(&whole, "content-length"), "200003");
    assert_eq!(header(&whole, "content-type"), "application/octet-stream");
    assert_eq!(
        header(&whole, "content-disposition"),
        "attachment; filename*=UTF-8''report%20%C3%BC.pdf"
    );
    assert_eq!(header(&whole, "x-content-type-options"), "nosniff");
    let tag = header(&whole, "etag");

    let part = api.part(&token, &[("range", "bytes=100000-100015")]).await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&part, "content-range"), "bytes 100000-100015/200003");
    assert_eq!(part.bytes, content()[100_000..100_016]);
    let last = api
        .part(&token, &[("range", "bytes=-3"), ("if-range", &tag)])
        .await;
    assert_eq!(last.bytes, content()[200_000..]);
    let other = api
        .part(&token, &[("range", "bytes=-3"), ("if-range", "\"other\"")])
        .await;
    assert_eq!((other.status, other.bytes.len()), (StatusCode::OK, 200_003));
    let none = api.part(&token, &[("range", "bytes=200003-")]).await;
    assert_eq!(
        (none.status.as_u16(), &none.json()["code"]),
        (416, &json!("range_not_satisfiable"))
    );
    assert_eq!(header(&none, "content-range"), "bytes */200003");
    let same = api.part(&token, &[("if-none-match", &tag)]).await;
    assert_eq!((same.status, same.bytes.len()), (StatusCode::NOT_MODIFIED, 0));
}

#[tokio::test]
async fn what_turns_out_wrong_at_its_end_breaks_off_also_of_a_part_from_its_beginning() {
    let api = TestApi::new().await;
    let token = api.with_file().await;
    let is_whole = async |range: &str| {
        let request = signed(Method::GET, &path(&token)).header("range", range);
        let request = request.body(Body::empty()).unwrap();
        let response = api.router.clone().oneshot(request).await.unwrap();
        assert!(response.status().is_success());
        to_bytes(response.into_body(), usize::MAX).await.is_ok()
    };
    assert!(is_whole("bytes=0-").await && is_whole("bytes=0-9").await);
    // A byte of what it says, one of the MAC, and a byte too few.
    for change in [100_usize, 200_017] {
        api.media.put("a", &content(), |file| file[change] ^= 1);
        for range in ["bytes=0-", "bytes=0-9", "bytes=-3"] {
            assert!(
                !is_whole(range).await,
                "{range} of a file with another byte {change}"
            );
        }
    }
    api.media.put("a", &content(), |file| file.truncate(200_020));
    assert!(!is_whole("bytes=0-").await);
}

#[tokio::test]
async fn a_length_that_is_not_that_of_the_file_promises_nothing() {
    let api = TestApi::new().await;
    let token = api.open_session().await;
    api.media.put("a", &content(), |_| {});
    api.received(&token, (MESSAGE, "a"), &content(), "5").await;
    let answered = api.part(&token, &[("range", "bytes=0-2")]).await;
    assert_eq!(answered.status, StatusCode::OK);
    assert!(answered.bytes == content() && !answered.headers.contains_key("accept-ranges"));
}

#[tokio::test]
async fn the_phone_is_asked_for_what_the_host_has_no_more() {
    let api = TestApi::new().await;
    let mut worker = api.worker().await;
    let token = api.open_session().await;
    api.received(&token, (MESSAGE, "gone"), &content(), "200003")
        .await;
    let address = path(&token);
    let lost = Answer::Failed {
        code: FailureCode::Gone,
        message: "the phone does not have the file any more".to_owned(),
        field: None,
        until: None,
    };
    let (answered, job) = tokio::join!(api.get(&address), worker.answer(&lost));
    let message_id = MESSAGE.parse().unwrap();
    assert_eq!(job, Job::MediaRefresh(MediaRefreshJob { message_id }));
    assert_eq!(
        (answered.status.as_u16(), &answered.json()["code"]),
        (410, &json!("media_gone"))
    );
    // The worker has written down where it is now.
    let moved = async {
        let (_, delivery) = worker.next().await;
        api.media.put("b", &content(), |_| {});
        let sql = "UPDATE received_media SET direct_path = '/v/b'";
        api.database.query(sql).await;
        let done = Answer::Done {
            queue_id: None,
            reading: None,
        };
        let publisher = api.broker.broker().publisher();
        let to = delivery.reply_address().unwrap();
        publisher.reply(&to, &done).await.unwrap();
        delivery.ack().await.unwrap();
    };
    let (answered, ()) = tokio::join!(api.get(&address), moved);
    assert_eq!(answered.status, StatusCode::OK, "{:?}", answered.headers);
    assert!(answered.bytes == content());
}

#[tokio::test]
async fn no_file_no_session_and_no_host_are_told_apart() {
    let api = TestApi::new().await;
    let token = api.with_file().await;
    let unknown = api
        .get(&format!("/v1/sessions/{token}/messages/3EB0FF/media"))
        .await;
    assert_eq!(unknown.json()["code"], "message_not_found");
    let nobody = api.get("/v1/sessions/nobody/messages/3EB0FF/media").await;
    assert_eq!(nobody.json()["code"], "session_not_found");
    let long = "x".repeat(129);
    let bad = api
        .get(&format!("/v1/sessions/{token}/messages/{long}/media"))
        .await;
    assert_eq!(bad.json()["errors"][0]["field"], "messageId");
    let other = shared::testing::token();
    assert_eq!(api.get(&path(&other)).await.json()["code"], "session_not_found");
}
