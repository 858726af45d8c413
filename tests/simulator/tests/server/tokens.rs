//! Tokens of trusted contacts, and the properties of an account.

use std::collections::BTreeMap;

use crate::client::{Companion, number};
use crate::wire::now;
use crate::{contact, simulator_with_contacts};
use simulator::Handle;
use simulator::number::Addressing;
use simulator::population::Manners;
use simulator::world::{Ends, Proofs, PropertyChange, Restrict, SaltChange, Speaker, TokenChange};
use whatsapp::binary::Node;
use whatsapp::jid::{Jid, Server};
use whatsapp::stanza::token::{ContactProof, Issue, given, issue};
use whatsapp::time::Timestamp;

const PHONE: &str = "15551230001";

async fn world() -> (Handle, Companion) {
    let handle = simulator_with_contacts(Manners::default()).await;
    let companion = Companion::online(&handle, PHONE).await;
    (handle, companion)
}

async fn prove(handle: &Handle, proofs: Proofs) -> Vec<u8> {
    let change = TokenChange {
        proofs: Some(proofs),
        salt: None,
    };
    let salt = handle.change_tokens(number(PHONE), change).await.unwrap();
    salt.unwrap().to_vec()
}

/// The error of a text with these children besides.
async fn sent_with(companion: &mut Companion, to: &str, id: &str, more: Vec<Node>) -> Option<u64> {
    let stanza = companion.text_stanza(to, id, "hi").await;
    companion.wire().send(&stanza.with_children(more)).await;
    companion.acked(id).await.attr_u64("error")
}

async fn notified(companion: &mut Companion) -> Node {
    let is_token = |node: &Node| node.attr_is("type", "privacy_token");
    companion.wire().expect("a token", is_token).await
}

async fn lid_of(companion: &mut Companion, of: &str) -> String {
    let user = Node::new("user").attr("jid", Jid::new(of, Server::User));
    let usync = Node::new("usync")
        .attr("sid", "s")
        .with_child(Node::new("query").with_child(Node::new("lid")))
        .with_child(Node::new("list").with_child(user));
    let reply = companion.iq("usync", "get", usync).await;
    let user = &reply.child_at(&["usync", "list"]).unwrap().nodes()[0];
    let lid = user.child("lid").unwrap().attr_jid("val").unwrap();
    lid.user().to_owned()
}

#[tokio::test]
async fn whoever_writes_gives_a_token_that_opens_the_way_back() {
    let (handle, mut companion) = world().await;
    prove(&handle, Proofs::Always).await;
    assert_eq!(
        sent_with(&mut companion, &contact(1), "3EB001", vec![]).await,
        Some(463)
    );
    let from = Speaker::Contact(number(&contact(1)));
    for _ in 0..2 {
        handle.say(from, number(PHONE), "hello").await.unwrap();
    }
    let news = notified(&mut companion).await;
    assert_eq!(news.attr_jid("from").unwrap().user(), contact(1));
    assert!(news.attr_jid("sender_lid").unwrap().is_lid());
    let token = given(&news).unwrap();
    let shown = |bytes: &[u8]| vec![Node::new("tctoken").with_slice(bytes)];
    assert_eq!(
        sent_with(&mut companion, &contact(1), "3EB002", shown(&token.bytes)).await,
        None
    );
    assert_eq!(
        sent_with(&mut companion, &contact(1), "3EB003", shown(b"wrong")).await,
        Some(463)
    );
    // Of one contact, shown to another.
    assert_eq!(
        sent_with(&mut companion, &contact(2), "3EB004", shown(&token.bytes)).await,
        Some(463)
    );
    prove(&handle, Proofs::New).await;
    assert_eq!(
        sent_with(&mut companion, &contact(1), "3EB005", vec![]).await,
        None,
        "it is known"
    );
    assert_eq!(
        sent_with(&mut companion, &contact(2), "3EB006", vec![]).await,
        Some(463)
    );
    let tokens: Vec<_> = companion
        .wire()
        .backlog
        .iter()
        .filter(|node| node.attr_is("type", "privacy_token"))
        .collect();
    assert!(tokens.is_empty(), "one per bucket");
    let count = handle.audit().await.unwrap().server;
    assert_eq!(
        (count.tokens_shown, count.tokens_wrong, count.messages_unproved),
        (1, 2, 4)
    );
}

