//! What a record says.

use super::{ContactName, Label, MessageRef, Mute, ReadMark, Switch, SyncAction, SyncActionKind};
use crate::jid::Jid;
use crate::proto::SyncActionValue;
use crate::proto::sync_action_value::SyncActionMessageRange;
use crate::syncd::{Mutation, Operation};
use crate::time::Timestamp;

impl SyncAction {
    /// What a mutation says.
    pub(crate) fn of(mutation: &Mutation) -> Self {
        let index: Vec<&str> = mutation.index.iter().map(String::as_str).collect();
        let kind = match mutation.operation {
            Operation::Set => set(&index, &mutation.value),
            Operation::Remove => removed(&index),
        };
        let kind = kind.unwrap_or_else(|| {
            let name = mutation.index.first().cloned();
            SyncActionKind::Unknown(name.unwrap_or_default())
        });
        let at = mutation.value.timestamp.and_then(|at| u64::try_from(at).ok());
        let other = match &kind {
            SyncActionKind::Contact { who, .. } => other_name(who, &mutation.value),
            _ => None,
        };
        Self {
            at: at.filter(|at| *at > 0).map(Timestamp::from_millis),
            replaces: mutation.replaces,
            other,
            kind,
        }
    }
}

/// What a record says that is there now.
fn set(index: &[&str], value: &SyncActionValue) -> Option<SyncActionKind> {
    use SyncActionKind as Kind;
    Some(match *index {
        ["contact", who] => {
            let action = value.contact_action.as_ref()?;
            contact(who, [&action.full_name, &action.first_name, &action.username])?
        }
        ["lid_contact", who] => {
            let action = value.lid_contact_action.as_ref()?;
            contact(who, [&action.full_name, &action.first_name, &action.username])?
        }
        ["deleteMessageForMe", chat, id, from_me, participant] => {
            Kind::DeleteMessage(message([chat, id, from_me, participant])?)
        }
        ["star", chat, id, from_me, participant] => {
            let starred = value.star_action?.starred();
            Kind::Star(message([chat, id, from_me, participant])?, starred.into())
        }
        ["label_edit", id] => {
            let action = value.label_edit_action.as_ref()?;
            let label = Label {
                name: action.name().to_owned(),
                color: action.color(),
                predefined: action.predefined_id.filter(|id| *id > 0),
            };
            Kind::Label(id.to_owned(), (!action.deleted()).then_some(label))
        }
        ["label_jid", id, chat] => {
            let labeled = value.label_association_action?.labeled();
            Kind::LabelChat(id.to_owned(), jid(chat)?, labeled.into())
        }
        ["label_message", id, chat, message_id, from_me, participant] => {
            let labeled = value.label_association_action?.labeled();
            let message = message([chat, message_id, from_me, participant])?;
            Kind::LabelMessage(id.to_owned(), message, labeled.into())
        }
        ["setting_pushName"] => {
            let name = value.push_name_setting.as_ref()?.name.clone()?;
            Kind::PushName(Some(name).filter(|name| !name.is_empty())?)
        }
        ["pnForLidChat", lid] => Kind::Number {
            lid: jid(lid).filter(Jid::is_lid)?,
            phone: jid(value.pn_for_lid_chat_action.as_ref()?.pn_jid()).filter(Jid::is_user)?,
        },
        _ => return done_to_chat(index, value),
    })
}

fn contact(who: &str, [full, first, user]: [&Option<String>; 3]) -> Option<SyncActionKind> {
    let name = name_of([full, first, user]);
    Some(SyncActionKind::Contact {
        who: jid(who)?,
        name: name.map(|full| ContactName {
            full,
            first: first.clone(),
        }),
    })
}

