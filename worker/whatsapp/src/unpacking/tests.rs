//! Pieces that another client made, and pieces that nobody should have.

use std::io::Write as _;

use flate2::{Compression, write::ZlibEncoder};
use prost::Message as _;

use super::*;
use crate::poll::{opened, option_hash};
use crate::proto::{
    Conversation, GroupParticipant, HistorySync, HistorySyncMsg, Message, MessageKey,
    PhoneNumberToLidMapping, PollUpdate, Pushname, Reaction, WebMessageInfo,
    message::poll_creation_message::Option as PollOption,
    message::{PollCreationMessage, PollVoteMessage, ProtocolMessage},
};
use crate::testing::{bytes, state_vector};
use crate::time::Timestamp;

fn packed(bytes: &[u8]) -> Bytes {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap().into()
}

fn own() -> Own {
    Own {
        phone: Some("15551230001@s.whatsapp.net".parse().unwrap()),
        lid: Some("999@lid".parse().unwrap()),
    }
}

fn unpacking(packed: Bytes, place: Place) -> Box<Unpacking> {
    Box::new(Unpacking::new(packed, own(), Extent::All, place))
}

/// All that a piece says.
#[derive(Default)]
struct Said {
    learned: Learned,
    chats: Vec<HistoryChat>,
    contacts: Vec<HistoryContact>,
    messages: Vec<Incoming>,
    counts: HistoryCounts,
    portions: usize,
}

fn read(packed: Bytes) -> Result<Said, BadPiece> {
    let (mut rest, mut said) = (unpacking(packed, Place::default()), Said::default());
    loop {
        let unpacked = rest.read_on();
        match unpacked.portion? {
            Portion::Learned(learned) => said.learned = *learned,
            Portion::People(chats, contacts) => {
                assert!(said.messages.is_empty(), "people come first");
                assert!(chats.len() + contacts.len() <= 2 * MAX_PORTION);
                said.chats.extend(chats);
                said.contacts.extend(contacts);
            }
            Portion::Messages(messages) => {
                assert!(messages.len() < MAX_PORTION + told::MAX_ABOUT + 1);
                said.messages.extend(messages);
            }
            Portion::End => {
                said.counts = unpacked.rest.place().counts();
                return Ok(said);
            }
        }
        said.portions += 1;
        rest = unpacked.rest;
    }
}

fn read_history(history: &HistorySync) -> Said {
    read(packed(&history.encode_to_vec())).unwrap()
}

fn text(id: &str, text: &str, at: u64) -> HistorySyncMsg {
    HistorySyncMsg {
        message: Some(WebMessageInfo {
            key: Some(MessageKey {
                id: Some(id.to_owned()),
                ..MessageKey::default()
            }),
            message: Some(Message {
                conversation: Some(text.to_owned()),
                ..Message::default()
            }),
            message_timestamp: Some(at),
            ..WebMessageInfo::default()
        }),
        msg_order_id: None,
    }
}

fn key_of(message: &mut HistorySyncMsg) -> &mut MessageKey {
    message.message.as_mut().unwrap().key.as_mut().unwrap()
}

#[test]
fn the_history_of_another_client_is_read() {
    let case = state_vector("history_sync");
    let said = read(bytes(&case["inline_zlib"]).into()).unwrap();
    let names: Vec<_> = said
        .learned
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
    assert!(said.learned.tokens.is_empty() && said.learned.salt.is_none());
    assert!(!said.chats.is_empty());
    let counts = said.counts;
    assert_eq!(counts.chats, said.chats.len() as u64);
    assert_eq!(counts.messages, said.messages.len() as u64);
}

fn name(id: &str, name: &str) -> Pushname {
    Pushname {
        id: Some(id.to_owned()),
        pushname: Some(name.to_owned()),
    }
}

