//! What devices of the account did to chats, contacts and labels, as the product tells and keeps it.
//!
//! Pure. Many changes that came at once are told many at a time.

use shared::clock::unix_millis;
use shared::event::{
    ChatUpdate, Contact, DeletedMessage, Event, LabelAssociation, LabelEdit, Labeled, MessageRef,
    MessageStar, MessagesDelete,
};
use shared::id::Token;
use shared::store::chats::change;
use shared::store::chats::labels::{Label, LabelChange, Labeling};
use shared::store::chats::state::{ChatState, MessagePlace, Muted, SavedName, StateChange};
use time::OffsetDateTime;
use whatsapp::jid::Jid;
use whatsapp::sync_action::{
    self as sync, ContactName, Mute, ReadMark, Switch, SyncAction, SyncActionKind, SyncActions, SyncSource,
};

use super::events::Peer;
use super::names::{stanza_id, wall};

/// What is told of the app state, and kept.
pub(crate) struct Told<'a> {
    token: &'a Token,
    now: OffsetDateTime,
    source: SyncSource,
    /// What was told, in order.
    pub(crate) events: Vec<Event>,
    /// What is kept, in order.
    pub(crate) changes: Vec<StateChange>,
    /// What is kept of labels, in order.
    pub(crate) labels: Vec<LabelChange>,
}

/// What became of a collection of the session with this token.
pub(crate) fn told(actions: SyncActions, token: &Token, now: OffsetDateTime) -> Told<'_> {
    let mut told = Told {
        token,
        now,
        source: actions.source,
        events: Vec::new(),
        changes: Vec::new(),
        labels: Vec::new(),
    };
    for action in actions.actions {
        told.take(action);
    }
    told
}

