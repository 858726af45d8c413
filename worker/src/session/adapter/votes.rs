//! Votes in polls: opened before the step that brings them is handed on, so that what is told and what is acknowledged are
//! one write.
//!
//! The secret of a poll that Fanfare sent is derived from its chat and its id, and its options are those of its queue; a poll
//! that came in is kept with its secret. What is stored is looked at once for all votes of a step.

use shared::content::{Body, Content};
use shared::event::{MessageRef, NewMessage, OptionTotal, PollTold, PollTotals, PollVote, VoteTold};
use shared::id::StanzaId;
use shared::store::chats::change::sender_of;
use shared::store::chats::polls::{KeptPoll, KeptVote};
use shared::store::recipients::SentMessage;
use whatsapp::device::Device;
use whatsapp::event::{Event, Incoming};
use whatsapp::jid::Jid;
use whatsapp::message_id::MessageId;
use whatsapp::message_secret;
use whatsapp::poll::{Ballot, option_hash};

use super::messages::new_message;
use super::names::{server, stanza_id};

/// A vote that was opened: what is told of it beside its message.
#[derive(Debug)]
pub(crate) struct Vote {
    /// The message of the vote, as its event is to tell it.
    header: NewMessage,
    poll: PollTold,
    chosen: Vec<String>,
    totals: Option<PollTotals>,
}

impl Vote {
    /// Its event.
    pub(crate) fn into_event(self) -> shared::event::Event {
        let date_time = self.header.context.message_timestamp.saturating_mul(1_000);
        shared::event::Event::PollVote(Box::new(PollVote {
            header: self.header.header,
            poll: self.poll,
            vote: VoteTold {
                selected_options: self.chosen,
            },
            totals: self.totals,
            date_time,
        }))
    }
}

/// A vote of a step that is not opened yet.
pub(super) struct Cast {
    /// Which of the step's events it is.
    at: usize,
    poll: MessageId,
    told: NewMessage,
}

impl Cast {
    /// The id of the poll that it names.
    pub(super) fn poll(&self) -> StanzaId {
        stanza_id(&self.poll)
    }

    /// The names of its chat under which something may be stored.
    fn chats(&self) -> impl Iterator<Item = String> + '_ {
        let header = &self.told.header;
        let lid = header.lid.iter().filter(|_| !self.told.context.from_group);
        std::iter::once(&header.wuid).chain(lid).cloned()
    }
}

/// The votes among the events of a step.
pub(super) fn cast(events: &[Event]) -> Vec<Cast> {
    let votes = events.iter().enumerate().filter_map(|(at, event)| {
        let Event::Message(incoming) = event else {
            return None;
        };
        let update = incoming.message.poll_update_message.as_ref()?;
        let key = update.poll_creation_message_key.as_ref()?;
        Some(Cast {
            at,
            poll: key.id.as_ref()?.parse().ok()?,
            told: new_message(incoming)?,
        })
    });
    votes.collect()
}

/// The chats of these votes.
pub(super) fn chats(votes: &[Cast]) -> Vec<String> {
    let mut chats: Vec<String> = votes.iter().flat_map(Cast::chats).collect();
    chats.sort_unstable();
    chats.dedup();
    chats
}

/// What is stored of the polls that votes name.
pub(super) struct Stored {
    /// Those that Fanfare sent.
    pub(super) sent: Vec<SentMessage>,
    /// Those that came in.
    pub(super) polls: Vec<KeptPoll>,
    /// The last vote of each voter; `None` where messages are not kept.
    pub(super) votes: Option<Vec<KeptVote>>,
}

/// Puts what was chosen in the place of what is sealed, where that can be opened: the texts of the options. Otherwise nothing
/// is left of it. Answers the votes that were opened, by the places of their events.
pub(super) fn open(
    events: &mut [Event],
    votes: Vec<Cast>,
    device: &Device,
    stored: &Stored,
) -> Vec<(usize, Vote)> {
    let mut counts = Counts(stored.votes.clone());
    let mut opened = Vec::new();
    for cast in votes {
        let Some(Event::Message(incoming)) = events.get_mut(cast.at) else {
            continue;
        };
        let found = find(incoming, &cast, device, stored);
        let chosen = found.as_ref().map(|(_, chosen)| chosen.clone());
        if let Some(update) = &mut incoming.message.poll_update_message {
            update.vote = chosen.map(whatsapp::poll::opened);
        }
        if let Some((poll, chosen)) = found {
            let totals = counts.count(&cast, &poll, &chosen);
            let at = cast.at;
            opened.push((at, poll.into_vote(cast, chosen, totals)));
        }
    }
    opened
}

/// A poll, whoever made it.
struct Poll<'a> {
    name: String,
    options: Vec<String>,
    from_me: bool,
    /// Who made it, in a group.
    sender: Option<&'a str>,
}

impl Poll<'_> {
    fn into_vote(self, cast: Cast, chosen: Vec<String>, totals: Option<PollTotals>) -> Vote {
        let key = MessageRef {
            message_id: stanza_id(&cast.poll),
            from_me: self.from_me,
            wuid: cast.told.header.wuid.clone(),
            participant: self.sender.map(str::to_owned),
        };
        Vote {
            header: cast.told,
            poll: PollTold { key, name: self.name },
            chosen,
            totals,
        }
    }
}

