//! What is asked of WhatsApp about people and the own account, and what it says, as the product tells it.

use shared::job::{
    About, Answer, Business, FailureCode, Picture, ProfileAction, ProfileAnswer, ProfileJob, TypingState,
};
use whatsapp::event::QueryError;
use whatsapp::jid::Jid;
use whatsapp::profile::{self, PictureSize, ProfileRequest, Typing};

use super::events::query_failure;
use super::names::server;
use crate::job::pending::{done, failed};

/// What a job wants of the connection.
pub(crate) enum Wanted {
    /// To be asked, and answered.
    Request(Box<ProfileRequest>),
    /// To be told in a chat, which nobody answers.
    Typing(Jid, Typing),
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
        A::SetPicture => ProfileRequest::SetPicture(Some(job.jpeg()?.into())),
        A::RemovePicture => ProfileRequest::SetPicture(None),
        A::Typing => {
            let typing = match job.typing? {
                TypingState::Composing => Typing::Composing,
                TypingState::Recording => Typing::Recording,
                TypingState::Paused => Typing::Paused,
            };
            return Some(Wanted::Typing(of?, typing));
        }
    };
    Some(Wanted::Request(Box::new(request)))
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
            let words = format!("WhatsApp refused ({code})");
            failed(FailureCode::Refused, &words)
        }
        other => query_failure(other),
    }
}
