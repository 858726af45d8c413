//! What the server says of restrictions: asked for, told, and odd.

use std::time::Duration;

use super::{
    peer::{result_of, server_iq},
    world::World,
};
use crate::{
    binary::Node,
    command::Command,
    event::{Event, Restriction},
    jid::Jid,
    stanza::mex::{NEW_CHAT_CAPS, TIME_LOCK},
};

fn caught_up() -> Node {
    let offline = Node::new("offline").attr("count", 0u32);
    Node::new("ib").attr("from", Jid::SERVER).with_child(offline)
}

fn asks(document: &'static str) -> impl Fn(&Node) -> bool {
    move |node| {
        node.child("query")
            .is_some_and(|query| query.attr_is("query_id", document))
    }
}

fn answer(world: &mut World, question: &Node, body: &str) {
    let result = Node::new("result").with_slice(body.as_bytes());
    let id = question.attr_str("id").unwrap().into_owned();
    world.server_sends(&server_iq("result", &id).with_child(result));
}

/// What was told of restrictions since the last call: which, and what (`true`: restricted; none: unknown).
fn told(world: &mut World) -> Vec<(Restriction, Option<bool>)> {
    let restriction = |event: Event| match event {
        Event::Restricted { kind, .. } => Some((kind, Some(true))),
        Event::Unrestricted { kind } => Some((kind, Some(false))),
        Event::RestrictionUnknown { kind } => Some((kind, None)),
        _ => None,
    };
    std::mem::take(&mut world.events)
        .into_iter()
        .filter_map(restriction)
        .collect()
}

#[test]
fn both_are_asked_for_once_all_that_waited_has_come() {
    let mut world = World::online();
    assert!(!world.nodes.iter().any(asks(TIME_LOCK.id)));
    world.server_sends(&caught_up());
    let lock = world.expect("question", asks(TIME_LOCK.id));
    let body = format!(
        r#"{{"data":{{"{}":{{"is_active":true,"time_enforcement_ends":"1795881600"}}}}}}"#,
        TIME_LOCK.path
    );
    answer(&mut world, &lock, &body);
    assert_eq!(told(&mut world), [(Restriction::TimeLock, Some(true))]);
    // A document that is gone is asked for by its other number; without an answer nothing is known.
    let errors = r#"{"errors":[{"message":"not found"}]}"#;
    for document in NEW_CHAT_CAPS {
        let question = world.expect("question", asks(document.id));
        answer(&mut world, &question, errors);
    }
    assert_eq!(told(&mut world), [(Restriction::NewChatCap, None)]);
}

#[test]
fn a_refusal_asks_again_but_not_at_once() {
    let mut world = World::online();
    world.server_sends(&caught_up());
    let first = world.expect("question", asks(TIME_LOCK.id));
    world.server_sends(&result_of(&first));
    assert_eq!(told(&mut world), [(Restriction::TimeLock, None)]);
    let refused = Node::new("ack")
        .attr("class", "message")
        .attr("id", "3EB0")
        .attr("from", Jid::phone("15551230002").unwrap())
        .attr("error", 463u32);
    world.server_sends(&refused);
    world.command(Command::AskRestrictions);
    assert!(!world.nodes.iter().any(asks(TIME_LOCK.id)));
    world.pass(Duration::from_secs(179));
    assert!(!world.nodes.iter().any(asks(TIME_LOCK.id)));
    world.pass(Duration::from_secs(1));
    world.expect("question", asks(TIME_LOCK.id));
    assert!(!world.nodes.iter().any(asks(TIME_LOCK.id)), "one for both");
}

#[test]
fn news_are_told_and_acknowledged_and_odd_ones_change_nothing() {
    let mut world = World::online();
    let news = |id: &'static str, body: &str| {
        let update = Node::new("update")
            .attr("op_name", "NotificationUserReachoutTimelockUpdate")
            .with_slice(body.as_bytes());
        Node::new("notification")
            .attr("from", Jid::SERVER)
            .attr("type", "mex")
            .attr("id", id)
            .with_child(update)
    };
    let lock = |is_active: bool| {
        format!(r#"{{"data":{{"xwa2_notify_account_reachout_timelock":{{"is_active":{is_active}}}}}}}"#)
    };
    for (id, body) in [("1", lock(true)), ("2", "{".to_owned()), ("3", lock(false))] {
        world.server_sends(&news(id, &body));
        world.expect("ack", |node| node.is("ack") && node.attr_is("id", id));
    }
    let lock = Restriction::TimeLock;
    assert_eq!(told(&mut world), [(lock, Some(true)), (lock, Some(false))]);
}
