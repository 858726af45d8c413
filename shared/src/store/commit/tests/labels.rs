//! Labels and what has them are kept, over both names of a person.

use super::*;
use crate::store::chats::change::{ChatChange, Peer};
use crate::store::chats::deletion::{self, Person};
use crate::store::chats::labels::{self, Label, LabelChange, LabeledRecord, Labeling};

const ANA: &str = "5531900000000@s.whatsapp.net";
const LID: &str = "98765@lid";
const GROUP: &str = "1203630001@g.us";

fn peer(jid: &str, lid: Option<&str>) -> Peer {
    Peer {
        jid: jid.to_owned(),
        lid: lid.map(str::to_owned),
    }
}

fn label(id: &str, name: &str) -> LabelChange {
    LabelChange::Edited(Label {
        id: id.to_owned(),
        name: name.to_owned(),
        color: 3,
        predefined: None,
    })
}

fn labeling(label: &str, chat: Peer, message: Option<&str>) -> Labeling {
    Labeling {
        label: label.to_owned(),
        chat,
        message: message.map(str::to_owned),
    }
}

impl Bench {
    async fn labels<const N: usize>(&self, changes: [LabelChange; N]) {
        self.commit(|write| write.labels.extend(changes)).await.unwrap();
    }

    /// Ids, names, and how many chats and messages have each.
    async fn listed_labels(&self) -> Vec<(String, String, u64, u64)> {
        let all = labels::list(self.db.store(), self.session, None, 10)
            .await
            .unwrap();
        let shown = all.into_iter().map(|found| {
            let label = found.label;
            (label.id, label.name, found.chats, found.messages)
        });
        shown.collect()
    }

    async fn with_label(&self, label: &str) -> Vec<LabeledRecord> {
        let found = labels::given(self.db.store(), self.session, label, None, 10).await;
        found.unwrap()
    }
}

fn shown(id: &str, name: &str, chats: u64, messages: u64) -> (String, String, u64, u64) {
    (id.to_owned(), name.to_owned(), chats, messages)
}

#[tokio::test]
async fn labels_are_kept_until_they_are_deleted_with_all_that_had_them() {
    let bench = Bench::new().await;
    let (ana, group) = (|| peer(ANA, None), || peer(GROUP, None));
    // What has a label may come before it, and all of it twice.
    for _ in 0..2 {
        bench
            .labels([
                LabelChange::Given(labeling("7", ana(), None)),
                LabelChange::Given(labeling("7", group(), Some("A1"))),
                LabelChange::Given(labeling("7", group(), Some("A2"))),
                LabelChange::Taken(labeling("7", group(), Some("A2"))),
                label("7", "New"),
                label("7", "New customer"),
                label("8", "Paid"),
            ])
            .await;
    }
    assert_eq!(
        bench.listed_labels().await,
        [shown("7", "New customer", 1, 1), shown("8", "Paid", 0, 0)]
    );
    let behind = labels::list(bench.db.store(), bench.session, Some("7"), 10).await;
    assert_eq!(behind.unwrap().len(), 1);
    let given = bench.with_label("7").await;
    assert_eq!(
        (given[0].jid.as_str(), given[0].message.as_deref()),
        (GROUP, Some("A1"))
    );
    let place = Some((GROUP, "A1"));
    let behind = labels::given(bench.db.store(), bench.session, "7", place, 10).await;
    assert_eq!(behind.unwrap(), given[1..]);
    bench
        .labels([LabelChange::Taken(labeling("7", ana(), None))])
        .await;
    assert_eq!(bench.with_label("7").await.len(), 1);
    // Deleted, and one of its id made anew, in one write: nothing has that one.
    bench
        .labels([LabelChange::Deleted("7".to_owned()), label("7", "Other")])
        .await;
    assert_eq!(bench.listed_labels().await[0], shown("7", "Other", 0, 0));
    bench.labels([LabelChange::Deleted("7".to_owned())]).await;
    assert_eq!(bench.listed_labels().await, [shown("8", "Paid", 0, 0)]);
    let exists = labels::exists(bench.db.store(), bench.session, "7").await;
    assert!(!exists.unwrap());
}

#[tokio::test]
async fn what_has_a_label_by_the_hidden_id_has_it_by_the_number() {
    let bench = Bench::new().await;
    let given = |chat| LabelChange::Given(labeling("7", chat, None));
    bench.labels([label("7", "New"), given(peer(LID, None))]).await;
    // Told by both names.
    bench.labels([given(peer(ANA, Some(LID)))]).await;
    let names = |rows: Vec<LabeledRecord>| -> Vec<String> { rows.into_iter().map(|row| row.jid).collect() };
    assert_eq!(names(bench.with_label("7").await), [ANA]);
    // In one write, whichever comes first.
    bench
        .labels([
            given(peer(LID, None)),
            LabelChange::Taken(labeling("7", peer(ANA, Some(LID)), None)),
        ])
        .await;
    assert_eq!(bench.with_label("7").await, []);
    // A message that tells both names takes it along.
    bench.labels([given(peer(LID, None))]).await;
    bench
        .commit(|write| {
            write
                .chats
                .push(ChatChange::Met(peer(ANA, Some(LID)), Some("Ana".to_owned())));
        })
        .await
        .unwrap();
    let given = bench.with_label("7").await;
    assert_eq!(
        (given.len(), given[0].jid.as_str(), given[0].lid.as_deref()),
        (1, ANA, Some(LID))
    );
    let person = Person {
        jids: vec![ANA.to_owned(), LID.to_owned()],
        records: Vec::new(),
    };
    deletion::forget_person(bench.db.store(), bench.fence, bench.session, &person)
        .await
        .unwrap();
    assert_eq!(bench.listed_labels().await, [shown("7", "New", 0, 0)]);
}

#[test]
fn what_the_database_has_no_room_for_is_clipped_or_left_out() {
    let long = "x".repeat(300);
    let Some(LabelChange::Edited(clipped)) = label("7", &format!("\0{long}")).storable() else {
        panic!("it is left out");
    };
    assert_eq!(clipped.name.len(), 256);
    for change in [
        label("", "New"),
        LabelChange::Deleted(long.clone()),
        LabelChange::Given(labeling("7", peer(ANA, None), Some(""))),
        LabelChange::Taken(labeling("7", peer(&long, None), None)),
    ] {
        assert_eq!(change.clone().storable(), None, "{change:?}");
    }
}

#[tokio::test]
async fn an_account_that_is_logged_out_leaves_no_labels_to_the_next() {
    let bench = Bench::new().await;
    let given = || LabelChange::Given(labeling("7", peer(ANA, None), None));
    bench.labels([label("7", "New"), given()]).await;
    bench
        .commit(|write| write.session_row().forget_keys = true)
        .await
        .unwrap();
    assert_eq!(bench.listed_labels().await, []);
    assert_eq!(bench.with_label("7").await, []);
    bench.labels([label("7", "Of another")]).await;
    assert_eq!(bench.listed_labels().await, [shown("7", "Of another", 0, 0)]);
}