/// The poll that a vote is in, and what was chosen: of those of its id the one whose secret opens it.
fn find<'a>(
    incoming: &Incoming,
    cast: &Cast,
    device: &Device,
    stored: &'a Stored,
) -> Option<(Poll<'a>, Vec<String>)> {
    let id = cast.poll();
    let mut sent = stored.sent.iter().filter(|sent| sent.stanza == id);
    let own = sent.find_map(|sent| {
        let chat = Jid::new(sent.number.user(), server(sent.number.kind()));
        if chat.is_group() != incoming.chat.is_group() || (chat.is_group() && chat != incoming.chat) {
            return None;
        }
        let (name, options) = question(sent)?;
        let secret = message_secret(device, &chat, &cast.poll);
        let chosen = chosen(incoming, &cast.poll, device, (&secret, &options))?;
        let poll = Poll {
            name,
            options,
            from_me: true,
            sender: None,
        };
        Some((poll, chosen))
    });
    own.or_else(|| {
        let chats: Vec<String> = cast.chats().collect();
        let mut kept = stored.polls.iter();
        kept.find_map(|kept| {
            if kept.id != id.as_str() || !chats.contains(&kept.chat) {
                return None;
            }
            let chosen = chosen(incoming, &cast.poll, device, (&kept.secret, &kept.options))?;
            let poll = Poll {
                name: kept.name.clone(),
                options: kept.options.clone(),
                from_me: kept.from_me,
                sender: Some(kept.sender.as_str()).filter(|sender| !sender.is_empty()),
            };
            Some((poll, chosen))
        })
    })
}

/// The texts of the options that a vote names, if it was sealed for a poll of this secret.
fn chosen(
    incoming: &Incoming,
    poll: &MessageId,
    device: &Device,
    (secret, options): (&[u8; 32], &[String]),
) -> Option<Vec<String>> {
    let update = incoming.message.poll_update_message.as_ref()?;
    let vote = update.vote.as_ref()?;
    // Both are named as the chat is addressed, which may have changed since: by number or by hidden id.
    let voters = [
        Some(&incoming.sender),
        incoming.lid.as_ref(),
        incoming.phone.as_ref(),
    ];
    let key = update.poll_creation_message_key.as_ref();
    let named = key.and_then(|key| key.participant.as_deref()?.parse::<Jid>().ok());
    let creators = [
        device.jid(),
        device.lid(),
        named.as_ref(),
        Some(&incoming.chat),
        incoming.chat_alt.as_ref(),
        incoming.lid.as_ref(),
        incoming.phone.as_ref(),
    ];
    let hashes = creators.into_iter().flatten().find_map(|creator| {
        voters.into_iter().flatten().find_map(|voter| {
            let ballot = Ballot {
                secret,
                poll,
                creator,
                voter,
            };
            ballot.open(vote)
        })
    })?;
    let chosen = options.iter().filter(|name| hashes.contains(&option_hash(name)));
    Some(chosen.cloned().collect())
}

/// The question and the options of a poll as its recipient read them.
fn question(sent: &SentMessage) -> Option<(String, Vec<String>)> {
    let filled: Content;
    let content = match &sent.variables {
        Some(variables) => {
            filled = sent.content.filled(variables);
            &filled
        }
        None => &sent.content,
    };
    match &content.body {
        Body::Poll(poll) => Some((poll.name.clone(), poll.options.clone())),
        _ => None,
    }
}

/// The last vote of each voter of each poll, those of this step included as they come.
struct Counts(Option<Vec<KeptVote>>);

impl Counts {
    /// Takes a vote, and says how its poll stands with it.
    fn count(&mut self, cast: &Cast, poll: &Poll<'_>, chosen: &[String]) -> Option<PollTotals> {
        let votes = self.0.as_mut()?;
        let (chats, id): (Vec<_>, _) = (cast.chats().collect(), cast.poll.as_str());
        let is_here = |vote: &KeptVote| vote.poll == id && chats.contains(&vote.chat);
        let (from_me, sender) = (cast.told.header.from_me, sender_of(&cast.told));
        votes.retain(|vote| !(is_here(vote) && (vote.from_me, &vote.sender) == (from_me, &sender)));
        votes.push(KeptVote {
            chat: cast.told.header.wuid.clone(),
            poll: id.to_owned(),
            from_me,
            sender,
            chosen: chosen.to_vec(),
        });
        let count = |counts: &dyn Fn(&[String]) -> bool| {
            let votes = votes.iter().filter(|vote| is_here(vote) && counts(&vote.chosen));
            u32::try_from(votes.count()).unwrap_or(u32::MAX)
        };
        let options = poll.options.iter().map(|name| OptionTotal {
            name: name.clone(),
            votes: count(&|chosen| chosen.contains(name)),
        });
        Some(PollTotals {
            options: options.collect(),
            voters: count(&|chosen| !chosen.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests;
