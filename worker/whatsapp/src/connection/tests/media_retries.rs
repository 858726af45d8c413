//! Files that are gone from the media hosts, and what our phone says of them.

use std::time::Duration;

use prost::Message as _;

use super::world::World;
use crate::{
    binary::Node,
    command::{About, Command, MediaRetry},
    connection::Input,
    event::{Event, MediaRetryError, QueryError},
    media::{self, MediaKey},
    proto::{MediaRetryNotification, media_retry_notification::ResultType},
    stanza::media_retry::{self, Envelope},
};

#[test]
fn our_phone_is_asked_for_a_file_that_is_gone_and_every_answer_reaches_who_waits() {
    let mut world = World::online();
    let told = |world: &mut World| -> Vec<(u64, Result<String, MediaRetryError>)> {
        let told = |event: Event| match event {
            Event::MediaRetried { ticket, result } => Some((ticket, result)),
            _ => None,
        };
        std::mem::take(&mut world.events)
            .into_iter()
            .filter_map(told)
            .collect()
    };
    let key = MediaKey::new([7; 32]);
    let ask = |world: &mut World, ticket, id: &str| {
        let about = About {
            id: id.parse().unwrap(),
            chat: "15551230002@s.whatsapp.net".parse().unwrap(),
            participant: None,
            from_me: false,
        };
        let key = MediaKey::new([7; 32]);
        let retry = Box::new(MediaRetry { about, key });
        world.command(Command::AskMediaRetry { ticket, retry });
    };
    let is_request = |node: &Node| node.attr_is("type", "server-error");
    ask(&mut world, 1, "3EB0AA");
    let request = world.expect("request", is_request);
    let (about, envelope) = media_retry::parse_request(&request).unwrap();
    assert_eq!(about.chat.to_string(), "15551230002@s.whatsapp.net");
    let said = media::open_retry(&key, "3EB0AA", envelope.iv, &envelope.payload).unwrap();
    assert_eq!(said, [&[0x0a, 6][..], b"3EB0AA"].concat());
    ask(&mut world, 2, "3EB0AA");
    assert!(!world.nodes.iter().any(is_request), "one is under way");
    let reply = |id: &str, child: Node| {
        Node::new("notification")
            .attr("from", "15551230001@s.whatsapp.net")
            .attr("type", "mediaretry")
            .attr("id", id)
            .attr("t", 1_700_000_000_u64)
            .with_child(child)
    };
    let sealed = |path: &str| {
        let said = MediaRetryNotification {
            stanza_id: Some("3EB0AA".to_owned()),
            direct_path: Some(path.to_owned()),
            result: Some(ResultType::Success.into()),
            message_secret: None,
        };
        let payload = media::seal_retry(&key, "3EB0AA", [9; 12], &said.encode_to_vec()).into();
        Envelope { payload, iv: [9; 12] }.to_node()
    };
    world.server_sends(&reply("3EB0AA", sealed("/v/new")));
    assert_eq!(
        told(&mut world),
        [(1, Ok("/v/new".to_owned())), (2, Ok("/v/new".to_owned()))]
    );
    ask(&mut world, 3, "3EB0AA");
    world.server_sends(&reply("3EB0AA", sealed("//evil")));
    let malformed = MediaRetryError::Query(QueryError::Malformed);
    assert_eq!(told(&mut world), [(3, Err(malformed))]);
    ask(&mut world, 4, "3EB0AB");
    world.server_sends(&reply("3EB0AB", Node::new("error").attr("code", 2_u32)));
    assert_eq!(told(&mut world), [(4, Err(MediaRetryError::NotFound))]);
    ask(&mut world, 5, "3EB0AC");
    world.pass(Duration::from_secs(16));
    assert_eq!(told(&mut world), [(5, Err(QueryError::TimedOut.into()))]);
    ask(&mut world, 6, "3EB0AD");
    world.handle(Input::SocketClosed);
    world.pump();
    assert_eq!(told(&mut world), [(6, Err(QueryError::NotConnected.into()))]);
}
