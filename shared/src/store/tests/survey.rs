//! Why recipients wait, as metrics count them: the same that the API says of their queue, and the same first.

use super::*;
use crate::waiting::Reason;

#[tokio::test]
async fn recipients_wait_for_what_the_api_says_of_their_queue() {
    let db = TestDatabase::new().await;
    let fence = db.lease(0, "w").await;
    let session = session(&db).await;
    accept(&db, fence, session, (&job_id(), &job(3))).await;
    // Each comes before those above it.
    let steps = [
        (
            "UPDATE session SET state = 3, wanted = true, paired_at = now(), jid = '5531900000001@s.whatsapp.net'",
            None,
        ),
        (
            "UPDATE session SET next_send_at = now() + interval '1 hour'",
            Some(Reason::Pace),
        ),
        (
            "UPDATE session SET look_up_at = now() + interval '1 hour'",
            Some(Reason::LookUp),
        ),
        (
            r#"UPDATE queue SET waiting = '{"reason": "cap"}'"#,
            Some(Reason::Cap),
        ),
        (
            "UPDATE session SET restriction = 1, restricted_since = now(), restricted_until = now() + interval '1 hour',
                restrictions = 2; UPDATE queue SET held_for = 2",
            Some(Reason::Restricted),
        ),
        (
            "UPDATE session SET rate_limited_until = now() + interval '1 hour'",
            Some(Reason::RateLimit),
        ),
        (
            "UPDATE queue SET account = '5531900000002'",
            Some(Reason::OtherAccount),
        ),
        ("UPDATE session SET state = 1", Some(Reason::NotConnected)),
        (
            "UPDATE queue SET state = 2, paused_at = now()",
            Some(Reason::Paused),
        ),
    ];
    for (sql, reason) in steps {
        db.query(sql).await;
        let waiting = crate::store::survey::recipients_waiting(db.store())
            .await
            .unwrap();
        assert_eq!(waiting, [(reason, 3)], "after {sql}");
    }
}
