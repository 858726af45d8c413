//! Notices, and how far the pieces are that they name.

use std::io::Write as _;

use flate2::{Compression, write::ZlibEncoder};
use prost::Message as _;

use super::*;
use crate::event::Dropped;
use crate::part::testing::Lender;
use crate::proto::{Conversation, HistorySync, HistorySyncMsg, Message, MessageKey, WebMessageInfo};

fn packed(history: &HistorySync) -> Bytes {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&history.encode_to_vec()).unwrap();
    packed.finish().unwrap().into()
}

fn in_a_file(n: u8) -> HistorySyncNotification {
    let field = Some(Bytes::from(vec![n; 32]));
    HistorySyncNotification {
        sync_type: Some(HistorySyncType::PushName.into()),
        media_key: field.clone(),
        file_sha256: field.clone(),
        file_enc_sha256: field,
        direct_path: Some(format!("/media/{n}")),
        ..HistorySyncNotification::default()
    }
}

fn inline(history: &HistorySync) -> HistorySyncNotification {
    HistorySyncNotification {
        sync_type: Some(HistorySyncType::InitialBootstrap.into()),
        initial_hist_bootstrap_inline_payload: Some(packed(history)),
        chunk_order: Some(1),
        progress: Some(100),
        ..HistorySyncNotification::default()
    }
}

fn salted() -> Bytes {
    packed(&HistorySync {
        nct_salt: Some(Bytes::from_static(b"salt")),
        ..HistorySync::default()
    })
}

/// A chat with so many messages.
fn chat(messages: u64) -> HistorySync {
    let message = |n: u64| HistorySyncMsg {
        message: Some(WebMessageInfo {
            key: Some(MessageKey {
                id: Some(format!("3EB0{n:06}")),
                from_me: Some(false),
                ..MessageKey::default()
            }),
            message: Some(Message {
                conversation: Some(format!("message {n}")),
                ..Message::default()
            }),
            message_timestamp: Some(1_000 + n),
            ..WebMessageInfo::default()
        }),
        msg_order_id: None,
    };
    HistorySync {
        conversations: vec![Conversation {
            id: Some("15550002@s.whatsapp.net".into()),
            messages: (0..messages).rev().map(message).collect(),
            ..Conversation::default()
        }],
        ..HistorySync::default()
    }
}

/// What a store holds of the history.
#[derive(Clone, Default)]
struct Store {
    pieces: Option<Bytes>,
    progress: Option<Bytes>,
}

/// A connection, and what it has written.
struct Bench {
    lender: Lender,
    history: History,
    store: Store,
    /// How many messages were told, and how often a piece was taken in, of what is durable.
    told: (usize, usize),
    learned: Vec<Learned>,
    /// How many pieces were told to be given up.
    given_up: usize,
}

impl Bench {
    fn new(store: Store) -> Self {
        Self::with(store, |_| {})
    }

    fn with(store: Store, set: impl FnOnce(&mut Lender)) -> Self {
        let mut lender = Lender::new();
        lender.pair();
        set(&mut lender);
        let mut history = History::new(PartId::new(7));
        history.start(&mut lender.context());
        assert_eq!(lender.take_load(), [RecordKey::history_pieces()]);
        for (ticket, values) in lender.answers(vec![store.pieces.clone()]) {
            history.on_loaded(&mut lender.context(), &ticket, values);
        }
        Self {
            lender,
            history,
            store,
            told: (0, 0),
            learned: Vec::new(),
            given_up: 0,
        }
    }

    fn name(&mut self, notice: &HistorySyncNotification) {
        self.history.take(&mut self.lender.context(), notice);
        self.go_on();
    }

    fn go_on(&mut self) {
        self.history.next(&mut self.lender.context());
        let load = self.lender.take_load();
        if load.is_empty() {
            return;
        }
        assert_eq!(load, [RecordKey::history_progress()]);
        self.commit();
        for (ticket, values) in self.lender.answers(vec![self.store.progress.clone()]) {
            self.history
                .on_loaded(&mut self.lender.context(), &ticket, values);
        }
        self.go_on();
    }

    /// Makes durable what has gathered.
    fn commit(&mut self) {
        let changes = self.lender.take_changes();
        let keep = |key: &RecordKey, to: &mut Option<Bytes>| {
            if let Some(value) = changes.get(key) {
                *to = value.cloned();
            }
        };
        keep(&RecordKey::history_pieces(), &mut self.store.pieces);
        keep(&RecordKey::history_progress(), &mut self.store.progress);
        for event in self.lender.take_events() {
            self.given_up += usize::from(matches!(
                event,
                Event::Dropped {
                    what: Dropped::HistoryPiece
                }
            ));
            let Event::History(news) = event else { continue };
            match news.portion {
                HistoryPortion::Messages(messages) => self.told.0 += messages.len(),
                HistoryPortion::Taken(_) | HistoryPortion::Refused(_) => self.told.1 += 1,
                HistoryPortion::People { .. } => {}
            }
        }
        self.history.on_step_taken();
        self.history.on_committed();
    }

