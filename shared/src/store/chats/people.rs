//! What becomes known of people beside what they write, and what events have told of them.

use crate::id::SessionId;
use crate::store::{Store, StoreError};

/// Most characters of what somebody says about themselves that are kept.
const ABOUT_MAX: usize = 1_024;
/// Most characters of an id of a picture that are kept.
const PICTURE_MAX: usize = 128;

/// What became known of somebody. What is absent stays as it is; of who never wrote nothing is kept.
#[derive(Clone, Default, PartialEq)]
pub struct PersonChange {
    /// By number where that is known.
    pub jid: String,
    /// The hidden id, where it is known beside the number.
    pub lid: Option<String>,
    /// An event tells of them, with this name; empty for none.
    pub told: Option<String>,
    /// The name of their business; `None` in it if they are none.
    pub business: Option<Option<String>>,
    /// What they say about themselves; `None` in it for nothing.
    pub about: Option<Option<String>>,
    /// The id of their picture; empty if there is none.
    pub picture: Option<String>,
    /// The jid that they had until now: all that was kept by it is theirs.
    pub former: Option<String>,
}

impl std::fmt::Debug for PersonChange {
    /// Who it is is never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PersonChange(renumbers: {})", self.former.is_some())
    }
}

impl PersonChange {
    /// The same as far as the database has room for it; `None` of names that it has not.
    pub fn storable(mut self) -> Option<Self> {
        let fits = |name: &String| {
            (1..=super::change::ID_MAX).contains(&name.chars().count()) && !name.contains('\0')
        };
        let names = [Some(&self.jid), self.lid.as_ref(), self.former.as_ref()];
        if !names.into_iter().flatten().all(fits) {
            return None;
        }
        let clip = |text: &mut String, most: usize| {
            *text = text.replace('\0', "").chars().take(most).collect();
        };
        if let Some(told) = &mut self.told {
            clip(told, super::change::NAME_MAX);
        }
        if let Some(Some(business)) = &mut self.business {
            clip(business, super::change::NAME_MAX);
        }
        if let Some(Some(about)) = &mut self.about {
            clip(about, ABOUT_MAX);
        }
        if let Some(picture) = &mut self.picture {
            clip(picture, PICTURE_MAX);
        }
        Some(self)
    }
}

/// What events have told of somebody.
#[derive(Clone, PartialEq)]
pub struct ToldPerson {
    /// The name that their row goes by: by number, or by the hidden id alone.
    pub jid: String,
    /// Their jid when an event told of them last.
    pub told_as: Option<String>,
    /// The name that it told; empty for none.
    pub told_name: Option<String>,
}

impl std::fmt::Debug for ToldPerson {
    /// Who it is is never logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ToldPerson(told: {})", self.told_as.is_some())
    }
}

/// What events have told of those of these people who are known, by number or hidden id.
pub async fn told(store: &Store, session: SessionId, jids: &[String]) -> Result<Vec<ToldPerson>, StoreError> {
    let sql = "-- people::told
        SELECT jid, told_as, told_name FROM contact WHERE session_id = $1 /* session */ AND jid = ANY($2) /* jids */";
    let rows = store.query(sql, &[&session.get(), &jids]).await?;
    let person = |row: &tokio_postgres::Row| {
        Ok(ToldPerson {
            jid: row.try_get("jid")?,
            told_as: row.try_get("told_as")?,
            told_name: row.try_get("told_name")?,
        })
    };
    rows.iter().map(person).collect()
}