#[tokio::test]
async fn the_salt_opens_the_way_to_whoever_gave_nothing() {
    let (handle, mut companion) = world().await;
    let salt = prove(&handle, Proofs::New).await;
    let lid = lid_of(&mut companion, &contact(1)).await;
    let proof = |salt: &[u8], of: &str| vec![ContactProof::salted(salt, of).into_node()];
    assert_eq!(
        sent_with(&mut companion, &contact(1), "3EB001", proof(&salt, &lid)).await,
        None
    );
    for (id, wrong) in [("3EB002", contact(1)), ("3EB003", format!("{lid}:1"))] {
        let error = sent_with(&mut companion, &contact(1), id, proof(&salt, &wrong)).await;
        assert_eq!(error, Some(463), "{wrong}");
    }
    let change = |salt| TokenChange {
        proofs: None,
        salt: Some(salt),
    };
    let other = handle
        .change_tokens(number(PHONE), change(SaltChange::Rotate))
        .await
        .unwrap();
    assert_ne!(other.unwrap().to_vec(), salt);
    assert_eq!(
        sent_with(&mut companion, &contact(1), "3EB004", proof(&salt, &lid)).await,
        Some(463)
    );
    let none = handle
        .change_tokens(number(PHONE), change(SaltChange::Remove))
        .await
        .unwrap();
    assert!(none.is_none());
    let count = handle.audit().await.unwrap().server;
    assert_eq!((count.salted_tokens_shown, count.tokens_wrong), (1, 3));
}

#[tokio::test]
async fn a_token_between_own_devices_is_refused_and_one_too_many_counted() {
    let (handle, mut companion) = world().await;
    let stanza = companion.text_stanza(PHONE, "3EB001", "to the phone").await;
    let stanza = stanza
        .attr("category", "peer")
        .with_child(Node::new("tctoken").with_slice(b"x"));
    companion.wire().send(&stanza).await;
    assert_eq!(companion.acked("3EB001").await.attr_u64("error"), Some(479));
    assert_eq!(handle.audit().await.unwrap().server.tokens_misplaced, 1);
}

#[tokio::test]
async fn ours_is_issued_to_all_devices_of_the_other_and_counted_per_bucket() {
    const OTHER: &str = "15551230002";
    let (handle, mut companion) = world().await;
    let mut other = Companion::linked(&handle, OTHER).await;
    let now = now().as_secs();
    let mut ask = async |t: u64| {
        let to = Jid::new(OTHER, Server::User);
        let t = Timestamp::from_secs(t);
        let tokens = issue(&[Issue { to, t }]).child("tokens").unwrap().clone();
        companion.iq("privacy", "set", tokens).await
    };
    let answer = ask(now).await;
    assert!(answer.attr_is("type", "result") && answer.nodes().is_empty());
    // It waits for a device that is away.
    other.log_in(&handle).await;
    let news = notified(&mut other).await;
    assert_eq!(news.attr_jid("from").unwrap().user(), PHONE);
    assert_eq!(given(&news).unwrap().issued.as_secs(), now);
    assert_eq!(
        news.child_at(&["tokens", "token"]).unwrap().attr_jid("jid"),
        Some(other.jid())
    );
    ask(now).await;
    assert_eq!(
        handle.audit().await.unwrap().server.tokens_issued_again,
        0,
        "the same again"
    );
    ask(now - 604_800).await;
    ask(now).await;
    ask(now + 1).await;
    let count = handle.audit().await.unwrap().server;
    // At the end of a bucket the last one is in the next.
    let again = u64::from(now % 604_800 != 604_799);
    assert_eq!(
        (
            count.token_requests,
            count.tokens_issued,
            count.tokens_issued_again
        ),
        (5, 5, again)
    );
    let rubbish = companion
        .iq(
            "privacy",
            "set",
            Node::new("tokens").with_child(Node::new("token")),
        )
        .await;
    assert!(rubbish.attr_is("type", "error"));
}

