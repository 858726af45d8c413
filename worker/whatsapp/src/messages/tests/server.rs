//! What the server of the network answers and routes.

use super::network::{Client, GroupQuestions, Network, Published, phone_of};
use crate::binary::Node;
use crate::connection::tests::peer::result_of;
use crate::e2e::Space;
use crate::jid::{Jid, Server};
use crate::message_id::MessageId;
use crate::signal::PreKeyBundle;
use crate::stanza::ack::MessageAck;
use crate::stanza::keys::{Bundle, Upload, bundles_asked, bundles_response};
use crate::stanza::usync::{Answer, Contact, ListedDevice, Query, Subject, UserAnswer};

/// What the server answers.
impl Network {
    pub(super) fn question(&mut self, at: usize, iq: &Node) {
        self.questions.push(iq.clone());
        let answer = match iq.attr_str("xmlns").as_deref() {
            Some("usync") => self.usync(iq),
            Some("encrypt") => self.encrypt(at, iq),
            Some("w:g2") => match self.group_questions {
                GroupQuestions::Answered => self.group_question(iq),
                GroupQuestions::Refused => refusal(403),
                GroupQuestions::Lost => return,
            },
            Some("abt") => match self.properties.clone() {
                Some(props) => result_of(iq).with_child(props),
                None => result_of(iq),
            },
            Some("privacy") if iq.child("privacy").is_some() => {
                let category = Node::new("category").attr("name", "readreceipts");
                let category = self.read_receipts.map(|value| category.attr("value", value));
                result_of(iq).with_child(Node::new("privacy").with_children(category))
            }
            Some("privacy") if self.refuses_tokens => refusal(503),
            _ => result_of(iq),
        };
        let id = iq.attr_str("id").unwrap().into_owned();
        let mut answer = answer;
        answer.set_attr("id", id);
        if let Some(node) = self.meanwhile.take_if(|_| bundles_asked(iq).is_some()) {
            self.clients[at].peer.send(&node);
        }
        self.clients[at].peer.send(&answer);
    }

    fn usync(&self, iq: &Node) -> Node {
        if let Some(code) = self.usync_error {
            return refusal(code);
        }
        let query = Query::parse(iq).unwrap();
        let users = query.subjects.iter().map(|subject| self.user(subject)).collect();
        Answer { users, error: None }.to_node(&query)
    }

    fn user(&self, subject: &Subject) -> UserAnswer {
        let (digits, asked) = match subject {
            Subject::Phone(digits) => {
                let now = self.old_numbers.get(digits.as_str());
                (
                    now.cloned().unwrap_or_else(|| digits.to_string()),
                    Some(digits.clone()),
                )
            }
            Subject::User(jid) if jid.user().starts_with("1777") => (jid.user().to_owned(), None),
            Subject::User(jid) if jid.is_lid() => (phone_of(jid).user().to_owned(), None),
            Subject::User(jid) => (jid.user().to_owned(), None),
        };
        let devices: Vec<&Client> = self
            .clients
            .iter()
            .filter(|client| client.jid.user() == digits)
            .collect();
        let Some(first) = devices.first() else {
            if let Some(user) = self.one_of_the_crowd(&digits) {
                return user;
            }
            let contact = asked.map(|asked| Contact {
                registered: false,
                asked,
            });
            return UserAnswer {
                contact,
                ..UserAnswer::default()
            };
        };
        let by_number = !matches!(subject, Subject::User(jid) if jid.is_lid());
        let listed = |client: &&Client| ListedDevice {
            id: client.jid.device(),
            key_index: (client.jid.device() != 0).then_some(1),
            hosted: false,
        };
        UserAnswer {
            jid: Some(match subject {
                Subject::User(jid) => jid.clone(),
                Subject::Phone(_) => first.jid.to_bare(),
            }),
            pn: None,
            contact: asked.map(|asked| Contact {
                registered: true,
                asked,
            }),
            devices: Some(Ok(match self.empty_lists && by_number {
                true => Vec::new(),
                false => devices.iter().map(listed).collect(),
            })),
            key_index_list: None,
            lid: (!self.hides_lids).then(|| first.lid.to_bare()),
        }
    }

