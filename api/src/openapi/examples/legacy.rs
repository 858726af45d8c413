//! The older API.

use serde_json::json;
use shared::id::IdError;
use shared::job::{Delay, GroupId};

use super::names::{ANA, BRUNO, GROUP, LATER, MESSAGE, NOBODY, QUEUE, TEXT, TOKEN, fixed};
use super::operation::Examples;
use super::sessions::group_metadata;
use crate::legacy::bodies::{
    Answer, LooseNumber, LooseRecipient, MediaBody, NumberBody, Recipients, TextBody, TokenBody,
};
use crate::legacy::groups::{self, GroupBody};
use crate::problem::Problem;
use crate::qr;
use crate::tokens::unknown;

/// The examples of this family.
pub(super) fn all() -> Vec<Examples> {
    let token = TokenBody { token: fixed(TOKEN) };
    let bad_token = Problem::field("token", IdError::Token.to_string());
    let nobody = || unknown(&fixed(NOBODY));
    let no_token = TokenBody { token: fixed(NOBODY) };
    let question = |token| NumberBody {
        token: fixed(token),
        number: LooseNumber::Text(ANA.to_owned()),
    };
    let group = |token| GroupBody {
        token: fixed(token),
        number: GroupId(fixed(GROUP)),
    };
    let deleted = json!({ "status": true, "message": "Deleting session and credential" });
    let exists = json!({ "exists": true, "jid": format!("{ANA}@s.whatsapp.net") });
    let create = "/api/whatsapp/create-instance";
    vec![
        Examples::of("post /api/whatsapp/create-instance")
            .asks(&token)
            .answers(200, "scan", &scan())
            .answers(200, "connected", &Answer::done("Already connected"))
            .answers(200, "processing", &Answer::done("Processing"))
            .refuses_body(create, &json!({ "token": "the shop" }), bad_token),
        Examples::of("post /api/whatsapp/delete-credential")
            .asks(&token)
            .answers(200, "deleted", &Answer::with_data(deleted))
            .refuses_body("/api/whatsapp/delete-credential", &no_token, nobody()),
        Examples::of("post /api/whatsapp/send-text")
            .asks(&texts(TOKEN))
            .answers(200, "many", &queue())
            .answers(200, "one", &message())
            .refuses_body("/api/whatsapp/send-text", &texts(NOBODY), nobody()),
        Examples::of("post /api/whatsapp/send-media")
            .asks(&media(TOKEN))
            .answers(200, "many", &queue())
            .answers(200, "one", &picture())
            .refuses_body("/api/whatsapp/send-media", &media(NOBODY), nobody()),
        Examples::of("post /api/whatsapp/group-metadata")
            .asks(&group(TOKEN))
            .answers(200, "group", &Answer::with_data(groups::shown(&group_metadata())))
            .refuses_body("/api/whatsapp/group-metadata", &group(NOBODY), nobody()),
        Examples::of("post /api/whatsapp/is-exists")
            .asks(&question(TOKEN))
            .answers(200, "exists", &Answer::with_data(exists))
            .refuses_body("/api/whatsapp/is-exists", &question(NOBODY), nobody()),
    ]
}

fn scan() -> Answer {
    Answer {
        status: false,
        qrcode: qr::data_url("2@b2Zm…,c2hvcA==,a2V5cw==,MTIz").ok(),
        ..Answer::done("Please scan qrcode")
    }
}

fn texts(token: &'static str) -> TextBody {
    let numbers = [ANA, BRUNO].map(|number| LooseRecipient::Number(LooseNumber::Text(number.to_owned())));
    TextBody {
        token: fixed(token),
        number: Recipients::Many(numbers.into()),
        text: TEXT.to_owned(),
        delay: Delay::new(10.0, 30.0).ok(),
    }
}

fn media(token: &'static str) -> MediaBody {
    let numbers = [ANA, BRUNO].map(|number| LooseRecipient::Number(LooseNumber::Text(number.to_owned())));
    MediaBody {
        token: fixed(token),
        number: Recipients::Many(numbers.into()),
        kind: "image".to_owned(),
        url: "https://example.com/flowers.jpg".to_owned(),
        caption: Some(TEXT.to_owned()),
        file_name: None,
        delay: None,
    }
}

/// What is told of a file that is not uploaded by the time of the answer; else its place and key are with it.
fn picture() -> Answer {
    Answer::with_data(json!({
        "key": { "remoteJid": format!("{ANA}@s.whatsapp.net"), "fromMe": true, "id": MESSAGE },
        "message": { "imageMessage": { "caption": TEXT } },
        "messageTimestamp": LATER.unix_timestamp().to_string(),
        "status": "PENDING",
    }))
}

fn queue() -> Answer {
    Answer {
        queue: Some(json!({ "queueId": QUEUE, "status": "STARTED", "progress": 0 })),
        ..Answer::with_data("Sending 2 message start".into())
    }
}

fn message() -> Answer {
    let sent = json!({
        "key": { "remoteJid": format!("{ANA}@s.whatsapp.net"), "fromMe": true, "id": MESSAGE },
        "message": { "extendedTextMessage": { "text": TEXT } },
        "messageTimestamp": LATER.unix_timestamp().to_string(),
        "status": "PENDING",
    });
    Answer {
        data: Some(sent.clone()),
        ..Answer::done(sent)
    }
}
