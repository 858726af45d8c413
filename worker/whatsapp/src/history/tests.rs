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

#[test]
fn a_piece_in_a_file_is_fetched_and_only_where_it_may_be_of_use() {
    let mut lender = Lender::new();
    lender.pair();
    let mut history = History::new(PartId::new(7));
    let mut notice = HistorySyncNotification {
        sync_type: Some(HistorySyncType::PushName.into()),
        ..HistorySyncNotification::default()
    };
    assert!(history.take(&mut lender.context(), &notice).is_none());
    assert!(lender.take_download().is_none(), "it names no file");
    let field = Some(Bytes::from_static(&[1; 32]));
    (notice.media_key, notice.file_sha256, notice.file_enc_sha256) = (field.clone(), field.clone(), field);
    notice.direct_path = Some("/media/1".to_owned());
    assert!(history.take(&mut lender.context(), &notice).is_none());
    let (ticket, download) = lender.take_download().unwrap();
    assert_eq!(
        (download.blob.path.as_str(), download.max_bytes),
        ("/media/1", MAX_FILE_BYTES)
    );
    let names = HistorySync {
        nct_salt: Some(Bytes::from_static(b"salt")),
        ..HistorySync::default()
    };
    let file = Ok(packed(&names.encode_to_vec()));
    let learned = history.on_downloaded(&lender.context(), &ticket, file).unwrap();
    assert_eq!(learned.salt.as_deref(), Some(&b"salt"[..]));
    notice.sync_type = Some(HistorySyncType::Full.into());
    assert!(!is_of_use(&notice));
}