    fn encrypt(&mut self, at: usize, iq: &Node) -> Node {
        if let Some(asked) = bundles_asked(iq) {
            if self.refuses_bundles {
                return refusal(503);
            }
            let bundles: Vec<_> = asked
                .into_iter()
                .map(|jid| (jid.clone(), self.bundle(&jid)))
                .collect();
            return bundles_response(&bundles);
        }
        let jid = self.clients[at].jid.clone();
        if let Ok(upload) = Upload::parse(iq) {
            if self.refuses_uploads {
                return refusal(503);
            }
            let identity = self.clients[at].store.device().unwrap().account.unwrap().identity;
            let proof = Some(identity).filter(|identity| !identity.is_empty());
            match self.published.get_mut(&jid) {
                Some(published) => {
                    let mut keys = std::mem::take(&mut published.keys.prekeys);
                    keys.extend(upload.prekeys);
                    published.keys.prekeys = keys;
                    published.keys.signed = upload.signed;
                }
                None => drop(self.published.insert(jid, Published { keys: upload, proof })),
            }
            return result_of(iq);
        }
        if iq.child("count").is_some() {
            let left = self
                .published
                .get(&jid)
                .map_or(0, |published| published.keys.prekeys.len());
            return result_of(iq).with_child(Node::new("count").attr("value", left));
        }
        if self.loses_digest {
            refusal(404)
        } else {
            result_of(iq).with_child(Node::new("digest"))
        }
    }

    /// Somebody who exists, with one device, and never connects.
    fn one_of_the_crowd(&self, digits: &str) -> Option<UserAnswer> {
        digits
            .strip_prefix("1777")
            .filter(|_| self.crowd.is_some())
            .map(|rest| UserAnswer {
                jid: Jid::phone(digits).ok(),
                contact: Some(Contact {
                    registered: true,
                    asked: digits.into(),
                }),
                devices: Some(Ok(vec![ListedDevice {
                    id: 0,
                    key_index: None,
                    hosted: false,
                }])),
                lid: Some(Jid::new(format!("1777{rest}"), Server::Lid)),
                ..UserAnswer::default()
            })
    }

    /// A bundle, with one prekey that nobody else gets.
    pub(super) fn bundle(&mut self, asked: &Jid) -> Result<Bundle, u32> {
        if let Some(keys) = self.crowd.clone().filter(|_| asked.user().starts_with("1777")) {
            return Ok(Bundle {
                keys,
                device_identity: None,
            });
        }
        let jid = self
            .client_at(asked)
            .map(|at| self.clients[at].jid.clone())
            .ok_or(404u32)?;
        if self.unregistered.contains(&jid) {
            return Err(406);
        }
        if let Some(code) = self.bundle_refusals.get(&jid) {
            return Err(*code);
        }
        let published = self.published.get_mut(&jid).ok_or(404u32)?;
        let keys = &mut published.keys;
        let prekey = (!keys.prekeys.is_empty()).then(|| keys.prekeys.remove(0));
        let keys = PreKeyBundle {
            registration_id: keys.registration_id,
            identity: keys.identity,
            signed_prekey_id: keys.signed.id,
            signed_prekey: keys.signed.key,
            signature: keys.signed.signature,
            prekey,
        };
        Ok(Bundle {
            keys,
            device_identity: published.proof.clone(),
        })
    }

