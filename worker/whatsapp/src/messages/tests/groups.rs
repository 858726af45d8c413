//! Group messages on their way in.

use super::network::{GroupQuestions, Network, lid, phone, text_message};
use crate::binary::Node;
use crate::group::AddressingMode;
use crate::jid::Jid;
use crate::proto::message::protocol_message::Type;
use crate::proto::message::{ProtocolMessage, SenderKeyDistributionMessage};
use crate::proto::{Message, MessageKey};
use crate::signal::RegistrationId;
use crate::signal::curve::KeyPair;
use crate::signal::padding;
use crate::signal::sender_key::SenderKeyRecord;
use crate::signal::session::{LocalIdentity, SessionRecord};
use crate::store::RecordKey;
use prost::Message as _;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Client number of Ann's companion in [`Network::ann_and_bob`].
const ANN: usize = 1;

/// A member of a group who sends to Ann's companion.
struct Member {
    keys: KeyPair,
    session: SessionRecord,
    sender_key: SenderKeyRecord,
    rng: StdRng,
}

impl Member {
    fn new(network: &mut Network) -> Self {
        let mut rng = StdRng::seed_from_u64(21);
        let keys = KeyPair::generate(&mut rng);
        let mut session = SessionRecord::default();
        let own = LocalIdentity {
            pair: &keys,
            registration_id: RegistrationId::new(5),
        };
        session
            .initiate(own, &network.take_bundle(ANN), &mut rng)
            .unwrap();
        let mut sender_key = SenderKeyRecord::default();
        sender_key.rotate(&mut rng);
        Self {
            keys,
            session,
            sender_key,
            rng,
        }
    }

    fn handover(&mut self) -> Node {
        let distribution = SenderKeyDistributionMessage {
            group_id: Some(group().to_string()),
            axolotl_sender_key_distribution_message: Some(self.sender_key.distribution().unwrap()),
        };
        let message = Message {
            sender_key_distribution_message: Some(Box::new(distribution)),
            ..Message::default()
        };
        let padded = self.padded(&message);
        let own = LocalIdentity {
            pair: &self.keys,
            registration_id: RegistrationId::new(5),
        };
        let ciphertext = self.session.encrypt(own, &padded, &mut self.rng).unwrap();
        enc(ciphertext.kind.as_str()).with_bytes(ciphertext.bytes)
    }

    fn say(&mut self, text: &str) -> Node {
        let padded = self.padded(&text_message(text));
        enc("skmsg").with_bytes(self.sender_key.encrypt(&padded, &mut self.rng).unwrap())
    }

    /// Deletes what somebody else wrote.
    fn revoke(&mut self) -> Node {
        let key = MessageKey {
            id: Some("Z".into()),
            from_me: Some(false),
            ..MessageKey::default()
        };
        let protocol = ProtocolMessage {
            key: Some(key),
            r#type: Some(Type::Revoke.into()),
            ..ProtocolMessage::default()
        };
        let padded = self.padded(&Message {
            protocol_message: Some(Box::new(protocol)),
            ..Message::default()
        });
        enc("skmsg").with_bytes(self.sender_key.encrypt(&padded, &mut self.rng).unwrap())
    }

    fn padded(&mut self, message: &Message) -> Vec<u8> {
        let mut padded = message.encode_to_vec();
        padding::pad(&mut padded, &mut self.rng);
        padded
    }
}

fn enc(kind: &str) -> Node {
    Node::new("enc").attr("v", "2").attr("type", kind)
}

fn group() -> Jid {
    "120363000000000001@g.us".parse().unwrap()
}

fn stanza(id: &str) -> Node {
    Node::new("message")
        .attr("id", id)
        .attr("from", group())
        .attr("participant", lid(7))
        .attr("participant_pn", phone(7))
        .attr("t", 1u64)
}