fn done_to_chat(index: &[&str], value: &SyncActionValue) -> Option<SyncActionKind> {
    use SyncActionKind as Kind;
    Some(match *index {
        ["archive", chat] => {
            let archived = value.archive_chat_action.as_ref()?.archived();
            Kind::Archive(jid(chat)?, archived.into())
        }
        ["pin_v1", chat] => Kind::Pin(jid(chat)?, value.pin_action?.pinned().into()),
        ["mute", chat] => {
            let action = value.mute_action?;
            let mute = match (action.muted(), action.mute_end_timestamp) {
                (false, _) => Mute::Off,
                (true, Some(end)) => u64::try_from(end).map_or(Mute::Always, until),
                (true, None) => Mute::Always,
            };
            Kind::Mute(jid(chat)?, mute)
        }
        ["markChatAsRead", chat] => {
            let mark = match value.mark_chat_as_read_action.as_ref()?.read() {
                true => ReadMark::Read,
                false => ReadMark::Unread,
            };
            Kind::MarkRead(jid(chat)?, mark)
        }
        ["clearChat", chat, ..] => {
            let range = value.clear_chat_action.as_ref()?.message_range.as_ref();
            Kind::ClearChat(jid(chat)?, range.and_then(end))
        }
        ["deleteChat", chat, ..] => {
            let range = value.delete_chat_action.as_ref()?.message_range.as_ref();
            Kind::DeleteChat(jid(chat)?, range.and_then(end))
        }
        _ => return None,
    })
}

/// What it says that a record is gone; `None` of those that were about something done once.
fn removed(index: &[&str]) -> Option<SyncActionKind> {
    use SyncActionKind as Kind;
    Some(match *index {
        ["contact" | "lid_contact", who] => Kind::Contact {
            who: jid(who)?,
            name: None,
        },
        ["archive", chat] => Kind::Archive(jid(chat)?, Switch::Off),
        ["pin_v1", chat] => Kind::Pin(jid(chat)?, Switch::Off),
        ["mute", chat] => Kind::Mute(jid(chat)?, Mute::Off),
        ["star", chat, id, from_me, participant] => {
            Kind::Star(message([chat, id, from_me, participant])?, Switch::Off)
        }
        ["label_edit", id] => Kind::Label(id.to_owned(), None),
        ["label_jid", id, chat] => Kind::LabelChat(id.to_owned(), jid(chat)?, Switch::Off),
        ["label_message", id, chat, message_id, from_me, participant] => {
            let message = message([chat, message_id, from_me, participant])?;
            Kind::LabelMessage(id.to_owned(), message, Switch::Off)
        }
        _ => return None,
    })
}

/// The other name that a contact's record tells.
fn other_name(who: &Jid, value: &SyncActionValue) -> Option<Jid> {
    let action = value.contact_action.as_ref()?;
    let other = match who.is_lid() {
        true => jid(action.pn_jid()).filter(Jid::is_user),
        false => jid(action.lid_jid()).filter(Jid::is_lid),
    };
    other.filter(|other| !other.user().is_empty())
}

fn name_of(names: [&Option<String>; 3]) -> Option<String> {
    let named = names.into_iter().flatten();
    named.into_iter().find(|name| !name.trim().is_empty()).cloned()
}

fn until(end: u64) -> Mute {
    Mute::Until(Timestamp::from_millis(end))
}

/// Until when messages are meant; in seconds on the wire.
fn end(range: &SyncActionMessageRange) -> Option<Timestamp> {
    let seconds = u64::try_from(range.last_message_timestamp?).ok()?;
    (seconds > 0).then(|| Timestamp::from_secs(seconds))
}

fn message([chat, id, from_me, participant]: [&str; 4]) -> Option<MessageRef> {
    Some(MessageRef {
        chat: jid(chat)?,
        id: id.parse().ok()?,
        from_me: from_me == "1",
        participant: jid(participant),
    })
}

/// An address; `None` of what is none, like the `0` in its place.
fn jid(text: &str) -> Option<Jid> {
    let jid: Jid = text.parse().ok()?;
    (!jid.is_server()).then(|| jid.to_bare())
}
