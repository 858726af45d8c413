//! Pieces that another client made, and pieces that nobody should have.

use std::io::Write as _;

use flate2::{Compression, write::ZlibEncoder};
use prost::Message as _;

use super::*;
use crate::part::testing::Lender;
use crate::proto::{Conversation, HistorySync, PhoneNumberToLidMapping, Pushname};
use crate::testing::{bytes, state_vector};
use crate::time::Timestamp;

fn packed(bytes: &[u8]) -> Bytes {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap().into()
}

fn learned(history: &HistorySync) -> Learned {
    let mut lender = Lender::new();
    lender.pair();
    read(&lender.context(), &packed(&history.encode_to_vec())).unwrap()
}

#[test]
fn the_history_of_another_client_is_read() {
    let case = state_vector("history_sync");
    let inline = Bytes::from(bytes(&case["inline_zlib"]));
    let learned = read(&Lender::new().context(), &inline).unwrap();
    let names: Vec<_> = learned
        .names
        .iter()
        .map(|(a, b)| (a.to_string(), b.to_string()))
        .collect();
    assert_eq!(
        names,
        [(
            "5511999999999@s.whatsapp.net".to_owned(),
            "100000000000001@lid".to_owned()
        )]
    );
    assert!(learned.tokens.is_empty() && learned.salt.is_none() && learned.own_name.is_none());
}

#[test]
fn names_tokens_and_salt_are_taken_and_odd_ones_are_not() {
    let chat = |id: &str, lid: Option<&str>, token: Option<&'static [u8]>, at, by_us| Conversation {
        id: Some(id.to_owned()),
        lid_jid: lid.map(str::to_owned),
        tc_token: token.map(Bytes::from_static),
        tc_token_timestamp: at,
        tc_token_sender_timestamp: by_us,
        ..Conversation::default()
    };
    let name = |id: &str, name: &str| Pushname {
        id: Some(id.to_owned()),
        pushname: Some(name.to_owned()),
    };
    let pair = |phone: &str, lid: &str| PhoneNumberToLidMapping {
        pn_jid: Some(phone.to_owned()),
        lid_jid: Some(lid.to_owned()),
    };
    let learned = learned(&HistorySync {
        conversations: vec![
            chat(
                "15550002@s.whatsapp.net",
                Some("102@lid"),
                Some(b"token"),
                Some(7),
                None,
            ),
            chat("103@lid", None, None, None, Some(9)),
            chat("104@lid", None, Some(b"token"), None, None),
            chat("105@lid", None, Some(b""), Some(7), Some(0)),
            chat("1-2@g.us", None, Some(b"token"), Some(7), None),
            chat("rubbish", None, Some(b"token"), Some(7), None),
        ],
        pushnames: vec![
            name("15550002@s.whatsapp.net", "Bea"),
            name("15551230001@s.whatsapp.net", "Ann"),
        ],
        phone_number_to_lid_mappings: vec![
            pair("15550002@s.whatsapp.net", "102@lid"),
            pair("102@lid", "15550002@s.whatsapp.net"),
            pair("", "@@"),
        ],
        nct_salt: Some(Bytes::from_static(b"salt")),
        ..HistorySync::default()
    });
    assert_eq!(learned.own_name.as_deref(), Some("Ann"));
    assert_eq!(learned.salt.as_deref(), Some(&b"salt"[..]));
    assert_eq!(learned.names.len(), 1);
    let tokens: Vec<_> = learned
        .tokens
        .iter()
        .map(|given| {
            (
                given.owner.to_string(),
                given.token.as_deref(),
                given.issued_to_us,
                given.issued_by_us,
            )
        })
        .collect();
    let at = Timestamp::from_secs;
    assert_eq!(
        tokens,
        [
            ("102@lid".to_owned(), Some(&b"token"[..]), at(7), None),
            ("103@lid".to_owned(), None, at(0), Some(at(9))),
        ]
    );
}

