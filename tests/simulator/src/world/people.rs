//! What contacts change of themselves, and who is told of it.
//!
//! Facts: docs/PROTOCOL.md, "People".

use prost::Message as _;
use whatsapp::binary::Node;
use whatsapp::jid::Jid;
use whatsapp::proto::VerifiedNameCertificate;
use whatsapp::proto::verified_name_certificate::Details;

use super::World;
use super::person::{PersonNews, PictureNews};
use super::stanza::notification;
use crate::number::{Addressing, DeviceAddr, Number};
use crate::refusal::Refusal;

/// Longest text of a contact.
const MAX_TEXT_BYTES: usize = 4_096;

impl World {
    /// A contact changes something; the companions of all accounts that wrote to it are told.
    pub(super) fn change_person(&mut self, contact: Number, news: &PersonNews) -> Result<(), Refusal> {
        self.require_contact("number", contact)?;
        for (field, text) in [
            ("about", &news.about),
            ("name", &news.name),
            ("business", &news.business),
        ] {
            if text.as_ref().is_some_and(|text| text.len() > MAX_TEXT_BYTES) {
                let problem = format!("is longer than {MAX_TEXT_BYTES} bytes");
                return Err(Refusal::bad(field, problem));
            }
        }
        let next = news
            .number
            .as_deref()
            .map(|text| self.next_number(contact, text))
            .transpose()?;
        if let Some(name) = &news.name {
            self.contacts.entry(contact).or_default().name = Some(name.as_str().into());
        }
        let from = self.seed.jid(DeviceAddr::phone(contact), Addressing::Pn);
        let own = |kind| notification(&from, kind);
        if let Some(picture) = news.picture {
            let id = self.clock.unix_seconds();
            let child = match picture {
                PictureNews::Changed => Node::new("set").attr("id", id),
                PictureNews::Removed => Node::new("delete"),
            };
            let child = child.attr("jid", &from).attr("author", &from);
            self.tell_peers(contact, &own("picture"), &child);
        }
        if let Some(about) = &news.about {
            let child = Node::new("set").with_slice(about.as_bytes());
            self.tell_peers(contact, &own("status"), &child);
        }
        if let Some(business) = &news.business {
            let child = match business.as_str() {
                "" => Node::new("remove").attr("jid", &from),
                name => certificate(name).attr("jid", &from),
            };
            self.tell_peers(contact, &own("business"), &child);
        }
        if let Some(next) = next {
            self.renumber(contact, next);
        }
        Ok(())
    }

    /// The name that somebody's messages say.
    pub(super) fn push_name_of(&self, number: Number) -> String {
        if let Some(account) = self.accounts.get(&number) {
            return account.name.clone();
        }
        let own = self
            .contacts
            .get(&number)
            .and_then(|contact| contact.name.as_ref());
        own.map_or_else(
            || format!("Contact {}", number.get() % 10_000),
            ToString::to_string,
        )
    }

    pub(super) fn require_contact(&self, field: &'static str, number: Number) -> Result<(), Refusal> {
        match self.population.contains(number) {
            true => Ok(()),
            false => Err(Refusal::unknown(field)),
        }
    }

    fn next_number(&self, contact: Number, text: &str) -> Result<Number, Refusal> {
        let next: Number = text
            .parse()
            .map_err(|error: crate::number::BadNumber| Refusal::bad("number", error.to_string()))?;
        if next == contact || !self.population.contains(next) {
            return Err(Refusal::bad("number", "must be another contact's"));
        }
        Ok(next)
    }

    fn renumber(&mut self, old: Number, new: Number) {
        let jid = |number, form| self.seed.jid(DeviceAddr::phone(number), form);
        let child = Node::new("modify")
            .attr("old", jid(old, Addressing::Pn))
            .attr("new", jid(new, Addressing::Pn))
            .attr("old_lid", jid(old, Addressing::Lid))
            .attr("new_lid", jid(new, Addressing::Lid));
        self.tell_peers(old, &notification(&Jid::SERVER, "contacts"), &child);
    }

    fn tell_peers(&mut self, contact: Number, head: &Node, child: &Node) {
        for peer in self.peers_of(contact) {
            for who in self.linked_devices(peer).collect::<Vec<_>>() {
                self.notify(who, head.clone(), child.clone());
            }
        }
    }
}

/// A business's name as the server certifies it; nobody checks the signature here.
fn certificate(name: &str) -> Node {
    let details = Details {
        serial: Some(1),
        issuer: Some("ent:wa".into()),
        verified_name: Some(name.to_owned()),
        ..Details::default()
    };
    let certificate = VerifiedNameCertificate {
        details: Some(details.encode_to_vec().into()),
        ..VerifiedNameCertificate::default()
    };
    Node::new("verified_name")
        .attr("v", "2")
        .attr("verified_level", "low")
        .with_slice(&certificate.encode_to_vec())
}