impl Told<'_> {
    fn take(&mut self, action: SyncAction) {
        use SyncActionKind as Kind;
        let SyncAction {
            at, replaces, other, ..
        } = action;
        let at = at.map_or(self.now, wall);
        // What was done once, and long ago, is in nothing that is kept here.
        let is_beginning = self.source == SyncSource::Beginning;
        match action.kind {
            Kind::Contact { who, name } => self.contact(&peer(&who, other.as_ref()), name, replaces),
            Kind::MarkRead(_, ReadMark::Read)
            | Kind::ClearChat(..)
            | Kind::DeleteChat(..)
            | Kind::DeleteMessage(_)
                if is_beginning => {}
            Kind::Archive(..) | Kind::Pin(..) | Kind::Mute(..) | Kind::MarkRead(..) => {
                self.chat(&action.kind, other.as_ref(), at);
            }
            Kind::ClearChat(chat, until) => {
                let chat = peer(&chat, other.as_ref());
                let all = MessagesDelete::chat(chat.wuid.clone(), lid_beside(&chat));
                self.events.push(Event::MessagesDelete(all));
                let until = until.map_or(at, wall);
                self.changes.push(StateChange::Cleared(kept(&chat), until));
            }
            Kind::DeleteChat(chat, until) => {
                let chat = peer(&chat, other.as_ref());
                let until = until.map_or(at, wall);
                self.changes.push(StateChange::Deleted(kept(&chat), until));
                match self.events.last_mut() {
                    Some(Event::ChatsDelete(chats)) if chats.len() < ROWS_MAX => chats.push(chat.wuid),
                    _ => self.events.push(Event::ChatsDelete(vec![chat.wuid])),
                }
            }
            Kind::DeleteMessage(message) => self.deleted(&message, other.as_ref()),
            Kind::Star(message, starred) => {
                let chat = peer(&message.chat, other.as_ref());
                self.events.push(Event::MessageStar(MessageStar {
                    key: MessageRef {
                        message_id: stanza_id(&message.id),
                        from_me: message.from_me,
                        wuid: chat.wuid,
                        participant: message.participant.as_ref().map(Jid::to_string),
                    },
                    starred: starred.is_on(),
                }));
            }
            Kind::Label(..) | Kind::LabelChat(..) | Kind::LabelMessage(..) => {
                self.label(action.kind, other.as_ref());
            }
            // Told by the connection itself, or of no meaning here.
            Kind::PushName(_) | Kind::Number { .. } | Kind::Unknown(_) => {}
        }
    }

    fn contact(&mut self, who: &Peer, name: Option<ContactName>, replaces: bool) {
        let saved = name.as_ref().and_then(|name| SavedName::new(&name.full));
        self.changes.push(StateChange::Contact(kept(who), saved));
        let is_new = name.is_some() && !replaces;
        let contact = Contact {
            lid: who.lid.clone(),
            phone_number: who.phone_number.clone(),
            contact_name: Some(name.map(|name| name.full)),
            ..Contact::new(who.wuid.clone(), self.token.clone())
        };
        match (self.events.last_mut(), is_new) {
            (Some(Event::ContactsUpsert(contacts)), true)
            | (Some(Event::ContactsUpdate(contacts)), false)
                if contacts.len() < ROWS_MAX =>
            {
                contacts.push(contact);
            }
            (_, true) => self.events.push(Event::ContactsUpsert(vec![contact])),
            (_, false) => self.events.push(Event::ContactsUpdate(vec![contact])),
        }
    }

    fn chat(&mut self, kind: &SyncActionKind, other: Option<&Jid>, at: OffsetDateTime) {
        let Some(chat) = kind.subject().map(|chat| peer(chat, other)) else {
            return;
        };
        let (mut state, mut row) = (ChatState::default(), ChatUpdate::default());
        match kind {
            SyncActionKind::Archive(_, archived) => {
                state.archived = Some(archived.is_on());
                row.archived = state.archived;
            }
            SyncActionKind::Pin(_, pinned) => {
                let since = (*pinned == Switch::On).then_some(at);
                (state.pinned, row.pinned) = (Some(since), Some(since.map(unix_millis)));
            }
            SyncActionKind::Mute(_, mute) => {
                let (muted, end) = match mute {
                    Mute::Off => (Muted::No, None),
                    Mute::Until(until) => (Muted::Until(wall(*until)), Some(unix_millis(wall(*until)))),
                    Mute::Always => (Muted::Always, Some(-1)),
                };
                (state.muted, row.mute_end_time) = (Some(muted), Some(end));
            }
            SyncActionKind::MarkRead(_, mark) => {
                state.marked_unread = Some(*mark == ReadMark::Unread);
                row.marked_unread = state.marked_unread;
                row.unread_count = (*mark == ReadMark::Read).then_some(0);
            }
            _ => return,
        }
        self.changes.push(StateChange::Chat(kept(&chat), state));
        row.lid = lid_beside(&chat);
        row.id = chat.wuid;
        match self.events.last_mut() {
            Some(Event::ChatsUpdate(chats)) if chats.len() < ROWS_MAX => chats.push(row),
            _ => self.events.push(Event::ChatsUpdate(vec![row])),
        }
    }

    fn deleted(&mut self, message: &sync::MessageRef, other: Option<&Jid>) {
        let chat = peer(&message.chat, other);
        let author = message.participant.as_ref().filter(|_| message.chat.is_group());
        let named = author.map(|author| peer(author, None));
        let person = named.as_ref().unwrap_or(&chat);
        let row = DeletedMessage {
            message_id: stanza_id(&message.id),
            from_me: message.from_me,
            lid: person.lid.clone(),
            phone_number: person.phone_number.clone(),
            participant: author.map(Jid::to_string),
            deleted_by: None,
            wuid: chat.wuid.clone(),
        };
        self.changes.push(StateChange::Message(MessagePlace {
            chat: kept(&chat),
            id: row.message_id.clone(),
            from_me: row.from_me,
        }));
        match self.events.last_mut() {
            Some(Event::MessagesDelete(MessagesDelete::Messages(rows))) if rows.len() < ROWS_MAX => {
                rows.push(row);
            }
            _ => {
                let rows = MessagesDelete::Messages(vec![row]);
                self.events.push(Event::MessagesDelete(rows));
            }
        }
    }

    fn label(&mut self, kind: SyncActionKind, other: Option<&Jid>) {
        match kind {
            SyncActionKind::Label(id, label) => self.label_edited(id, label),
            SyncActionKind::LabelChat(id, chat, on) => self.labeled(id, &peer(&chat, other), None, on),
            SyncActionKind::LabelMessage(id, message, on) => {
                let name = message.id.as_str().to_owned();
                self.labeled(id, &peer(&message.chat, other), Some(name), on);
            }
            _ => {}
        }
    }

    fn label_edited(&mut self, id: String, label: Option<sync::Label>) {
        self.labels.push(match &label {
            None => LabelChange::Deleted(id.clone()),
            Some(label) => LabelChange::Edited(Label {
                id: id.clone(),
                name: label.name.clone(),
                color: label.color,
                predefined: label.predefined,
            }),
        });
        self.events.push(Event::LabelsEdit(LabelEdit {
            id,
            deleted: label.is_none(),
            color: label.as_ref().map_or(0, |label| label.color),
            predefined_id: label.as_ref().and_then(|label| label.predefined),
            name: label.map(|label| label.name).unwrap_or_default(),
        }));
    }

    fn labeled(&mut self, label: String, chat: &Peer, message: Option<String>, on: Switch) {
        let labeling = Labeling {
            label: label.clone(),
            chat: kept(chat),
            message: message.clone(),
        };
        self.labels.push(match on {
            Switch::On => LabelChange::Given(labeling),
            Switch::Off => LabelChange::Taken(labeling),
        });
        self.events.push(Event::LabelsAssociation(LabelAssociation {
            label_id: label,
            kind: match message {
                Some(_) => Labeled::Message,
                None => Labeled::Chat,
            },
            lid: lid_beside(chat),
            wuid: chat.wuid.clone(),
            message_id: message,
            labeled: on.is_on(),
        }));
    }
}

/// A chat or a person by both names, as far as they are known.
fn peer(subject: &Jid, other: Option<&Jid>) -> Peer {
    match subject.is_lid() {
        true => Peer::new(subject, other, None),
        false => Peer::new(subject, None, other),
    }
}

/// The hidden id, where it stands beside the number.
fn lid_beside(peer: &Peer) -> Option<String> {
    peer.lid.clone().filter(|lid| *lid != peer.wuid)
}

fn kept(peer: &Peer) -> change::Peer {
    change::Peer {
        jid: peer.wuid.clone(),
        lid: lid_beside(peer),
    }
}

/// Most rows that one event has.
const ROWS_MAX: usize = 500;

#[cfg(test)]
mod tests;
