//! What the connection tells of people and calls, in the product's words. Pure.

use shared::event::{
    Call, CallStatus, Contact, ContactIdentity, Event, FormerContact, IdentitySource, PictureChange,
};
use shared::id::Token;
use shared::store::chats::change;
use shared::store::chats::people::PersonChange;
use whatsapp::event::{self as told, CallNews, CallStage, ContactChange, ContactNews};
use whatsapp::jid::Jid;

use super::events::Peer;

/// Somebody by both names, whichever one the wire used.
fn person(user: &Jid, other: Option<&Jid>) -> Peer {
    let names = || [Some(user), other].into_iter().flatten();
    let phone = names().find(|name| name.is_user());
    let lid = names().find(|name| name.is_lid());
    Peer::new(user, phone, lid)
}

/// Somebody as events tell of them, with nothing but who they are.
pub(crate) fn contact(peer: Peer, token: Token) -> Contact {
    Contact {
        lid: peer.lid,
        phone_number: peer.phone_number,
        ..Contact::new(peer.wuid, token)
    }
}

/// Somebody by the names that they are stored under.
pub(crate) fn stored(peer: &change::Peer) -> Peer {
    let name = |jid: Option<&String>| jid.and_then(|jid| jid.parse::<Jid>().ok());
    let (jid, lid) = (name(Some(&peer.jid)), name(peer.lid.as_ref()));
    match jid {
        Some(jid) => person(&jid, lid.as_ref()),
        None => Peer {
            wuid: peer.jid.clone(),
            lid: peer.lid.clone(),
            phone_number: None,
        },
    }
}

/// Who somebody was by the jid that they had.
pub(crate) fn former(jid: &str) -> FormerContact {
    let peer = stored(&change::Peer {
        jid: jid.to_owned(),
        lid: None,
    });
    FormerContact {
        wuid: peer.wuid,
        lid: peer.lid,
        phone_number: peer.phone_number,
    }
}

/// Something has changed of somebody: the event, and what is kept of it.
pub(crate) fn changed(news: ContactNews, token: Token) -> (Event, Option<PersonChange>) {
    let peer = person(&news.user, news.other.as_ref());
    let mut kept = PersonChange {
        jid: peer.wuid.clone(),
        lid: peer.lid.clone().filter(|lid| *lid != peer.wuid),
        ..PersonChange::default()
    };
    let mut told = contact(peer, token);
    match news.change {
        ContactChange::Picture { id } => {
            told.picture = Some(PictureChange::Changed);
            told.picture_id.clone_from(&id);
            kept.picture = id;
        }
        ContactChange::NoPicture => {
            told.picture = Some(PictureChange::Removed);
            told.profile_picture_url = Some(None);
            kept.picture = Some(String::new());
        }
        ContactChange::About(about) => {
            told.about = Some(about.clone());
            kept.about = Some(about);
        }
        ContactChange::Business(name) => {
            told.verified_name = Some(name.clone());
            kept.business = Some(name);
        }
        ContactChange::Number { former, former_lid } => {
            let former = person(&former, former_lid.as_ref());
            kept.former = Some(former.wuid.clone());
            told.former = Some(FormerContact {
                wuid: former.wuid,
                lid: former.lid,
                phone_number: former.phone_number,
            });
        }
    }
    (Event::ContactsUpdate(vec![told]), kept.storable())
}

/// A device of somebody has another identity.
pub(crate) fn identity(device: &Jid, other: Option<&Jid>, source: told::IdentitySource) -> Event {
    let peer = person(&device.to_bare(), other);
    Event::ContactIdentity(ContactIdentity {
        wuid: peer.wuid,
        lid: peer.lid,
        phone_number: peer.phone_number,
        device: device.device(),
        learnt_from: match source {
            told::IdentitySource::Notification => IdentitySource::Notification,
            told::IdentitySource::Message => IdentitySource::Message,
            told::IdentitySource::Keys => IdentitySource::Keys,
        },
    })
}

/// Somebody calls, or a call has come further: as somebody else's doing, until who rejects it says otherwise.
pub(crate) fn call(news: CallNews) -> Call {
    let peer = person(&news.from, news.other.as_ref());
    Call {
        call_id: news.id,
        status: match news.stage {
            CallStage::Offer => CallStatus::Offer,
            CallStage::Accept => CallStatus::Accept,
            CallStage::Reject => CallStatus::Reject,
            CallStage::Missed => CallStatus::Missed,
            CallStage::End => CallStatus::Terminate,
        },
        wuid: peer.wuid,
        lid: peer.lid,
        phone_number: peer.phone_number,
        caller_name: news.name,
        is_video: news.is_video,
        is_group: news.is_group,
        group: news.group.map(|group| group.to_string()),
        automatic: false,
        reason: news.reason,
        offline: news.offline,
        since: news
            .timestamp
            .map(|at| i64::try_from(at.as_millis()).unwrap_or(i64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        text.parse().unwrap()
    }

    #[test]
    fn a_person_has_one_key_by_whichever_name_the_wire_used() {
        let (phone, lid) = (jid("5531900000001@s.whatsapp.net"), jid("98765@lid"));
        for (user, other) in [(&phone, &lid), (&lid, &phone)] {
            let peer = person(user, Some(other));
            assert_eq!(peer.wuid, "5531900000001@s.whatsapp.net");
            assert_eq!(peer.lid.as_deref(), Some("98765@lid"));
            assert_eq!(peer.phone_number.as_deref(), Some("5531900000001"));
        }
        assert_eq!(person(&lid, None).wuid, "98765@lid");
        assert_eq!(person(&phone, None).lid, None);
    }

    #[test]
    fn another_number_is_told_with_the_one_before_and_takes_what_is_kept() {
        let news = ContactNews {
            user: jid("5531900000002@s.whatsapp.net"),
            other: Some(jid("98765@lid")),
            change: ContactChange::Number {
                former: jid("5531900000001@s.whatsapp.net"),
                former_lid: None,
            },
        };
        let (event, kept) = changed(news, Token::new("shop").unwrap());
        let Event::ContactsUpdate(told) = event else {
            panic!("{event:?}");
        };
        let former = told[0].former.as_ref().unwrap();
        assert_eq!(told[0].wuid, "5531900000002@s.whatsapp.net");
        assert_eq!(former.wuid, "5531900000001@s.whatsapp.net");
        let kept = kept.unwrap();
        assert_eq!(kept.former.as_deref(), Some("5531900000001@s.whatsapp.net"));
        assert_eq!(kept.lid.as_deref(), Some("98765@lid"));
    }
}
