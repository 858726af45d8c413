//! The past that the account's phone shares fills in what is not there, and changes nothing that is.

use super::*;

impl Bench {
    async fn recall<const N: usize>(&self, messages: [NewMessage; N]) {
        let past = messages
            .iter()
            .filter_map(|message| ChatChange::of_past(message, MAX));
        self.commit(|write| write.chats.extend(past)).await.unwrap();
    }

    async fn list_past(&self, name: Option<&str>, unread: u32, newest: Option<&NewMessage>) {
        let listed = ChatChange::listed(peer(ANA), name, unread, newest, MAX).unwrap();
        self.commit(|write| write.chats.push(listed)).await.unwrap();
    }
}

fn peer(jid: &str) -> Peer {
    Peer {
        jid: jid.to_owned(),
        lid: (jid == ANA).then(|| ANA_LID.to_owned()),
    }
}

/// One of Ana's messages, deleted for everyone by her.
fn deleted(id: &str, nth: i64) -> NewMessage {
    let body = json!({ "type": "REVOKE", "key": { "id": id, "fromMe": true } });
    told("D0", nth, ("protocolMessage", body))
}

/// One of Ana's messages, with other words.
fn edited(id: &str, nth: i64, text: &str) -> NewMessage {
    let body = json!({
        "type": "MESSAGE_EDIT", "key": { "id": id, "fromMe": true }, "editedMessage": { "conversation": text }
    });
    told("E0", nth, ("protocolMessage", body))
}

#[tokio::test]
async fn the_past_is_kept_once_however_often_it_comes() {
    let bench = Bench::new().await;
    let newest = said("A3", 30, "three");
    for _ in 0..2 {
        bench.list_past(None, 2, Some(&newest)).await;
        bench
            .recall([newest.clone(), own(said("A2", 20, "two")), said("A1", 10, "one")])
            .await;
    }
    let chat = bench.chat().await;
    assert_eq!(
        (chat.unread, chat.last.id.as_str()),
        (2, "A3"),
        "as the phone says"
    );
    assert_eq!((chat.jid.as_str(), chat.lid.as_deref()), (ANA, Some(ANA_LID)));
    assert_eq!(bench.ids().await, ["A3", "A2", "A1"]);
    assert_eq!(bench.found("two").await, ["A2"]);
    bench.recall([said("A0", 5, "zero")]).await;
    assert_eq!(bench.chat().await.last.id, "A3", "older ones move no chat");
    // What comes in then counts on.
    bench.keep([said("A4", 40, "four")]).await;
    assert_eq!(bench.chat().await.unread, 3);
    bench.keep([own(said("A5", 50, "five"))]).await;
    assert_eq!(bench.chat().await.unread, 0);
}

#[tokio::test]
async fn what_is_of_now_is_never_overwritten_by_the_past() {
    let bench = Bench::new().await;
    bench
        .keep([said("N1", 50, "now"), said("N2", 60, "and here")])
        .await;
    bench.keep([edited("N1", 70, "changed"), deleted("N2", 71)]).await;
    // The same messages as the phone had them, and one that was changed before it came.
    bench
        .keep([edited("P1", 72, "new words"), deleted("P2", 73)])
        .await;
    let before = bench.chat().await;
    bench
        .list_past(Some("Old name"), 9, Some(&said("P3", 40, "old")))
        .await;
    bench
        .recall([
            said("N2", 60, "and here"),
            said("N1", 50, "now"),
            said("P3", 40, "old"),
            said("P2", 30, "secret"),
            said("P1", 20, "old words"),
        ])
        .await;
    let after = bench.chat().await;
    assert_eq!((after.unread, &after.last), (before.unread, &before.last));
    let messages = bench.messages().await;
    let told: Vec<_> = messages
        .iter()
        .map(|message| {
            (
                message.id.as_str(),
                message.words.as_deref(),
                message.deleted_at.is_some(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("N2", None, true),
            ("N1", Some("changed"), false),
            ("P3", Some("old"), false),
            ("P2", None, true),
            ("P1", Some("new words"), false),
        ]
    );
    assert!(bench.found("secret").await.is_empty());
}

#[tokio::test]
async fn names_of_the_past_are_taken_where_none_is_known() {
    let bench = Bench::new().await;
    let met = |jid: &str, name: Option<&str>| ChatChange::met(peer(jid), name).unwrap();
    bench.keep([said("N1", 50, "now")]).await;
    let bea = "5531900000009@s.whatsapp.net";
    let past = [
        met(ANA, Some("Somebody")),
        met(bea, None),
        met(bea, Some("Bea")),
        met(bea, Some("Bee")),
    ];
    for change in past {
        bench.commit(|write| write.chats.push(change)).await.unwrap();
    }
    let contacts = chats::contacts(bench.db.store(), bench.session, None, 10)
        .await
        .unwrap();
    let names: Vec<_> = contacts
        .iter()
        .map(|contact| (contact.jid.as_str(), contact.name.as_deref()))
        .collect();
    assert_eq!(names, [(ANA, Some("Ana")), (bea, Some("Bea"))]);
    assert_eq!(ChatChange::met(peer("1-2@g.us"), Some("Friends")), None);
}

#[tokio::test]
async fn the_oldest_message_of_a_chat_is_found_by_either_name() {
    let bench = Bench::new().await;
    bench
        .recall([said("A2", 20, "two"), own(said("A1", 10, "one"))])
        .await;
    for name in [ANA, ANA_LID] {
        let found = chats::oldest::of_chat(bench.db.store(), bench.session, name)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (found.id.as_str(), found.from_me, found.chat.as_str()),
            ("A1", true, ANA)
        );
    }
    let nobody = chats::oldest::of_chat(bench.db.store(), bench.session, "1@g.us").await;
    assert_eq!(nobody.unwrap(), None);
}

/// A chat twice, a message twice and a person twice in one write, also beside what comes in: each is one row.
#[tokio::test]
async fn one_write_may_say_the_same_twice() {
    let bench = Bench::new().await;
    let message = said("A1", 10, "one");
    let listed = || ChatChange::listed(peer(ANA), None, 1, Some(&message), MAX).unwrap();
    let recalled = || ChatChange::of_past(&message, MAX).unwrap();
    let arrived = ChatChange::of(&said("A2", 20, "two"), arrives(&said("A2", 20, "two")), MAX).unwrap();
    bench
        .commit(|write| {
            write
                .chats
                .extend([listed(), recalled(), arrived, recalled(), listed()]);
        })
        .await
        .unwrap();
    assert_eq!(bench.ids().await, ["A2", "A1"]);
    let chat = bench.chat().await;
    assert_eq!((chat.unread, chat.last.id.as_str()), (1, "A2"));
}