#[tokio::test]
async fn whoever_gave_a_token_that_is_shown_is_not_new_in_a_lock() {
    const OTHER: &str = "15551230002";
    let (handle, mut companion) = world().await;
    let mut other = Companion::online(&handle, OTHER).await;
    let (to, t) = (
        Jid::new(PHONE, Server::User),
        Timestamp::from_secs(now().as_secs()),
    );
    let tokens = issue(&[Issue { to, t }]).child("tokens").unwrap().clone();
    other.iq("privacy", "set", tokens).await;
    let token = given(&notified(&mut companion).await).unwrap();
    let lock = Restrict {
        kind: "BIZ_QUALITY".into(),
        seconds: 600,
        ends: Ends::Text,
        tell: true,
        answer: true,
    };
    handle.restrict(number(PHONE), Some(lock)).await.unwrap();
    let shown = |bytes: &[u8]| vec![Node::new("tctoken").with_slice(bytes)];
    for (id, more, error) in [
        ("3EB001", vec![], Some(463)),
        ("3EB002", shown(b"wrong"), Some(463)),
        ("3EB003", shown(&token.bytes), None),
    ] {
        let answer = sent_with(&mut companion, OTHER, id, more).await;
        assert_eq!(answer, error, "{id}");
    }
    let count = handle.audit().await.unwrap().server;
    assert_eq!(
        (count.refused_new, count.refused_again, count.tokens_shown),
        (2, 1, 1)
    );
}

#[tokio::test]
async fn properties_are_those_of_the_account_odd_ones_too() {
    let (handle, mut companion) = world().await;
    let values = [
        (865, vec!["1"]),
        (9435, vec!["1", "0"]),
        (14303, vec!["perhaps"]),
        (909, vec![]),
    ];
    let values: BTreeMap<_, _> = values
        .into_iter()
        .map(|(code, values)| (code, values.into_iter().map(String::from).collect()))
        .collect();
    let refresh = Some("soon".into());
    let change = PropertyChange { values, refresh };
    handle.set_properties(number(PHONE), change).await.unwrap();
    let asked = Node::new("props").attr("protocol", "1");
    let answer = companion.iq("abt", "get", asked).await;
    let props = answer.child("props").unwrap();
    assert!(props.attr_is("refresh", "soon"));
    let of = |code: u32| -> Vec<String> {
        let named = props
            .nodes()
            .iter()
            .filter(|prop| prop.attr_u64("config_code") == Some(code.into()));
        named
            .map(|prop| prop.attr_str("config_value").unwrap().into_owned())
            .collect()
    };
    assert_eq!(of(9435), ["1", "0"]);
    assert_eq!(
        (of(865), of(14303), of(909), of(997)),
        (vec!["1".into()], vec!["perhaps".into()], vec![], vec!["4".into()])
    );
}

#[tokio::test]
async fn a_contact_by_hidden_id_gives_its_token_under_that() {
    let handle = simulator_with_contacts(Manners {
        addressing: Addressing::Lid,
        ..Manners::default()
    })
    .await;
    let mut companion = Companion::online(&handle, PHONE).await;
    let from = Speaker::Contact(number(&contact(1)));
    handle.say(from, number(PHONE), "hello").await.unwrap();
    let news = notified(&mut companion).await;
    assert!(news.attr_jid("from").unwrap().is_lid() && news.value("sender_lid").is_none());
}
