//! Polls that came in, as they are stored, and the votes in them, as they are sealed.

use std::time::Duration;

use shared::content::Vote;
use shared::store::polls::{ReceivedPoll, SealedVote};
use shared::store::sessions::Owner;
use time::OffsetDateTime;
use whatsapp::event::{Incoming, unwrapped};
use whatsapp::jid::Jid;
use whatsapp::poll::{Ballot, IV_BYTES};

use super::super::content;
use super::events::Failure;
use super::names::{message_id, stanza_id};

/// The poll that a message is, if it is one in which can be voted; kept for so long.
pub(crate) fn received_poll(
    incoming: &Incoming,
    now: OffsetDateTime,
    keep: Duration,
) -> Option<ReceivedPoll> {
    let message = unwrapped(&incoming.message);
    let poll = content::creation(message)?;
    let infos = [
        &message.message_context_info,
        &incoming.message.message_context_info,
    ];
    let secret = infos
        .into_iter()
        .flatten()
        .find_map(|info| info.message_secret.as_deref())?;
    let options = poll.options.iter().map(|option| option.option_name.clone());
    let options: Vec<String> = options.collect::<Option<_>>()?;
    let (chat, creator) = (incoming.chat.to_string(), incoming.sender.to_bare().to_string());
    let bytes: usize = options.iter().map(String::len).sum();
    let fits = [&chat, &creator]
        .iter()
        .all(|name| name.len() <= ADDRESS_MAX_BYTES);
    if !fits || options.len() > OPTIONS_MAX || bytes > OPTIONS_MAX_BYTES {
        return None;
    }
    Some(ReceivedPoll {
        message: stanza_id(&incoming.id),
        chat,
        creator,
        secret: secret.try_into().ok()?,
        // A zero byte is in no text of the database, and in none of a poll that a person made.
        options: options.into_iter().map(|name| name.replace('\0', "")).collect(),
        selectable: poll.selectable_options_count.unwrap_or_default(),
        received_at: now,
        expires_at: now + keep,
    })
}

/// Seals a vote of the account in a poll.
pub(crate) fn seal(
    vote: &Vote,
    poll: &ReceivedPoll,
    owner: &Owner,
    iv: [u8; IV_BYTES],
) -> Result<SealedVote, Failure> {
    let unknown = vote
        .options
        .iter()
        .position(|option| !poll.options.contains(option));
    if let Some(at) = unknown {
        return Err(refused(format!(
            "message.options[{at}]: is no option of the poll"
        )));
    }
    let most = usize::try_from(poll.selectable).unwrap_or(usize::MAX);
    if most > 0 && vote.options.len() > most {
        return Err(refused(format!("message.options: the poll takes at most {most}")));
    }
    let creator: Jid = poll.creator.parse().map_err(|_| gone())?;
    // The account goes by the kind of name that the poll's chat uses.
    let own = owner.lid.as_deref().filter(|_| creator.is_lid());
    let voter: Jid = own.unwrap_or(&owner.jid).parse().map_err(|_| gone())?;
    let ballot = Ballot {
        secret: &poll.secret,
        poll: &message_id(&poll.message),
        creator: &creator,
        voter: &voter,
    };
    let options: Vec<&str> = vote.options.iter().map(String::as_str).collect();
    let sealed = ballot.seal(&options, iv);
    Ok(SealedVote {
        iv,
        payload: sealed.enc_payload.unwrap_or_default(),
    })
}

/// There is no such poll.
pub(crate) fn gone() -> Failure {
    Failure {
        status: 404,
        error: "Not Found",
        words: "message.key: no poll with this id came in, or not any more (KEEP_MEDIA_DAYS)".to_owned(),
    }
}

fn refused(words: String) -> Failure {
    Failure {
        status: 400,
        error: "Bad Request",
        words,
    }
}

/// Longest address that is stored.
const ADDRESS_MAX_BYTES: usize = 128;
/// Most options of a poll that is stored.
const OPTIONS_MAX: usize = 100;
/// And most bytes that they have together.
const OPTIONS_MAX_BYTES: usize = 65_536;
