//! People: those who wrote, and that everything of one be forgotten.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use shared::id::Token;
use shared::job::{Forgotten, Job, Person, PersonJob};
use shared::recipient::{Number, NumberKind};
use shared::store::chats::{self, ContactRecord};
use utoipa::ToSchema;

use super::chats::forgotten;
use crate::app::App;
use crate::extract::{self, Query, SessionPath};
use crate::paging::{Page, PageQuery};
use crate::problem::{Problem, ProblemBody};

/// Somebody who wrote to the account, in a chat or a group.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct Contact {
    /// Their jid, by number where that is known.
    pub id: String,
    /// The name that they go by.
    pub name: Option<String>,
    /// Their phone number, digits only, where it is known.
    pub number: Option<String>,
    /// Their hidden id, where it is known.
    pub lid: Option<String>,
    /// The name of their business, if WhatsApp told one.
    #[serde(rename = "verifiedName")]
    pub verified_name: Option<String>,
    /// What they say about themselves, as WhatsApp told it last.
    pub about: Option<String>,
    /// The id of their picture, as WhatsApp told it last; empty if they removed it.
    #[serde(rename = "pictureId")]
    pub picture_id: Option<String>,
}

/// List who wrote to a session, by their ids.
#[utoipa::path(get, path = "/v1/sessions/{token}/contacts", params(("token" = String, Path), PageQuery), tag = "chats",
    responses((status = 200, body = Page<Contact>),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn contacts(
    State(app): State<Arc<App>>,
    SessionPath(token): SessionPath,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<Contact>>, Problem> {
    let (limit, after) = (page.limit()?, page.after::<String>()?);
    if after.as_ref().is_some_and(|after| after.contains('\0')) {
        return Err(Problem::field("cursor", "must be `next` of the page before"));
    }
    let session = app.tokens.look_up(&app.store, &token).await?.id;
    let rows = chats::contacts(&app.store, session, after.as_deref(), u32::from(limit) + 1).await?;
    let place = |row: &ContactRecord| row.jid.clone();
    Ok(Json(Page::new(rows, limit, place, Contact::from)))
}

/// Forget a person: their chat, what they wrote in groups, their name, their number in queues that are finished, and the keys
/// that their devices and the session share. The session connects anew for that, for a moment. A queue that is not finished
/// and has them among its recipients has to end first: 409 `conflict` names it. Done again, it changes nothing.
#[utoipa::path(delete, path = "/v1/sessions/{token}/people/{person}", params(("token" = String, Path),
    ("person" = String, Path, description = "A phone number with its country code, or a jid (@s.whatsapp.net, @lid).")),
    tag = "chats", responses((status = 200, body = ref("#/components/schemas/Forgotten")),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn forget_person(
    State(app): State<Arc<App>>,
    Path((token, person)): Path<(String, String)>,
) -> Result<Json<Forgotten>, Problem> {
    let token: Token = extract::text("token", &token)?;
    let person: Number = extract::text("person", &person)?;
    if person.kind() == NumberKind::Group {
        return Err(Problem::field("person", "must be a person, not a group"));
    }
    let person = Person(person);
    forgotten(&app, &token, Job::ForgetPerson(PersonJob { person })).await
}

impl From<ContactRecord> for Contact {
    fn from(record: ContactRecord) -> Self {
        Self {
            number: record.jid.strip_suffix("@s.whatsapp.net").map(str::to_owned),
            lid: match record.jid.ends_with("@lid") {
                true => Some(record.jid.clone()),
                false => record.lid,
            },
            id: record.jid,
            name: record.name,
            verified_name: record.business,
            about: record.about,
            picture_id: record.picture,
        }
    }
}
