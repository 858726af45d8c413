//! What the server says of people beside messages: pictures, abouts, names of businesses, other numbers.
//!
//! Facts: docs/PROTOCOL.md, "People".

use prost::Message as _;

use crate::binary::Node;
use crate::e2e::{E2e, Names, is_own};
use crate::event::{ContactChange, ContactNews, Event};
use crate::jid::Jid;
use crate::part::Context;
use crate::proto::VerifiedNameCertificate;
use crate::proto::verified_name_certificate::Details;

/// Longest text that is told of somebody, in bytes; of a longer one nothing is.
const MAX_TEXT_BYTES: usize = 4_096;

/// A notification that is about a person came in: tells the owner.
pub(super) fn on_notification(cx: &mut Context<'_>, e2e: &mut E2e, stanza: &Node) {
    if stanza.attr_is("type", "contacts") {
        return on_number(cx, e2e, stanza);
    }
    let Some(user) = stanza
        .attr_jid("from")
        .filter(|from| from.is_user() || from.is_lid())
    else {
        return;
    };
    let user = user.to_bare();
    // What the account changes of itself on another device is no news of a contact.
    if is_own(cx.device, &user) {
        return;
    }
    for change in stanza.nodes().iter().filter_map(|child| change(stanza, child)) {
        let other = e2e.directory.other_name(&user);
        let user = user.clone();
        cx.emit(Event::ContactChanged(Box::new(ContactNews {
            user,
            other,
            change,
        })));
    }
}

fn change(stanza: &Node, child: &Node) -> Option<ContactChange> {
    let kind = stanza.attr_str("type")?;
    match (kind.as_ref(), child.tag()) {
        ("picture", "set") => Some(ContactChange::Picture {
            id: child.attr_str("id").map(std::borrow::Cow::into_owned),
        }),
        ("picture", "delete") => Some(ContactChange::NoPicture),
        ("status", "set") => {
            let text = child.text().map(std::borrow::Cow::into_owned);
            let text = text.filter(|text| !text.is_empty());
            let fits = text.as_ref().is_none_or(|text| text.len() <= MAX_TEXT_BYTES);
            fits.then_some(ContactChange::About(text))
        }
        ("business", "verified_name") => name_of(child).map(Some).map(ContactChange::Business),
        ("business", "remove") => Some(ContactChange::Business(None)),
        _ => None,
    }
}

/// The name in a certificate of a business. Its signature is the server's affair.
fn name_of(certificate: &Node) -> Option<String> {
    let certificate = VerifiedNameCertificate::decode(certificate.bytes()?).ok()?;
    let name = Details::decode(certificate.details?).ok()?.verified_name?;
    let fits = (1..=MAX_TEXT_BYTES).contains(&name.len());
    fits.then_some(name)
}

/// Somebody has another number.
fn on_number(cx: &mut Context<'_>, e2e: &mut E2e, stanza: &Node) {
    // Nobody but the server says so of others.
    if !stanza.attr_jid("from").is_some_and(|from| from.is_server()) {
        return;
    }
    let Some(modify) = stanza.child("modify") else {
        return;
    };
    let name = |attr: &str| modify.attr_jid(attr).map(|jid| jid.to_bare());
    let phone = |attr: &str| name(attr).filter(Jid::is_user);
    let (Some(former), Some(user)) = (phone("old"), phone("new")) else {
        return;
    };
    if former.same_user(&user) || is_own(cx.device, &former) || is_own(cx.device, &user) {
        return;
    }
    let former_lid = name("old_lid").filter(Jid::is_lid);
    let former_lid = former_lid.or_else(|| e2e.directory.other_name(&former));
    let lid = name("new_lid").filter(Jid::is_lid);
    let before = Names {
        phone: &former,
        lid: former_lid.as_ref(),
    };
    let now = Names {
        phone: &user,
        lid: lid.as_ref(),
    };
    e2e.on_renumbered(cx, &before, &now);
    cx.emit(Event::ContactChanged(Box::new(ContactNews {
        other: e2e.directory.other_name(&user),
        user,
        change: ContactChange::Number { former, former_lid },
    })));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::PartId;
    use crate::part::testing::Lender;

    fn told(stanza: &Node) -> Option<ContactNews> {
        let mut lender = Lender::new();
        lender.pair();
        let mut e2e = E2e::new(PartId::new(2), 512);
        on_notification(&mut lender.context(), &mut e2e, stanza);
        lender.take_events().into_iter().find_map(|event| match event {
            Event::ContactChanged(news) => Some(*news),
            _ => None,
        })
    }

    fn notification(kind: &'static str, from: &str, child: Node) -> Node {
        Node::new("notification")
            .attr("id", "1")
            .attr("type", kind)
            .attr("from", from.parse::<Jid>().unwrap())
            .with_child(child)
    }

    #[test]
    fn each_notification_tells_what_it_is_of() {
        let certificate = VerifiedNameCertificate {
            details: Some(
                Details {
                    verified_name: Some("Bakery".into()),
                    ..Details::default()
                }
                .encode_to_vec()
                .into(),
            ),
            ..VerifiedNameCertificate::default()
        };
        let certificate = Node::new("verified_name").with_slice(&certificate.encode_to_vec());
        let id = Some("17".to_owned());
        for (kind, child, change) in [
            (
                "picture",
                Node::new("set").attr("id", "17"),
                ContactChange::Picture { id },
            ),
            ("picture", Node::new("delete"), ContactChange::NoPicture),
            (
                "status",
                Node::new("set").with_slice(b"at work"),
                ContactChange::About(Some("at work".into())),
            ),
            ("status", Node::new("set"), ContactChange::About(None)),
            (
                "business",
                certificate,
                ContactChange::Business(Some("Bakery".into())),
            ),
            ("business", Node::new("remove"), ContactChange::Business(None)),
        ] {
            let news = told(&notification(kind, "15550002@s.whatsapp.net", child)).unwrap();
            assert!(news.change == change, "{kind}: {news:?}");
        }
    }

    #[test]
    fn what_is_none_of_a_contact_is_not_told() {
        let own = "15551230001@s.whatsapp.net";
        assert!(told(&notification("picture", own, Node::new("delete"))).is_none());
        assert!(told(&notification("picture", "1-2@g.us", Node::new("delete"))).is_none());
        let unknown = Node::new("verified_name").with_slice(&[0xff; 9]);
        assert!(told(&notification("business", "15550002@s.whatsapp.net", unknown)).is_none());
        let jid = |text: &str| text.parse::<Jid>().unwrap();
        let modify = |old: &str, new: &str| {
            let modify = Node::new("modify").attr("old", jid(old)).attr("new", jid(new));
            notification("contacts", "@s.whatsapp.net", modify)
        };
        let (old, new) = ("15550002@s.whatsapp.net", "15550003@s.whatsapp.net");
        assert!(told(&modify(own, new)).is_none() && told(&modify(old, old)).is_none());
        let mut of_another = modify(old, new);
        of_another.set_attr("from", jid(new));
        assert!(told(&of_another).is_none(), "only the server says so");
        let news = told(&modify(old, new)).unwrap();
        assert_eq!(news.user, jid(new));
        let former = ContactChange::Number {
            former: jid(old),
            former_lid: None,
        };
        assert!(news.change == former);
    }
}