#[test]
fn what_is_no_history_teaches_nothing() {
    let lender = &mut Lender::new();
    for odd in [Bytes::new(), Bytes::from_static(b"rubbish"), packed(b"\xff\xff")] {
        assert!(read(&lender.context(), &odd).is_none());
    }
}

#[test]
fn a_piece_that_inflates_without_end_is_refused() {
    let lender = &mut Lender::new();
    let bomb = packed(&vec![0; (64 << 20) + 1]);
    assert!(bomb.len() < 1 << 20);
    assert!(read(&lender.context(), &bomb).is_none());
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

fn salted() -> Bytes {
    let history = HistorySync {
        nct_salt: Some(Bytes::from_static(b"salt")),
        ..HistorySync::default()
    };
    packed(&history.encode_to_vec())
}

/// A connection whose store has this of earlier ones.
fn started(lender: &mut Lender, kept: Option<Bytes>) -> History {
    let mut history = History::new(PartId::new(7));
    history.start(&mut lender.context());
    assert_eq!(lender.take_load(), [RecordKey::history_pieces()]);
    for (ticket, values) in lender.answers(vec![kept]) {
        history.on_loaded(&mut lender.context(), &ticket, values);
    }
    history
}

fn name(history: &mut History, lender: &mut Lender, notice: &HistorySyncNotification) {
    history.take(&mut lender.context(), notice);
    assert!(history.next(&mut lender.context()).is_none());
}

/// What was written of the record: nothing, that it is gone, or its value.
fn written(lender: &mut Lender) -> Option<Option<Bytes>> {
    let changes = lender.take_changes();
    changes
        .get(&RecordKey::history_pieces())
        .map(|value| value.cloned())
}

#[test]
fn a_piece_in_a_file_is_fetched_and_only_where_it_may_be_of_use() {
    let mut lender = Lender::new();
    lender.pair();
    let mut history = started(&mut lender, None);
    assert!(!lender.has_changes(), "an ordinary login writes nothing");
    let nowhere = HistorySyncNotification {
        direct_path: None,
        ..in_a_file(1)
    };
    name(&mut history, &mut lender, &nowhere);
    assert!(lender.take_download().is_none() && !lender.has_changes());
    name(&mut history, &mut lender, &in_a_file(1));
    let (ticket, download) = lender.take_download().unwrap();
    assert_eq!(
        (download.blob.path.as_str(), download.max_bytes),
        ("/media/1", MAX_FILE_BYTES)
    );
    assert!(written(&mut lender).flatten().is_some());
    let learned = history.on_downloaded(&mut lender.context(), &ticket, Ok(salted()));
    assert_eq!(learned.unwrap().salt.as_deref(), Some(&b"salt"[..]));
    assert!(written(&mut lender).flatten().is_some(), "not all is written yet");
    history.on_settled(&mut lender.context());
    assert_eq!(written(&mut lender), Some(None));
    assert_eq!(history.deadline(), None);
    let full = HistorySyncNotification {
        sync_type: Some(HistorySyncType::Full.into()),
        ..in_a_file(1)
    };
    assert!(!is_of_use(&full));
}

#[test]
fn what_can_t_be_fetched_is_tried_again_later_and_later_and_given_up_in_the_end() {
    let mut lender = Lender::new();
    lender.pair();
    let mut history = started(&mut lender, None);
    name(&mut history, &mut lender, &in_a_file(1));
    let (mut kept, mut waits) = (None, Vec::new());
    for _ in 1..MAX_HISTORY_TRIES {
        let (ticket, _) = lender.take_download().expect("a try");
        let away = DownloadError::Unreachable("away".into());
        assert!(
            history
                .on_downloaded(&mut lender.context(), &ticket, Err(away))
                .is_none()
        );
        assert!(history.next(&mut lender.context()).is_none());
        assert!(lender.take_download().is_none(), "not at once");
        kept = written(&mut lender).flatten();
        let due = history.deadline().expect("a time");
        waits.push(due.since(lender.now).as_secs());
        lender.now = due;
        assert!(history.next(&mut lender.context()).is_none());
    }
    assert_eq!((waits[0], waits[1], waits.last()), (2, 4, Some(&3600)));
    let (ticket, _) = lender.take_download().expect("the last try");
    history.on_downloaded(&mut lender.context(), &ticket, Err(DownloadError::TimedOut));
    assert_eq!(written(&mut lender), Some(None));
    assert_eq!(history.deadline(), None);
    // What was tried counts over restarts, too.
    let mut history = started(&mut lender, kept);
    lender.now = history.deadline().expect("a time").max(lender.now);
    assert!(history.next(&mut lender.context()).is_none());
    let (ticket, _) = lender.take_download().expect("the last try");
    history.on_downloaded(&mut lender.context(), &ticket, Err(DownloadError::TimedOut));
    assert_eq!(written(&mut lender), Some(None));
}

#[test]
fn a_file_that_is_gone_is_not_asked_for_again() {
    let mut lender = Lender::new();
    lender.pair();
    let mut history = started(&mut lender, None);
    name(&mut history, &mut lender, &in_a_file(1));
    let (ticket, _) = lender.take_download().unwrap();
    history.on_downloaded(&mut lender.context(), &ticket, Err(DownloadError::Expired));
    assert_eq!(written(&mut lender), Some(None));
}

#[test]
fn a_piece_that_was_named_before_a_restart_is_fetched_after_it() {
    let mut lender = Lender::new();
    lender.pair();
    let mut history = started(&mut lender, None);
    name(&mut history, &mut lender, &in_a_file(1));
    name(&mut history, &mut lender, &in_a_file(2));
    name(&mut history, &mut lender, &in_a_file(1));
    let kept = written(&mut lender).flatten();
    drop(lender);
    let mut lender = Lender::new();
    lender.pair();
    let mut history = started(&mut lender, kept);
    lender.now = lender.now + std::time::Duration::from_secs(2);
    let mut paths = Vec::new();
    while history.next(&mut lender.context()).is_none()
        && let Some((ticket, download)) = lender.take_download()
    {
        paths.push(download.blob.path);
        let learned = history.on_downloaded(&mut lender.context(), &ticket, Ok(salted()));
        assert!(learned.is_some());
    }
    paths.sort_unstable();
    assert_eq!(paths, ["/media/1", "/media/2"], "one after the other, each once");
    history.on_settled(&mut lender.context());
    assert_eq!(written(&mut lender), Some(None));
}

#[test]
fn what_a_notice_brings_along_is_kept_until_it_is_written() {
    let mut lender = Lender::new();
    lender.pair();
    let mut history = started(&mut lender, None);
    let inline = HistorySyncNotification {
        sync_type: Some(HistorySyncType::InitialBootstrap.into()),
        initial_hist_bootstrap_inline_payload: Some(salted()),
        ..HistorySyncNotification::default()
    };
    history.take(&mut lender.context(), &inline);
    assert!(history.next(&mut lender.context()).is_some());
    let kept = written(&mut lender).flatten();
    assert!(kept.is_some());
    history.on_settled(&mut lender.context());
    assert_eq!(written(&mut lender), Some(None));
    // Cut off between the two.
    let mut history = started(&mut lender, kept);
    lender.now = history.deadline().expect("a time");
    assert!(history.next(&mut lender.context()).is_some());
}

#[test]
fn so_many_pieces_are_kept_and_no_more() {
    let mut lender = Lender::new();
    lender.pair();
    let mut history = started(&mut lender, None);
    let mut last = 0;
    for n in 0..MAX_HISTORY_PIECES as u8 + 3 {
        name(&mut history, &mut lender, &in_a_file(100 + n));
        let size = written(&mut lender).flatten().expect("a record").len();
        assert_eq!(size > last, usize::from(n) < MAX_HISTORY_PIECES, "{n}");
        last = size;
    }
}
