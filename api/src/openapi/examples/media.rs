//! Files that are uploaded to be sent.

use sha2::{Digest as _, Sha256};
use shared::store::media::MediaRecord;

use super::names::{AT, LATER, MEDIA, NOTHING, fixed};
use super::operation::Examples;
use crate::v1::uploads::{StoredMedia, no_such_media};

/// What the file of the examples says.
pub(crate) const FILE: &[u8] = b"a page";

/// The examples of this family.
pub(super) fn all() -> Vec<Examples> {
    let nothing = format!("/v1/media/{NOTHING}");
    vec![
        Examples::of("post /v1/media")
            .answers(201, "uploaded", &stored())
            .refuses("/v1/media", no_file()),
        Examples::of("get /v1/media/{media}")
            .answers(200, "uploaded", &stored())
            .refuses(&nothing, no_such_media()),
        Examples::of("delete /v1/media/{media}").refuses(&nothing, no_such_media()),
    ]
}

fn no_file() -> crate::problem::Problem {
    crate::problem::Problem::field("body", "must not be empty")
}

fn stored() -> StoredMedia {
    StoredMedia::from(MediaRecord {
        id: fixed(MEDIA),
        mimetype: Some("application/pdf".to_owned()),
        length: FILE.len() as u64,
        sha256: Sha256::digest(FILE).into(),
        created_at: AT,
        expires_at: LATER,
    })
}