#[test]
fn a_handed_over_key_reads_this_message_and_later_ones() {
    let mut network = Network::ann_and_bob();
    let mut member = Member::new(&mut network);
    let (handover, one) = (member.handover(), member.say("one"));
    network.hand(ANN, &stanza("A").with_child(handover).with_child(one));
    network.restart(ANN);
    let (two, three) = (member.say("two"), member.say("three"));
    for (id, said) in [("C", three), ("B", two)] {
        network.hand(ANN, &stanza(id).with_child(said));
    }
    let ann = &network.clients[ANN];
    assert_eq!(ann.texts(), ["three", "two"]);
    let message = ann.messages()[0];
    assert_eq!(
        (&message.chat, &message.sender, message.phone.as_ref()),
        (&group(), &lid(7), Some(&phone(7)))
    );
    assert_eq!(ann.receipts(None)[0].attr_jid("participant"), Some(lid(7)));
}

#[test]
fn a_key_that_was_never_handed_over_is_asked_for() {
    let mut network = Network::ann_and_bob();
    let mut member = Member::new(&mut network);
    network.hand(ANN, &stanza("A").with_child(member.say("one")));
    let ann = &network.clients[ANN];
    assert_eq!(ann.undecryptable(), [(1, false)]);
    let retry = ann.receipts(Some("retry"))[0];
    assert_eq!(
        (retry.attr_jid("to"), retry.attr_jid("participant")),
        (Some(group()), Some(lid(7)))
    );
    assert!(retry.child("keys").is_some());
    // The handover alone is nothing for the owner.
    network.hand(ANN, &stanza("B").with_child(member.handover()));
    network.hand(ANN, &stanza("C").with_child(member.say("two")));
    assert_eq!(network.clients[ANN].texts(), ["two"]);
}

#[test]
fn a_spoiled_or_repeated_group_message_is_not_shown() {
    let mut network = Network::ann_and_bob();
    let mut member = Member::new(&mut network);
    let (handover, one) = (member.handover(), member.say("one"));
    network.hand(ANN, &stanza("A").with_child(handover).with_child(one.clone()));
    network.hand(ANN, &stanza("A").with_child(one));
    assert_eq!(network.clients[ANN].texts(), ["one"]);
    assert_eq!(network.clients[ANN].receipts(None).len(), 2);
    let mut bytes = member.say("two").bytes().unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    network.hand(ANN, &stanza("B").with_child(enc("skmsg").with_bytes(bytes)));
    assert_eq!(network.clients[ANN].undecryptable(), [(1, false)]);
}

#[test]
fn a_group_message_encrypted_anew_is_shown_once_in_each_group() {
    let mut network = Network::ann_and_bob();
    let mut member = Member::new(&mut network);
    let (handover, one) = (member.handover(), member.say("one"));
    network.hand(ANN, &stanza("A").with_child(handover).with_child(one));
    network.restart(ANN);
    let again = member.say("one");
    network.hand(ANN, &stanza("A").with_child(again));
    let ann = &network.clients[ANN];
    assert!(ann.messages().is_empty() && ann.undecryptable().is_empty());
    assert_eq!(ann.receipts(None).len(), 1);
    let elsewhere = Node::new("message")
        .attr("id", "A")
        .attr("from", "120363000000000002@g.us".parse::<Jid>().unwrap())
        .attr("participant", lid(7))
        .attr("t", 1u64);
    let (handover, one) = (member.handover(), member.say("one"));
    network.hand(ANN, &elsewhere.with_child(handover).with_child(one));
    assert_eq!(network.clients[ANN].texts(), ["one"]);
}

/// Ann and user 7 in a group that user 7 is an admin of, or is not.
fn with_admin(is_admin: bool) -> (Network, Member) {
    let mut network = Network::ann_and_bob();
    network.group(AddressingMode::Lid, &[1, 7]);
    if is_admin {
        network.admins.insert(7);
    }
    let member = Member::new(&mut network);
    (network, member)
}

/// User 7 deletes what another wrote, in a message of this id.
fn deletes(network: &mut Network, member: &mut Member, id: &str) {
    let (handover, revoke) = (member.handover(), member.revoke());
    network.hand(ANN, &stanza(id).with_child(handover).with_child(revoke));
}

