//! Votes in polls that Fanfare sent: opened before the step that brings them is handed on, so that what is told and what is
//! acknowledged are one write.
//!
//! A poll's secret is derived from its chat and its id, and its options are those of its queue: nothing is kept for it.

use shared::content::{Body, Content};
use shared::id::SessionId;
use shared::store::recipients::SentMessage;
use shared::store::{Store, StoreError, recipients};
use whatsapp::device::Device;
use whatsapp::event::{Event, Incoming};
use whatsapp::jid::Jid;
use whatsapp::message_id::MessageId;
use whatsapp::message_secret;
use whatsapp::poll::{Ballot, option_hash};

use super::super::content;
use super::names::{server, stanza_id};

/// The poll that an event is a vote in, as the vote names it.
pub(super) fn poll_of(event: &Event) -> Option<MessageId> {
    let Event::Message(incoming) = event else {
        return None;
    };
    let update = incoming.message.poll_update_message.as_ref()?;
    update
        .poll_creation_message_key
        .as_ref()?
        .id
        .as_ref()?
        .parse()
        .ok()
}

/// The poll with this id, if Fanfare sent it.
pub(super) async fn sent_poll(
    store: &Store,
    session: SessionId,
    poll: &MessageId,
) -> Result<Option<SentMessage>, StoreError> {
    let mut sent = recipients::find_by_stanza(store, session, &[stanza_id(poll)]).await?;
    Ok(sent.pop())
}

/// Puts what was chosen in the place of what is sealed, if it can be opened: the texts of the options. Otherwise nothing is
/// left of it.
pub(super) fn open(event: &mut Event, poll: &MessageId, sent: Option<(&Device, &SentMessage)>) {
    let Event::Message(incoming) = event else { return };
    let chosen = sent.and_then(|(device, sent)| chosen(incoming, poll, device, sent));
    if let Some(update) = &mut incoming.message.poll_update_message {
        update.vote = chosen.map(content::vote::opened);
    }
}

fn chosen(incoming: &Incoming, poll: &MessageId, device: &Device, sent: &SentMessage) -> Option<Vec<String>> {
    let vote = incoming.message.poll_update_message.as_ref()?.vote.as_ref()?;
    let options = options(sent)?;
    let chat = Jid::new(sent.number.user(), server(sent.number.kind()));
    let secret = message_secret(device, &chat, poll);
    // Both are named as the chat is addressed, which may have changed since: by number or by hidden id.
    let voters = [
        Some(&incoming.sender),
        incoming.lid.as_ref(),
        incoming.phone.as_ref(),
    ];
    let creators = [device.jid(), device.lid()];
    let hashes = creators.into_iter().flatten().find_map(|creator| {
        voters.into_iter().flatten().find_map(|voter| {
            let ballot = Ballot {
                secret: &secret,
                poll,
                creator,
                voter,
            };
            ballot.open(vote)
        })
    })?;
    let chosen = options
        .into_iter()
        .filter(|name| hashes.contains(&option_hash(name)));
    Some(chosen.collect())
}

/// The options of a poll as its recipient read them.
fn options(sent: &SentMessage) -> Option<Vec<String>> {
    let filled: Content;
    let content = match &sent.variables {
        Some(variables) => {
            filled = sent.content.filled(variables);
            &filled
        }
        None => &sent.content,
    };
    match &content.body {
        Body::Poll(poll) => Some(poll.options.clone()),
        _ => None,
    }
}