    /// Reads the next portion, if one is to be read.
    fn unpack(&mut self) -> bool {
        let Some((ticket, unpacking)) = self.lender.take_unpacking() else {
            return false;
        };
        let cx = &mut self.lender.context();
        let learned = self.history.on_unpacked(cx, &ticket, unpacking.read_on());
        self.learned.extend(learned.map(|learned| *learned));
        true
    }

    /// Takes in all there is.
    fn finish(&mut self) {
        loop {
            while self.unpack() {}
            self.history.on_settled(&mut self.lender.context());
            self.commit();
            self.go_on();
            if !self.history.is_taking_in() {
                return;
            }
        }
    }
}

#[test]
fn a_piece_in_a_file_is_fetched_and_only_where_it_may_be_of_use() {
    let mut bench = Bench::new(Store::default());
    assert!(!bench.lender.has_changes(), "an ordinary login writes nothing");
    let nowhere = HistorySyncNotification {
        direct_path: None,
        ..in_a_file(1)
    };
    bench.name(&nowhere);
    assert!(bench.lender.take_download().is_none() && !bench.lender.has_changes());
    bench.name(&in_a_file(1));
    let (ticket, download) = bench.lender.take_download().unwrap();
    assert_eq!(
        (download.blob.path.as_str(), download.max_bytes),
        ("/media/1", MAX_FILE_BYTES)
    );
    assert!(bench.store.pieces.is_some(), "kept before it is fetched");
    let cx = &mut bench.lender.context();
    bench.history.on_downloaded(cx, &ticket, Ok(salted()));
    bench.finish();
    assert_eq!(bench.learned[0].salt.as_deref(), Some(&b"salt"[..]));
    assert_eq!(bench.store.pieces, None);
    assert_eq!(bench.history.deadline(), None);
    for (depth, is_wanted) in [(Depth::Recent, false), (Depth::Full, true)] {
        let full = HistorySyncNotification {
            sync_type: Some(HistorySyncType::Full.into()),
            ..in_a_file(1)
        };
        assert_eq!(is_of_use(&full, depth), is_wanted);
    }
}

#[test]
fn what_can_t_be_fetched_is_tried_again_later_and_later_and_given_up_in_the_end() {
    let mut bench = Bench::new(Store::default());
    bench.name(&in_a_file(1));
    let mut waits = Vec::new();
    for _ in 1..MAX_HISTORY_TRIES {
        let (ticket, _) = bench.lender.take_download().expect("a try");
        let away = DownloadError::Unreachable("away".into());
        let cx = &mut bench.lender.context();
        bench.history.on_downloaded(cx, &ticket, Err(away));
        bench.go_on();
        assert!(bench.lender.take_download().is_none(), "not at once");
        bench.commit();
        let due = bench.history.deadline().expect("a time");
        waits.push(due.since(bench.lender.now).as_secs());
        bench.lender.now = due;
        // What was tried counts over restarts, too.
        let now = bench.lender.now;
        bench = Bench::with(bench.store, |lender| lender.now = now);
        bench.go_on();
    }
    assert_eq!((waits[0], waits[1], waits.last()), (2, 4, Some(&3600)));
    let (ticket, _) = bench.lender.take_download().expect("the last try");
    let cx = &mut bench.lender.context();
    bench
        .history
        .on_downloaded(cx, &ticket, Err(DownloadError::TimedOut));
    bench.commit();
    assert_eq!(bench.given_up, 1);
    assert_eq!((bench.store.pieces, bench.history.deadline()), (None, None));
}

/// A piece that ends the process whenever it is read must not do so for ever.
#[test]
fn a_piece_that_no_try_comes_back_from_is_given_up_too() {
    let mut bench = Bench::new(Store::default());
    bench.name(&in_a_file(1));
    for _ in 1..MAX_HISTORY_TRIES {
        assert!(bench.lender.take_download().is_some());
        bench.commit();
        let due = bench.lender.now + std::time::Duration::from_secs(3600);
        bench = Bench::with(bench.store, |lender| lender.now = due);
        bench.go_on();
    }
    assert!(bench.lender.take_download().is_some(), "the last try");
    bench.commit();
    let mut bench = Bench::new(bench.store);
    bench.go_on();
    assert!(bench.lender.take_download().is_none());
    bench.commit();
    assert_eq!(bench.given_up, 1);
    assert_eq!((bench.store.pieces, bench.history.deadline()), (None, None));
}

#[test]
fn a_file_that_is_gone_is_not_asked_for_again() {
    let mut bench = Bench::new(Store::default());
    bench.name(&in_a_file(1));
    let (ticket, _) = bench.lender.take_download().unwrap();
    let cx = &mut bench.lender.context();
    bench
        .history
        .on_downloaded(cx, &ticket, Err(DownloadError::Expired));
    bench.commit();
    assert_eq!(bench.store.pieces, None);
}