#[test]
fn only_an_admin_deletes_what_another_wrote() {
    for is_admin in [true, false] {
        let (mut network, mut member) = with_admin(is_admin);
        deletes(&mut network, &mut member, "A");
        deletes(&mut network, &mut member, "B");
        let ann = &network.clients[ANN];
        assert_eq!(ann.messages().len(), if is_admin { 2 } else { 0 });
        assert_eq!(ann.receipts(None).len(), 2, "it is acknowledged all the same");
        assert_eq!(network.times_described(), 1, "asked for once");
        assert_eq!(network.record(ANN, RecordKey::revokes(0)), None);
    }
}

#[test]
fn who_is_made_an_admin_or_is_one_no_more_is_asked_anew() {
    let (mut network, mut member) = with_admin(false);
    deletes(&mut network, &mut member, "A");
    let group = group();
    network.admins.insert(7);
    network.change_group(&group, "promote", 7);
    deletes(&mut network, &mut member, "B");
    assert_eq!(network.clients[ANN].messages().len(), 1);
    network.admins.clear();
    network.change_group(&group, "demote", 7);
    deletes(&mut network, &mut member, "C");
    assert_eq!(network.clients[ANN].messages().len(), 1);
}

#[test]
fn a_deletion_that_nobody_has_judged_survives_a_restart_and_holds_nothing_up() {
    let (mut network, mut member) = with_admin(true);
    network.group_questions = GroupQuestions::Lost;
    deletes(&mut network, &mut member, "A");
    network.hand(ANN, &stanza("B").with_child(member.say("two")));
    assert_eq!(network.clients[ANN].texts(), ["two"]);
    assert!(network.record(ANN, RecordKey::revokes(0)).is_some());
    network.group_questions = GroupQuestions::Answered;
    network.restart_noting(ANN);
    let ann = &network.clients[ANN];
    let (count, last) = (ann.messages().len(), ann.messages()[1]);
    assert_eq!((count, last.id.as_str(), &last.sender), (2, "A", &lid(7)));
    assert_eq!(network.record(ANN, RecordKey::revokes(0)), None);
    network.restart_noting(ANN);
    assert_eq!(network.clients[ANN].messages().len(), 2, "told once");
}

#[test]
fn no_deletion_of_many_is_lost_while_nobody_has_judged_them() {
    let (mut network, mut member) = with_admin(true);
    network.group_questions = GroupQuestions::Lost;
    for nth in 0..150 {
        deletes(&mut network, &mut member, &format!("A{nth}"));
    }
    assert!(network.record(ANN, RecordKey::revokes(2)).is_some());
    network.group_questions = GroupQuestions::Answered;
    network.restart_noting(ANN);
    let shown = network.clients[ANN].messages();
    let shown: Vec<_> = shown
        .iter()
        .map(|message| message.id.as_str().to_owned())
        .collect();
    let all: Vec<_> = (0..150).map(|nth| format!("A{nth}")).collect();
    assert_eq!(shown, all);
    for page in 0..3 {
        assert_eq!(network.record(ANN, RecordKey::revokes(page)), None);
    }
}

#[test]
fn where_nobody_says_who_is_an_admin_nobody_is() {
    let (mut network, mut member) = with_admin(true);
    network.group_questions = GroupQuestions::Refused;
    deletes(&mut network, &mut member, "A");
    assert!(network.clients[ANN].messages().is_empty());
    assert_eq!(network.record(ANN, RecordKey::revokes(0)), None);
    network.group_questions = GroupQuestions::Lost;
    deletes(&mut network, &mut member, "B");
    network.pass(std::time::Duration::from_secs(80));
    network.group_questions = GroupQuestions::Answered;
    deletes(&mut network, &mut member, "C");
    let shown = network.clients[ANN].messages();
    let shown: Vec<_> = shown.iter().map(|message| message.id.as_str()).collect();
    assert_eq!(
        shown,
        ["C"],
        "what came before was judged when the answer was overdue"
    );
}