    pub(super) fn message(&mut self, at: usize, message: &Node) {
        let id: MessageId = message.attr_str("id").unwrap().parse().unwrap();
        let to = message.attr_jid("to").unwrap();
        let refuses = self.refuses.filter(|(space, _)| Space::of(&to) == *space);
        if to.is_group() && message.value("participant").is_none() {
            return self.group_message(at, message, &to);
        }
        let error = self.nack.or(refuses.map(|(_, code)| code));
        self.check_addresses(at, message, &to);
        if !self.silent {
            let ack = MessageAck {
                id,
                from: to.clone(),
                timestamp: Some(self.now),
                error,
                phash: None,
            };
            let is_old = self.says_lids_are_old.then_some("true");
            let ack = ack.to_node().attr_opt("refresh_lid", is_old);
            self.clients[at].peer.send(&ack);
        }
        if error.is_some() {
            return;
        }
        let targets: Vec<(Jid, Node)> = match message.child("participants") {
            Some(participants) => participants
                .nodes()
                .iter()
                .map(|to| (to.attr_jid("jid").unwrap(), to.child("enc").unwrap().clone()))
                .collect(),
            None if to.is_group() => {
                let asked = message.attr_jid("participant").unwrap();
                vec![(asked, message.child("enc").unwrap().clone())]
            }
            None => vec![(to.clone(), message.child("enc").unwrap().clone())],
        };
        let chat = message.attr_jid("recipient").unwrap_or_else(|| to.to_bare());
        for (jid, enc) in targets {
            let Some(target) = self.client_at(&jid) else {
                continue;
            };
            let incoming = match to.is_group() {
                true => self.incoming_in_group(at, &to, message, jid.is_lid()),
                false => self.incoming(at, target, &chat, message, jid.is_lid()),
            };
            let incoming = incoming.with_child(enc);
            self.deliver(target, with_identity(incoming, message));
        }
    }

    /// All addresses of a stanza are of one kind, each device is named once, and the sending one not at all.
    fn check_addresses(&self, at: usize, message: &Node, to: &Jid) {
        let named = message.child("participants").map(Node::nodes).unwrap_or_default();
        let named: Vec<Jid> = named.iter().map(|to| to.attr_jid("jid").unwrap()).collect();
        let recipient = message.attr_jid("recipient");
        for (place, jid) in named.iter().chain(&recipient).enumerate() {
            assert!(to.is_group() || Space::of(jid) == Space::of(to), "{jid}");
            assert!(!named[..place.min(named.len())].contains(jid), "{jid} twice");
            let client = &self.clients[at];
            assert!(*jid != client.jid && *jid != client.lid, "{jid} is the sender");
        }
    }

    /// The head of a message as the target gets it.
    pub(super) fn incoming(
        &self,
        from: usize,
        target: usize,
        chat: &Jid,
        message: &Node,
        by_lid: bool,
    ) -> Node {
        let (from, target) = (&self.clients[from], &self.clients[target]);
        let own = from.jid.same_user(&target.jid);
        let is_peer = message.attr_is("category", "peer");
        let node = Node::new("message")
            .attr("id", message.attr_str("id").unwrap())
            .attr("from", if by_lid { &from.lid } else { &from.jid })
            .attr("type", "text")
            .attr("t", self.now.as_secs())
            .attr("notify", "somebody")
            .attr_opt("category", is_peer.then_some("peer"))
            .attr_opt("recipient", (own && !is_peer).then_some(chat));
        let other = (!self.hides_lids && !own).then_some(());
        match by_lid {
            true => node.attr_opt("sender_pn", other.map(|()| from.jid.to_bare())),
            false => node.attr_opt("sender_lid", other.map(|()| from.lid.to_bare())),
        }
    }

    /// Passes a receipt on to the device that it is for.
    pub(super) fn receipt(&mut self, at: usize, receipt: &Node) {
        let to = receipt.attr_jid("to").unwrap();
        if to.is_group() {
            return self.group_receipt(at, receipt, &to);
        }
        let Some(target) = self.client_at(&to) else { return };
        let mut receipt = receipt.clone();
        receipt.attrs.remove("to");
        let from = if to.is_lid() {
            self.clients[at].lid.clone()
        } else {
            self.clients[at].jid.clone()
        };
        receipt.set_attr("from", from);
        receipt.set_attr("t", self.now.as_secs());
        self.deliver(target, receipt);
    }
}

pub(super) fn refusal(code: u16) -> Node {
    let error = Node::new("error").attr("code", code);
    Node::new("iq")
        .attr("type", "error")
        .attr("from", Jid::SERVER)
        .with_child(error)
}

pub(super) fn with_identity(mut incoming: Node, message: &Node) -> Node {
    if let Some(identity) = message.child("device-identity") {
        incoming.push_child(identity.clone());
    }
    incoming
}
