//! Accounts that are migrated to hidden ids and others: what the server takes of each.

use crate::client::{Companion, number};
use crate::{contact, renamed, simulator_with_contacts};
use prost::Message as _;
use simulator::Handle;
use simulator::population::Manners;
use simulator::world::{AccountAddressing, ByNumber, ClientProps, Speaker};
use whatsapp::binary::{Content, Node};
use whatsapp::jid::Jid;
use whatsapp::proto::ClientPairingProps;

const PHONE: &str = "15551230001";

async fn set_up(rules: AccountAddressing) -> (Handle, Companion) {
    let handle = simulator_with_contacts(Manners::default()).await;
    let companion = Box::pin(Companion::online(&handle, PHONE)).await;
    handle.set_addressing(number(PHONE), rules).await.unwrap();
    (handle, companion)
}

fn not_migrated() -> AccountAddressing {
    AccountAddressing {
        migrated: false,
        ..AccountAddressing::default()
    }
}

async fn lid_of(companion: &mut Companion, user: &Jid) -> Jid {
    let users = Node::new("user").attr("jid", user);
    let usync = Node::new("usync")
        .with_child(Node::new("query").with_child(Node::new("lid")))
        .with_child(Node::new("list").with_child(users));
    let reply = companion.iq("usync", "get", usync).await;
    let found = reply.child_at(&["usync", "list", "user", "lid"]).unwrap();
    found.attr_jid("val").unwrap()
}

/// The stanza of a text with everybody named by hidden id. Its copies name the chat by number.
async fn by_lid(companion: &mut Companion, to: u32, id: &str) -> Node {
    let stanza = companion.text_stanza(&contact(to), id, "hi").await;
    let theirs = lid_of(companion, &Jid::phone(&contact(to)).unwrap()).await;
    let (own, pn) = (companion.device.lid().unwrap().to_bare(), companion.jid());
    renamed(&stanza, |jid| {
        let user = if jid.same_user(&pn) { &own } else { &theirs };
        user.clone().with_device(jid.device())
    })
}

async fn answer(companion: &mut Companion, stanza: &Node) -> Option<u64> {
    companion.wire().send(stanza).await;
    let id = stanza.attr_str("id").unwrap().into_owned();
    companion.acked(&id).await.attr_u64("error")
}

#[tokio::test]
async fn the_account_decides_which_names_are_taken() {
    let refusing = AccountAddressing {
        by_number: ByNumber::Refuse,
        ..AccountAddressing::default()
    };
    for (rules, by_number, by_id) in [
        (AccountAddressing::default(), None, None),
        (refusing, Some(463), None),
        (not_migrated(), None, Some(400)),
    ] {
        let (handle, mut companion) = set_up(rules).await;
        let stanza = companion.text_stanza(&contact(1), "3EB0A1", "hi").await;
        assert_eq!(answer(&mut companion, &stanza).await, by_number, "{rules:?}");
        let stanza = by_lid(&mut companion, 2, "3EB0A2").await;
        assert_eq!(answer(&mut companion, &stanza).await, by_id, "{rules:?}");
        let audit = handle.audit().await.unwrap().server;
        assert_eq!(audit.numbers_on_migrated, u64::from(rules.migrated));
        assert_eq!(
            (audit.misaddressed, audit.violations),
            (u64::from(by_id.is_some()), 0)
        );
    }
}

#[tokio::test]
async fn a_stanza_that_mixes_names_or_repeats_a_device_is_refused() {
    let (handle, mut companion) = set_up(AccountAddressing::default()).await;
    let theirs = lid_of(&mut companion, &Jid::phone(&contact(1)).unwrap()).await;
    let own = companion.jid();
    let good = companion.text_stanza(&contact(1), "3EB0A1", "hi").await;
    let mixed = renamed(&good, |jid| {
        if jid.same_user(&own) {
            jid.clone()
        } else {
            theirs.clone()
        }
    });
    let spoilt = |jid: Jid| {
        let mut stanza = good.clone();
        let Content::Nodes(children) = &mut stanza.content else {
            unreachable!()
        };
        let copy = children[0].nodes()[0].clone().attr("jid", jid);
        children[0].push_child(copy);
        stanza
    };
    let twice = spoilt(Jid::phone(&contact(1)).unwrap());
    let sender = spoilt(own.clone());
    for stanza in [mixed, twice, sender] {
        assert_eq!(answer(&mut companion, &stanza).await, Some(400));
    }
    assert_eq!(answer(&mut companion, &good).await, None);
    let audit = handle.audit().await.unwrap().server;
    assert_eq!((audit.misaddressed, audit.violations), (3, 3));
}

#[tokio::test]
async fn copies_for_own_devices_name_the_chat_as_the_stanza_does() {
    let (handle, mut companion) = set_up(AccountAddressing::default()).await;
    companion.send_text(&contact(1), "3EB0A1", "hi").await;
    assert_eq!(handle.audit().await.unwrap().contacts.wrong_destinations, 0);
    let stanza = by_lid(&mut companion, 1, "3EB0A2").await;
    assert_eq!(answer(&mut companion, &stanza).await, None);
    assert_eq!(handle.audit().await.unwrap().contacts.wrong_destinations, 1);
}