#[test]
fn pieces_that_were_named_before_a_restart_are_fetched_after_it_one_after_the_other() {
    let mut bench = Bench::new(Store::default());
    for n in [1, 2, 1] {
        bench.name(&in_a_file(n));
    }
    bench.commit();
    let mut bench = Bench::with(bench.store, |lender| {
        lender.now = lender.now + std::time::Duration::from_secs(2);
    });
    bench.go_on();
    let mut paths = Vec::new();
    while let Some((ticket, download)) = bench.lender.take_download() {
        paths.push(download.blob.path);
        let cx = &mut bench.lender.context();
        bench.history.on_downloaded(cx, &ticket, Ok(salted()));
        bench.unpack();
        bench.unpack();
        bench.history.on_settled(&mut bench.lender.context());
        bench.commit();
        bench.go_on();
    }
    assert_eq!(paths, ["/media/1", "/media/2"], "each once");
    assert_eq!(bench.store.pieces, None);
}

/// The promise: each message once, whenever the process ends, and the notice is kept until the last of them is told.
#[test]
fn a_piece_goes_on_where_it_was_when_the_process_ended() {
    const MESSAGES: usize = 1_050;
    for kill_after in 0..9 {
        let mut bench = Bench::new(Store::default());
        bench.name(&inline(&chat(MESSAGES as u64)));
        for _ in 0..kill_after {
            bench.unpack();
            bench.commit();
            bench.go_on();
        }
        // Read, and not durable.
        bench.unpack();
        let (before, store) = (bench.told.0, bench.store);
        assert!(store.pieces.is_some());
        let mut bench = Bench::with(store, |lender| {
            lender.now = lender.now + std::time::Duration::from_secs(10);
        });
        bench.go_on();
        bench.finish();
        assert_eq!(bench.told.0 + before, MESSAGES, "killed after {kill_after}");
        assert_eq!((bench.told.1, bench.store.pieces), (1, None));
    }
}

#[test]
fn a_portion_is_read_when_the_one_before_is_durable() {
    let mut bench = Bench::new(Store::default());
    bench.name(&inline(&chat(500)));
    assert!(bench.unpack() && bench.unpack(), "names, then people");
    for _ in 0..3 {
        bench.go_on();
        assert!(!bench.unpack(), "not durable yet");
    }
    bench.history.on_committed();
    bench.go_on();
    assert!(!bench.unpack(), "that was the step before");
    bench.commit();
    assert_eq!(bench.history.deadline(), Some(Timestamp::EPOCH), "at once");
    bench.go_on();
    assert!(bench.unpack());
}

#[test]
fn a_piece_that_comes_twice_is_told_once() {
    let mut bench = Bench::new(Store::default());
    bench.name(&inline(&chat(10)));
    bench.finish();
    assert_eq!(bench.told, (10, 1));
    bench.name(&inline(&chat(10)));
    bench.finish();
    assert_eq!((bench.told, bench.store.pieces.as_ref()), ((10, 1), None));
    let mut bench = Bench::new(bench.store);
    bench.name(&inline(&chat(10)));
    bench.finish();
    assert_eq!(bench.told, (0, 0), "nor after a restart");
    bench.name(&inline(&chat(11)));
    bench.finish();
    assert_eq!(bench.told, (11, 1), "another one is");
}

#[test]
fn where_no_history_is_wanted_only_names_and_tokens_are_read() {
    let mut bench = Bench::with(Store::default(), |lender| lender.set_history(Depth::Off));
    let mut piece = chat(10);
    piece.nct_salt = Some(Bytes::from_static(b"salt"));
    bench.name(&inline(&piece));
    bench.finish();
    assert_eq!((bench.told, bench.learned.len()), ((0, 0), 1));
    assert!(bench.learned[0].salt.is_some() && bench.store.pieces.is_none());
}

#[test]
fn what_is_no_history_is_said_to_be_none_and_harms_nothing() {
    let mut bench = Bench::new(Store::default());
    let rubbish = HistorySyncNotification {
        initial_hist_bootstrap_inline_payload: Some(Bytes::from_static(b"rubbish")),
        ..inline(&chat(1))
    };
    bench.name(&rubbish);
    bench.finish();
    assert_eq!((bench.told, bench.store.pieces.as_ref()), ((0, 1), None));
    bench.name(&inline(&chat(3)));
    bench.finish();
    assert_eq!(bench.told, (3, 2));
}

#[test]
fn so_many_pieces_are_kept_and_no_more() {
    let mut bench = Bench::new(Store::default());
    let mut last = 0;
    for n in 0..MAX_HISTORY_PIECES as u8 + 3 {
        bench.name(&in_a_file(100 + n));
        bench.commit();
        let size = bench.store.pieces.as_ref().expect("a record").len();
        assert_eq!(size > last, usize::from(n) < MAX_HISTORY_PIECES, "{n}");
        last = size;
    }
}
