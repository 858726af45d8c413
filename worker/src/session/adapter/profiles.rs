//! What is asked of WhatsApp about people and the own account, and what it says, as the product tells it.

use shared::event::{Event, KnownPresence, Presence, PresenceUpdate};
use shared::job::{
    About, Answer, Business, FailureCode, Picture, ProfileAction, ProfileAnswer, ProfileJob, TypingState,
};
use whatsapp::command::Command;
use whatsapp::event::QueryError;
use whatsapp::jid::Jid;
use whatsapp::profile::{self, PictureSize, PresenceNews, PresenceState, ProfileRequest, Typing};
use whatsapp::time::Timestamp;

use super::events::query_failure;
use super::names::server;
use crate::job::pending::{done, failed};

/// What a job wants of the connection.
pub(crate) enum Wanted {
    /// To be asked, and answered.
    Request(Box<ProfileRequest>),
    /// To be told, which nobody answers.
    Told(Command),
}

/// What a job wants; `None` if a field is missing, which its reader has refused.
pub(crate) fn wanted(job: &ProfileJob) -> Option<Wanted> {
    use ProfileAction as A;
    let of = job.of.as_ref().map(|of| Jid::new(of.user(), server(of.kind())));
    let request = match job.action {
        A::Picture => ProfileRequest::Picture {
            of: of?,
            size: match job.full {
                Some(true) => PictureSize::Full,
                _ => PictureSize::Preview,
            },
        },
        A::About => ProfileRequest::About(of?),
        A::Business => ProfileRequest::Business(of?),
        A::Blocked => ProfileRequest::Blocked,
        A::Privacy => ProfileRequest::Privacy,
        A::SetPrivacy => ProfileRequest::SetPrivacy {
            name: job.setting?.as_str().to_owned(),
            value: job.value?.as_str().to_owned(),
        },
        A::SetAbout => ProfileRequest::SetAbout(job.text.clone()?),
        // Not asked for so: it is a record of the app state.
        A::SetName => return None,
        A::SetPicture => ProfileRequest::SetPicture {
            group: of,
            jpeg: Some(job.jpeg()?.into()),
        },
        A::RemovePicture => ProfileRequest::SetPicture {
            group: of,
            jpeg: None,
        },
        A::Presence => return Some(Wanted::Told(Command::FollowPresence(of?))),
        A::Typing => {
            let typing = match job.typing? {
                TypingState::Composing => Typing::Composing,
                TypingState::Recording => Typing::Recording,
                TypingState::Paused => Typing::Paused,
            };
            return Some(Wanted::Told(Command::Type { chat: of?, typing }));
        }
    };
    Some(Wanted::Request(Box::new(request)))
}

/// Somebody is there or writes, as events tell it: by number where that is known.
pub(crate) fn presence(news: &PresenceNews) -> Event {
    let named = |jid: &Jid, other: Option<&Jid>| {
        let phone = other.filter(|other| other.is_user()).unwrap_or(jid);
        phone.to_string()
    };
    let lid = [Some(&news.who), news.other.as_ref()].into_iter().flatten();
    let who = named(&news.who, news.other.as_ref());
    let lid = lid.into_iter().find(|name| name.is_lid()).map(Jid::to_string);
    let presence = Presence {
        last_known_presence: match news.state {
            PresenceState::Available => KnownPresence::Available,
            PresenceState::Unavailable => KnownPresence::Unavailable,
            PresenceState::Composing => KnownPresence::Composing,
            PresenceState::Recording => KnownPresence::Recording,
        },
        last_seen: news.last_seen.map(Timestamp::as_secs),
        lid: lid.filter(|lid| *lid != who),
    };
    Event::PresenceUpdate(PresenceUpdate {
        jid: named(&news.chat, news.chat_other.as_ref()),
        presences: [(who, presence)].into(),
    })
}

/// The answer to a question that WhatsApp has answered.
pub(crate) fn answer(found: profile::ProfileAnswer) -> Answer {
    use profile::ProfileAnswer as Found;
    let mut told = ProfileAnswer::default();
    match found {
        Found::Done => return done(None),
        Found::Picture(picture) => {
            told.picture = picture.map(|profile::Picture { id, url }| Picture { id, url });
        }
        Found::About(about) => {
            told.about = about.map(|profile::About { text, since }| About { text, since });
        }
        Found::Business(business) => told.business = business.map(|business| shown(*business)),
        Found::Blocked(blocked) => {
            told.blocked = Some(blocked.iter().map(|jid| jid.to_bare().to_string()).collect());
        }
        Found::Privacy(settings) => told.privacy = Some(settings.into_iter().collect()),
    }
    Answer::Profile(Box::new(told))
}

fn shown(business: profile::Business) -> Business {
    let profile::Business {
        address,
        description,
        email,
        websites,
        categories,
    } = business;
    Business {
        address,
        description,
        email,
        websites,
        categories,
    }
}

/// The answer to a question that WhatsApp gave none to, or refused.
pub(crate) fn failure(error: &QueryError) -> Answer {
    match error {
        QueryError::Refused { code } => {
            let why = match code {
                401 => "only an admin of the group may do this",
                403 => "the account is not in the group",
                404 => "there is no such group, or nobody of this number",
                406 => "WhatsApp does not take this picture or text",
                429 => "WhatsApp has been asked too often; try again later",
                _ => "WhatsApp refused",
            };
            failed(FailureCode::Refused, &format!("{why} ({code})"))
        }
        other => query_failure(other),
    }
}
