//! People and the own account beside messages, at both doors.

use serde_json::json;
use shared::job::{Picture, ProfileAction, ProfileAnswer, ProfileJob};

use super::names::{ANA, NOBODY, TOKEN, fixed};
use super::operation::Examples;
use crate::legacy::bodies::Answer;
use crate::legacy::profile::PictureBody;
use crate::problem::Problem;
use crate::tokens::unknown;

/// The examples of this family.
pub(super) fn all() -> Vec<Examples> {
    let body = |token| PictureBody {
        token: fixed(token),
        number: fixed(ANA),
        highrest: Some(true),
    };
    let job = ProfileJob::new(ProfileAction::Picture, Some(fixed(ANA)));
    let no_of = Problem::field("of", "is needed to about");
    let told = Answer::with_data(profile().picture.map(|picture| picture.url).into());
    vec![
        Examples::of("post /v1/sessions/{token}/profile")
            .asks(&job)
            .answers(200, "picture", &profile())
            .refuses_body("/v1/sessions/shop/profile", &json!({ "action": "about" }), no_of),
        Examples::of("post /api/whatsapp/get-profile-picture")
            .asks(&body(TOKEN))
            .answers(200, "picture", &told)
            .refuses_body(
                "/api/whatsapp/get-profile-picture",
                &body(NOBODY),
                unknown(&fixed(NOBODY)),
            ),
    ]
}

/// Where a picture is.
pub(crate) fn profile() -> ProfileAnswer {
    ProfileAnswer {
        picture: Some(Picture {
            id: "1790000000".to_owned(),
            url: "https://pps.whatsapp.net/v/t61.24694-24/1.jpg".to_owned(),
        }),
        ..ProfileAnswer::default()
    }
}
