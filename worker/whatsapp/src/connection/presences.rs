//! Who is there, and who is writing: of those that the owner follows, for as long as the connection lasts.
//!
//! Facts: docs/PROTOCOL.md, "Profiles".

use std::collections::VecDeque;

use crate::binary::Node;
use crate::e2e::Directory;
use crate::event::Event;
use crate::jid::Jid;
use crate::part::Context;
use crate::profile::{PresenceNews, PresenceState};
use crate::time::Timestamp;

/// How many people are followed at a time; the one followed longest is forgotten for another.
const MAX_FOLLOWED: usize = 256;

/// Those that are followed, oldest first.
#[derive(Default)]
pub(crate) struct Presences {
    followed: VecDeque<Jid>,
}

impl Presences {
    /// From now on the owner is told of this person.
    pub(crate) fn follow(&mut self, cx: &mut Context<'_>, of: &Jid) {
        let of = of.to_bare();
        cx.send(Node::new("presence").attr("to", &of).attr("type", "subscribe"));
        self.followed.retain(|other| *other != of);
        if self.followed.len() >= MAX_FOLLOWED {
            self.followed.pop_front();
        }
        self.followed.push_back(of);
    }

    /// Somebody is there or not (`presence`), or is writing or not (`chatstate`).
    pub(crate) fn on_stanza(&self, cx: &mut Context<'_>, directory: &Directory, stanza: &Node) {
        let (Some(chat), Some(state)) = (stanza.attr_jid("from"), state(stanza)) else {
            return;
        };
        let chat = chat.to_bare();
        let names = [Some(chat.clone()), directory.other_name(&chat)];
        let is_followed = |name: &Jid| self.followed.iter().any(|followed| followed.same_user(name));
        if !names.iter().flatten().any(is_followed) {
            return;
        }
        let who = stanza.attr_jid("participant").map(|who| who.to_bare());
        let who = who.unwrap_or_else(|| chat.clone());
        let told = stanza.attr_jid("participant_pn").map(|phone| phone.to_bare());
        cx.emit(Event::Presence(Box::new(PresenceNews {
            other: told.or_else(|| directory.other_name(&who)),
            chat_other: directory.other_name(&chat),
            chat,
            who,
            state,
            last_seen: stanza.attr_u64("last").map(Timestamp::from_secs),
        })));
    }
}

fn state(stanza: &Node) -> Option<PresenceState> {
    if stanza.is("presence") {
        return match stanza.attr_str("type").as_deref() {
            None | Some("available") => Some(PresenceState::Available),
            Some("unavailable") => Some(PresenceState::Unavailable),
            Some(_) => None,
        };
    }
    let child = stanza.nodes().first()?;
    match child.tag() {
        "composing" if child.attr_is("media", "audio") => Some(PresenceState::Recording),
        "composing" => Some(PresenceState::Composing),
        "paused" => Some(PresenceState::Available),
        _ => None,
    }
}
