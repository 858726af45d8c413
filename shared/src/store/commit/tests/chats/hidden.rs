//! What somebody wrote in groups while their hidden id alone was known is theirs by the number.

use super::*;

const GROUP: &str = "1203630001@g.us";

/// The same in a group.
fn in_group(mut message: NewMessage) -> NewMessage {
    let hidden = message.header.phone_number.is_none();
    message.header.participant = Some(if hidden { ANA_LID } else { ANA }.to_owned());
    message.header.wuid = GROUP.to_owned();
    message.context.from_group = true;
    message
}

impl Bench {
    async fn of_group(&self) -> Vec<messages::KeptMessage> {
        let names = chats::names(self.db.store(), self.session, GROUP).await.unwrap();
        messages::of_chat(self.db.store(), self.session, &names, None, 10)
            .await
            .unwrap()
    }

    async fn senders(&self) -> Vec<(String, String)> {
        let all = self.of_group().await.into_iter();
        all.map(|message| (message.id, message.sender)).collect()
    }
}

fn sent(id: &str, sender: &str) -> (String, String) {
    (id.to_owned(), sender.to_owned())
}

#[tokio::test]
async fn messages_in_groups_get_the_number_when_a_message_tells_it() {
    let bench = Bench::new().await;
    let react = told(
        "R1",
        3,
        ("reactionMessage", json!({ "text": "🦖", "key": { "id": "A1" } })),
    );
    bench
        .keep([
            in_group(hidden(said("A1", 1, "who am I"))),
            in_group(hidden(said("A2", 2, "me"))),
            in_group(hidden(react)),
        ])
        .await;
    assert_eq!(bench.senders().await, [sent("A2", ANA_LID), sent("A1", ANA_LID)]);
    // A message of the chat with them tells both names, and moves nothing in the group but the names.
    bench.keep([said("A3", 4, "Ana")]).await;
    assert_eq!(bench.senders().await, [sent("A2", ANA), sent("A1", ANA)]);
    let reactions = &bench.of_group().await[1].reactions;
    assert_eq!((reactions.len(), reactions[0].sender.as_str()), (1, ANA));
    let group = listing::find(bench.db.store(), bench.session, GROUP)
        .await
        .unwrap();
    assert_eq!(group.unwrap().last.sender, ANA);
    assert_eq!(bench.found("who").await, ["A1"]);
}

#[tokio::test]
async fn a_message_that_is_there_by_both_names_stays_once_and_is_edited_by_the_number() {
    let bench = Bench::new().await;
    bench
        .keep([
            in_group(hidden(said("A1", 1, "once"))),
            in_group(hidden(said("A2", 2, "first words"))),
        ])
        .await;
    let edit = json!({
        "type": "MESSAGE_EDIT", "key": { "id": "A2", "fromMe": true }, "editedMessage": { "conversation": "others" }
    });
    // The same message by the number, and an edit of another.
    bench.keep([in_group(said("A1", 1, "once"))]).await;
    bench
        .keep([in_group(told("E1", 3, ("protocolMessage", edit)))])
        .await;
    assert_eq!(bench.senders().await, [sent("A2", ANA), sent("A1", ANA)]);
    assert_eq!(bench.found("others").await, ["A2"]);
}

#[tokio::test]
async fn their_messages_are_found_by_an_index() {
    let bench = Bench::new().await;
    bench
        .db
        .query(&format!(
            "INSERT INTO message (session_id, chat, id, from_me, sender, at, kind)
             SELECT {}, '{GROUP}', n::text, false,
                CASE WHEN n % 1000 = 0 THEN '{ANA_LID}' WHEN n % 2 = 0 THEN n || '@lid' ELSE n || '@s.whatsapp.net' END,
                now(), 'conversation'
             FROM generate_series(1, 20000) n",
            bench.session.get()
        ))
        .await;
    bench.db.query("ANALYZE message").await;
    let plan = bench
        .db
        .query(&format!(
            "EXPLAIN SELECT ctid FROM message WHERE session_id = {} AND sender = '{ANA_LID}' AND sender LIKE '%@lid'
             ORDER BY at DESC LIMIT 2000",
            bench.session.get()
        ))
        .await;
    let plan: Vec<String> = plan.into_iter().flatten().collect();
    assert!(
        plan.iter().any(|line| line.contains("message_hidden")),
        "{plan:#?}"
    );
    bench.keep([said("A1", 1, "Ana")]).await;
    let left = "SELECT count(*)::text FROM message WHERE sender = '98765@lid'";
    assert_eq!(bench.db.query(left).await, [Some("0".to_owned())]);
}