#[tokio::test]
async fn a_phone_says_of_its_account_what_it_is_told_to() {
    for (client_props, expected) in [
        (ClientProps::Consistent, Some(Some(true))),
        (ClientProps::Contradicting, Some(Some(false))),
        (ClientProps::Absent, None),
        (ClientProps::Rubbish, Some(None)),
    ] {
        let handle = simulator_with_contacts(Manners::default()).await;
        handle.create_phone(number(PHONE), "Test").await.unwrap();
        let rules = AccountAddressing {
            client_props,
            ..AccountAddressing::default()
        };
        handle.set_addressing(number(PHONE), rules).await.unwrap();
        let mut companion = Companion::new(1);
        let qr = companion.begin_pairing(&handle).await;
        handle.scan(number(PHONE), qr).await.unwrap();
        let told = companion.wire();
        let success = told
            .expect("pair-success", |node| node.child("pair-success").is_some())
            .await;
        let props = success.child_at(&["pair-success", "client-props"]);
        let props = props.map(|props| ClientPairingProps::decode(props.bytes().unwrap()).ok());
        let says = props.map(|props| props.map(|props| props.is_chat_db_lid_migrated()));
        assert_eq!(says, expected, "{client_props:?}");
    }
}

#[tokio::test]
async fn look_ups_of_numbers_are_counted_and_lists_by_number_can_be_empty() {
    let rules = AccountAddressing {
        empty_lists: true,
        ..AccountAddressing::default()
    };
    let (handle, mut companion) = set_up(rules).await;
    let asked = [contact(1), contact(2), contact(1)];
    let mut users: Vec<Node> = asked
        .iter()
        .map(|number| {
            Node::new("user").with_child(Node::new("contact").with_slice(format!("+{number}").as_bytes()))
        })
        .collect();
    let phone = Jid::phone(&contact(3)).unwrap();
    let lid = lid_of(&mut companion, &phone).await;
    let own = companion.jid().to_bare();
    users.extend([&phone, &lid, &own].map(|jid| Node::new("user").attr("jid", jid)));
    let query = Node::new("query").with_children(["contact", "devices", "lid"].map(Node::new));
    let usync = Node::new("usync")
        .with_child(query)
        .with_child(Node::new("list").with_children(users));
    let reply = companion.iq("usync", "get", usync).await;
    let users = reply.child_at(&["usync", "list"]).unwrap().nodes();
    let devices = |user: &Node| user.child_at(&["devices", "device-list"]).unwrap().nodes().len();
    assert_eq!(users.iter().map(devices).collect::<Vec<_>>(), [0, 0, 0, 0, 1, 2]);
    let audit = handle.audit().await.unwrap().server;
    assert_eq!((audit.contact_lookups, audit.numbers_looked_up), (3, 2));
}

#[tokio::test]
async fn a_chat_by_an_old_hidden_id_is_taken_and_its_ack_says_so() {
    let (handle, mut companion) = set_up(AccountAddressing::default()).await;
    let old = by_lid(&mut companion, 1, "3EB0A1").await;
    let new = handle.renew_lid(number(&contact(1))).await.unwrap();
    companion.wire().send(&old).await;
    let ack = companion.acked("3EB0A1").await;
    assert!(ack.value("error").is_none() && ack.attr_is("refresh_lid", "true"));
    let phone = Jid::phone(&contact(1)).unwrap();
    assert_eq!(lid_of(&mut companion, &phone).await.to_string(), new);
    let fresh = by_lid(&mut companion, 1, "3EB0A2").await;
    companion.wire().send(&fresh).await;
    assert!(companion.acked("3EB0A2").await.value("refresh_lid").is_none());
    let got = handle
        .messages(Speaker::Contact(number(&contact(1))), 0)
        .await
        .unwrap();
    assert_eq!(got.len(), 2);
}

/// The simulated devices answer a request under the name that it called them by.
#[tokio::test]
async fn what_is_sent_again_comes_under_the_name_that_was_asked() {
    let (handle, mut companion) = set_up(AccountAddressing::default()).await;
    companion.upload_prekeys(20).await;
    let contact_number = number(&contact(1));
    let said = handle
        .say(Speaker::Contact(contact_number), number(PHONE), "hi")
        .await;
    let id = said.unwrap();
    let (stanza, _) = companion.message().await;
    let lid = stanza.attr_jid("sender_lid").unwrap();
    for asked in [lid, stanza.attr_jid("from").unwrap()] {
        let retry = Node::new("retry").attr("count", 1u64).attr("id", id.as_str());
        let request = Node::new("receipt")
            .attr("id", id.as_str())
            .attr("type", "retry")
            .attr("to", &asked)
            .with_child(retry)
            .with_child(
                Node::new("registration").with_slice(&companion.device.registration_id.to_be_bytes()),
            );
        companion.wire().send(&request).await;
        let again = |node: &Node| node.is("message") && node.child("enc").unwrap().value("count").is_some();
        let again = companion.wire().expect("the message again", again).await;
        assert_eq!(again.attr_jid("from"), Some(asked));
    }
}
