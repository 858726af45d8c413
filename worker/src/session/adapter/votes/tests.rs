//! Votes are opened and counted together, by what is read once for all of them.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use whatsapp::proto::message::PollUpdateMessage;
use whatsapp::proto::{Message, MessageKey};
use whatsapp::time::Timestamp;

use super::*;

const GROUP: &str = "120363000000000001@g.us";
const CREATOR: &str = "100@lid";
const SECRET: [u8; 32] = [7; 32];

/// A vote of the member with this number in a poll of a group.
fn vote(group: &str, voter: u32, chosen: &[&str]) -> Event {
    let (creator, lid): (Jid, Jid) = (
        CREATOR.parse().unwrap(),
        format!("{voter}:3@lid").parse().unwrap(),
    );
    let poll = "3EB0F0".parse().unwrap();
    let ballot = Ballot {
        secret: &SECRET,
        poll: &poll,
        creator: &creator,
        voter: &lid,
    };
    let update = PollUpdateMessage {
        poll_creation_message_key: Some(MessageKey {
            id: Some("3EB0F0".into()),
            participant: Some(CREATOR.into()),
            ..MessageKey::default()
        }),
        vote: Some(ballot.seal(chosen, [1; 12])),
        ..PollUpdateMessage::default()
    };
    let number = format!("55319000000{voter:02}@s.whatsapp.net");
    Event::Message(Box::new(Incoming {
        id: format!("3EB0A{voter}{}", chosen.len()).parse().unwrap(),
        chat: group.parse().unwrap(),
        chat_alt: None,
        lid: Some(lid.to_bare()),
        sender: lid,
        phone: Some(number.parse().unwrap()),
        from_me: false,
        push_name: None,
        timestamp: Timestamp::from_secs(1_666_479_478),
        offline: false,
        message: Message {
            poll_update_message: Some(Box::new(update)),
            ..Message::default()
        },
    }))
}

fn stored(votes: Option<Vec<KeptVote>>) -> Stored {
    Stored {
        sent: Vec::new(),
        polls: vec![KeptPoll {
            chat: GROUP.into(),
            id: "3EB0F0".into(),
            from_me: false,
            sender: CREATOR.into(),
            name: "When?".into(),
            options: vec!["today".into(), "never".into()],
            secret: SECRET,
        }],
        votes,
    }
}

fn open_all(mut events: Vec<Event>, stored: &Stored) -> Vec<(usize, Vote)> {
    let device = Device::generate(&mut StdRng::seed_from_u64(1));
    let cast = cast(&events);
    assert_eq!(cast.len(), events.len());
    open(&mut events, cast, &device, stored)
}

fn told((_, vote): (usize, Vote)) -> serde_json::Value {
    serde_json::to_value(vote.into_event()).unwrap()
}

#[test]
fn many_votes_of_a_step_are_counted_one_after_another() {
    let before = KeptVote {
        chat: GROUP.into(),
        poll: "3EB0F0".into(),
        from_me: false,
        sender: "5531900000003@s.whatsapp.net".into(),
        chosen: vec!["today".into()],
    };
    let votes = [
        vote(GROUP, 1, &["today"]),
        vote(GROUP, 2, &["today", "never"]),
        vote(GROUP, 1, &["never"]),
        vote(GROUP, 3, &[]),
    ];
    let opened = open_all(votes.into(), &stored(Some(vec![before])));
    let totals = opened.into_iter().map(|vote| {
        let told = told(vote);
        let options = [&told["totals"]["options"][0], &told["totals"]["options"][1]];
        let [first, second] = options.map(|option| option["votes"].as_u64().unwrap());
        (first, second, told["totals"]["voters"].as_u64().unwrap())
    });
    let totals: Vec<_> = totals.collect();
    assert_eq!(totals, [(2, 0, 2), (3, 1, 3), (2, 2, 3), (1, 2, 2)]);
}

#[test]
fn a_vote_is_told_with_its_poll_and_without_totals_where_nothing_is_kept() {
    let told = told(open_all(vec![vote(GROUP, 1, &["never"])], &stored(None)).remove(0));
    assert_eq!(told["vote"]["selectedOptions"], serde_json::json!(["never"]));
    assert_eq!(told["poll"]["name"], "When?");
    assert_eq!(told["poll"]["key"]["participant"], CREATOR);
    assert_eq!(told["totals"], serde_json::Value::Null);
}

#[test]
fn a_vote_from_another_chat_is_none() {
    let elsewhere = vote("120363000000000002@g.us", 1, &["never"]);
    assert!(open_all(vec![elsewhere], &stored(None)).is_empty());
    let other_poll = Stored {
        polls: vec![KeptPoll {
            secret: [8; 32],
            ..stored(None).polls.remove(0)
        }],
        ..stored(None)
    };
    assert!(open_all(vec![vote(GROUP, 1, &["never"])], &other_poll).is_empty());
}