fn pair(phone: &str, lid: &str) -> PhoneNumberToLidMapping {
    PhoneNumberToLidMapping {
        pn_jid: Some(phone.to_owned()),
        lid_jid: Some(lid.to_owned()),
    }
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
    let said = read_history(&HistorySync {
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
    let learned = said.learned;
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
    let named: Vec<_> = said
        .contacts
        .iter()
        .filter_map(|contact| Some((contact.id.to_string(), contact.push_name.clone()?)))
        .collect();
    assert_eq!(named[0], ("15550002@s.whatsapp.net".to_owned(), "Bea".to_owned()));
}

#[test]
fn chats_people_and_messages_are_told_by_both_names() {
    let mut own_words = text("B", "mine", 200);
    key_of(&mut own_words).from_me = Some(true);
    let mut in_group = text("G", "to all", 300);
    key_of(&mut in_group).participant = Some("102@lid".into());
    let (mut nobody, mut edit) = (text("N", "whose?", 301), text("P", "", 302));
    key_of(&mut nobody).participant = Some(String::new());
    edit.message.as_mut().unwrap().message = Some(Message {
        protocol_message: Some(Box::new(ProtocolMessage::default())),
        ..Message::default()
    });
    let said = read_history(&HistorySync {
        conversations: vec![
            Conversation {
                id: Some("102@lid".into()),
                // What is said of the chat comes behind its messages.
                messages: vec![own_words, text("A", "hi", 100)],
                pn_jid: Some("15550002@s.whatsapp.net".into()),
                display_name: Some("Bea Smith".into()),
                unread_count: Some(3),
                conversation_timestamp: Some(200),
                archived: Some(true),
                ..Conversation::default()
            },
            Conversation {
                id: Some("1-2@g.us".into()),
                messages: vec![nobody, edit, in_group],
                name: Some("Friends".into()),
                participant: vec![GroupParticipant {
                    user_jid: Some("102@lid".into()),
                    rank: Some(1),
                    ..GroupParticipant::default()
                }],
                ..Conversation::default()
            },
        ],
        ..HistorySync::default()
    });
    let [bea, friends] = &said.chats[..] else {
        panic!("two chats")
    };
    let phone = "15550002@s.whatsapp.net";
    assert_eq!(bea.other.as_ref().unwrap().to_string(), phone);
    assert_eq!(
        (bea.unread, bea.is_archived, bea.name.as_deref()),
        (3, true, None)
    );
    assert_eq!(bea.newest.as_ref().unwrap().id.as_str(), "B");
    assert_eq!(friends.name.as_deref(), Some("Friends"));
    assert!(friends.members[0].is_admin && friends.members[0].other.is_some());
    assert_eq!(said.contacts[0].name.as_deref(), Some("Bea Smith"));
    let told: Vec<_> = said
        .messages
        .iter()
        .map(|message| {
            let phone = message.phone.as_ref().map(|phone| phone.user().to_owned());
            (message.id.as_str(), message.from_me, phone.unwrap_or_default())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("B", true, "15551230001".to_owned()),
            ("A", false, "15550002".to_owned()),
            ("G", false, "15550002".to_owned()),
        ]
    );
    assert_eq!(said.messages[0].chat_alt.as_ref().unwrap().to_string(), phone);
    assert_eq!(said.counts.skipped, 2, "of nobody, and what is no message");
}

#[test]
fn reactions_and_votes_are_told_behind_what_they_are_about() {
    let key = |id: &str, from_me: bool, participant: Option<&str>| MessageKey {
        id: Some(id.to_owned()),
        from_me: Some(from_me),
        participant: participant.map(str::to_owned),
        ..MessageKey::default()
    };
    let reaction = |id: &str, text: &str, from_me, at| Reaction {
        key: Some(key(id, from_me, Some("102@lid").filter(|_| !from_me))),
        text: Some(text.to_owned()),
        sender_timestamp_ms: at,
        ..Reaction::default()
    };
    let mut poll = text("P", "", 100);
    key_of(&mut poll).participant = Some("102@lid".into());
    let option = |name: &str| PollOption {
        option_name: Some(name.to_owned()),
        ..PollOption::default()
    };
    let info = poll.message.as_mut().unwrap();
    info.message = Some(Message {
        poll_creation_message_v3: Some(Box::new(PollCreationMessage {
            options: vec![option("here"), option("there")],
            ..PollCreationMessage::default()
        })),
        ..Message::default()
    });
    info.message_secret = Some(Bytes::from_static(&[7; 32]));
    info.reactions = vec![
        reaction("R1", "🦖", false, Some(150_000)),
        reaction("R2", "❤", true, None),
    ];
    info.poll_updates = vec![PollUpdate {
        poll_update_message_key: Some(key("V", false, Some("102@lid"))),
        vote: Some(PollVoteMessage {
            selected_options: vec![option_hash("there").to_vec().into(), Bytes::from_static(b"none")],
        }),
        sender_timestamp_ms: Some(160_000),
        ..PollUpdate::default()
    }];
    let said = read_history(&HistorySync {
        conversations: vec![Conversation {
            id: Some("1-2@g.us".into()),
            messages: vec![poll],
            ..Conversation::default()
        }],
        ..HistorySync::default()
    });
    let told = said
        .messages
        .iter()
        .map(|message| (message.id.as_str(), message.from_me, message.timestamp.as_secs()));
    let expected = [
        ("P", false, 100),
        ("R1", false, 150),
        ("R2", true, 100),
        ("V", false, 160),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let reaction = said.messages[1].message.reaction_message.as_ref().unwrap();
    assert_eq!(reaction.key.as_ref().unwrap().id.as_deref(), Some("P"));
    let vote = said.messages[3].message.poll_update_message.as_ref().unwrap();
    assert_eq!(vote.vote.as_ref(), Some(&opened(vec!["there".to_owned()])));
    let beside = said.messages[0].message.message_context_info.as_ref();
    assert!(
        beside.unwrap().message_secret.is_some(),
        "by which later votes are opened"
    );
}

#[test]
fn a_large_piece_comes_in_portions_and_from_any_place_on() {
    let messages = |count: u32| {
        (0..count)
            .rev()
            .map(|n| text(&format!("M{n}"), "hello", 1_000 + u64::from(n)))
    };
    let chat = |n: u32, count: u32| Conversation {
        id: Some(format!("1555{n:05}@s.whatsapp.net")),
        messages: messages(count).collect(),
        ..Conversation::default()
    };
    let history = HistorySync {
        conversations: (0..450)
            .map(|n| chat(n, 1 + n % 3))
            .chain([chat(999, 700)])
            .collect(),
        ..HistorySync::default()
    };
    let piece = packed(&history.encode_to_vec());
    let all = read(piece.clone()).unwrap();
    assert_eq!((all.chats.len(), all.messages.len()), (451, 900 + 700));
    // Names, three of chats, eight of messages.
    assert_eq!(all.portions, 1 + 3 + 8);
    let (mut rest, mut told, mut places) =
        (unpacking(piece.clone(), Place::default()), Vec::new(), Vec::new());
    loop {
        let unpacked = rest.read_on();
        match unpacked.portion.unwrap() {
            Portion::Messages(messages) => {
                told.extend(messages.iter().map(|m| (m.chat.clone(), m.id.clone())))
            }
            Portion::End => break,
            _ => {}
        }
        places.push((unpacked.rest.place(), told.len()));
        rest = unpacked.rest;
    }
    for (place, before) in places {
        let mut rest = unpacking(piece.clone(), place);
        let mut again = told[..before].to_vec();
        loop {
            let unpacked = rest.read_on();
            match unpacked.portion.unwrap() {
                Portion::Messages(messages) => {
                    again.extend(messages.iter().map(|m| (m.chat.clone(), m.id.clone())))
                }
                Portion::End => break,
                _ => {}
            }
            rest = unpacked.rest;
        }
        assert_eq!(again, told, "read on from {place:?}");
    }
}

#[test]
fn a_message_that_is_too_large_costs_itself_alone() {
    let large = "x".repeat(2 << 20);
    let said = read_history(&HistorySync {
        conversations: vec![Conversation {
            id: Some("15550002@s.whatsapp.net".into()),
            messages: vec![text("A", "hi", 1), text("L", &large, 2), text("B", "ho", 3)],
            ..Conversation::default()
        }],
        ..HistorySync::default()
    });
    let ids: Vec<_> = said.messages.iter().map(|message| message.id.as_str()).collect();
    assert_eq!((ids, said.counts.skipped), (vec!["A", "B"], 1));
}

#[test]
fn a_chat_or_a_name_that_cannot_be_read_costs_itself_alone() {
    let chat = |id: &str, message: &str| Conversation {
        id: Some(id.into()),
        messages: vec![text(message, "hi", 1)],
        ..Conversation::default()
    };
    let mut history = Vec::new();
    // A chat whose name is no text, and a name of the same kind.
    history.extend_from_slice(b"\x12\x04\x6a\x02\xff\xfe");
    history.extend_from_slice(b"\x3a\x04\x12\x02\xff\xfe");
    let rest = HistorySync {
        conversations: vec![
            chat("15550002@s.whatsapp.net", "A"),
            chat("15550003@s.whatsapp.net", "B"),
        ],
        pushnames: vec![name("15550002@s.whatsapp.net", "Bea")],
        ..HistorySync::default()
    };
    history.extend(rest.encode_to_vec());
    let said = read(packed(&history)).unwrap();
    assert_eq!((said.chats.len(), said.messages.len()), (2, 2));
    assert_eq!(said.counts.skipped, 2);
    assert!(
        said.contacts
            .iter()
            .any(|contact| contact.push_name.as_deref() == Some("Bea"))
    );
}

#[test]
fn the_newest_messages_of_chats_count_as_bytes_of_their_portion() {
    let long = "x".repeat(100 << 10);
    let history = HistorySync {
        conversations: (0..30)
            .map(|n| Conversation {
                id: Some(format!("1555{n:05}@s.whatsapp.net")),
                messages: vec![text("A", &long, 1)],
                ..Conversation::default()
            })
            .collect(),
        ..HistorySync::default()
    };
    // Three of them fill a portion, of chats as of messages.
    assert_eq!(read_history(&history).portions, 1 + 10 + 10);
}

/// A number may stand in a message as often as it likes, and the last one counts: none of it is held.
#[test]
fn a_chat_that_repeats_a_field_without_end_is_not_held() {
    let mut chat = b"\x0a\x15".to_vec();
    chat.extend_from_slice(b"15550002@whatsapp.net");
    chat.extend(std::iter::repeat_n(*b"\x30\x01", 1 << 20).flatten());
    let mut history = vec![0x12];
    prost::encoding::encode_varint(chat.len() as u64, &mut history);
    history.extend(chat);
    let mut entries = Entries::new(&packed(&history));
    let (_, size) = entries.next(Wants::People).unwrap().unwrap();
    assert!(size <= (256 << 10) + 16, "{size} bytes are held");
}

#[test]
fn what_is_no_history_teaches_nothing() {
    for odd in [
        Bytes::from_static(b"rubbish"),
        packed(b"\xff\xff"),
        packed(b"\x12\x7f\x0a"),
    ] {
        assert!(read(odd).is_err());
    }
    // A conversation whose fields are longer than it is.
    assert!(read(packed(b"\x12\x02\x0a\x7fabcdefgh")).is_err());
}

/// Small and large bombs: what they unpack to is neither held nor read to its end.
#[test]
fn a_piece_that_inflates_without_end_is_refused() {
    for megabytes in [16_usize, 128] {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        // A field that is skipped, of this length.
        let mut head = vec![0x1a];
        prost::encoding::encode_varint((megabytes as u64) << 20, &mut head);
        encoder.write_all(&head).unwrap();
        let zeros = vec![0; 1 << 20];
        for _ in 0..megabytes {
            encoder.write_all(&zeros).unwrap();
        }
        let bomb: Bytes = encoder.finish().unwrap().into();
        assert!(bomb.len() < megabytes << 11);
        assert_eq!(read(bomb).err(), Some(BadPiece::TooLarge));
    }
}

proptest::proptest! {
    #[test]
    fn rubbish_is_read_to_an_end(rubbish: Vec<u8>) {
        drop(read(packed(&rubbish)));
        drop(read(rubbish.into()));
    }
}
