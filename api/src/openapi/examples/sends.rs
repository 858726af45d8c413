//! What the older API sends besides texts.

use serde_json::{Value, json};
use shared::content::SentForm;
use shared::id::Token;

use super::names::{ANA, LATER, MESSAGE, NOBODY, TEXT, TOKEN, fixed};
use super::operation::Examples;
use crate::legacy::bodies::{
    Answer, ButtonBody, DeleteBody, KeyBody, LeadBody, ListBody, LooseNumber, LooseRecipient, ReactionBody,
    Recipients, ReplyBody, RowBody, SectionBody, TemplateBody,
};
use crate::tokens::unknown;

/// The examples of this family.
pub(super) fn all() -> Vec<Examples> {
    let nobody = || unknown(&fixed(NOBODY));
    let flow = Some(SentForm::NativeFlow);
    vec![
        Examples::of("post /api/whatsapp/send-button-message")
            .asks(&buttons(fixed(TOKEN)))
            .answers(200, "sent", &answer(flow, shown_buttons()))
            .refuses_body(
                "/api/whatsapp/send-button-message",
                &buttons(fixed(NOBODY)),
                nobody(),
            ),
        Examples::of("post /api/whatsapp/send-template-message")
            .asks(&template(fixed(TOKEN)))
            .answers(200, "sent", &answer(flow, shown_template()))
            .refuses_body(
                "/api/whatsapp/send-template-message",
                &template(fixed(NOBODY)),
                nobody(),
            ),
        Examples::of("post /api/whatsapp/send-list-message")
            .asks(&list(fixed(TOKEN)))
            .answers(200, "sent", &answer(flow, shown_list()))
            .refuses_body("/api/whatsapp/send-list-message", &list(fixed(NOBODY)), nobody()),
        Examples::of("post /api/whatsapp/send-reaction")
            .asks(&reaction(fixed(TOKEN)))
            .answers(
                200,
                "sent",
                &answer(
                    None,
                    json!({ "reactionMessage": { "key": shown_key(), "text": "🦖" } }),
                ),
            )
            .refuses_body("/api/whatsapp/send-reaction", &reaction(fixed(NOBODY)), nobody()),
        Examples::of("post /api/whatsapp/delete-for-every-one")
            .asks(&deletion(fixed(TOKEN)))
            .answers(
                200,
                "sent",
                &answer(
                    None,
                    json!({ "protocolMessage": { "type": "REVOKE", "key": shown_key() } }),
                ),
            )
            .refuses_body(
                "/api/whatsapp/delete-for-every-one",
                &deletion(fixed(NOBODY)),
                nobody(),
            ),
    ]
}

fn ana() -> Recipients {
    Recipients::One(LooseRecipient::Number(LooseNumber::Text(ANA.to_owned())))
}

fn buttons(token: Token) -> ButtonBody {
    let button = |text: &str| ReplyBody {
        display_text: text.to_owned(),
        id: None,
    };
    ButtonBody {
        token,
        number: ana(),
        button: vec![button("I come"), button("I don't")],
        message: TEXT.to_owned(),
        footer: Some("Fanfare".to_owned()),
        r#type: None,
        image: None,
        form: None,
        fallback: None,
        delay: None,
    }
}

fn shown_buttons() -> Value {
    let button = |id: &str, text: &str| json!({ "buttonId": id, "buttonText": { "displayText": text }, "type": "RESPONSE" });
    json!({ "buttonsMessage": {
        "contentText": TEXT, "footerText": "Fanfare", "headerType": "EMPTY",
        "buttons": [button("0", "I come"), button("1", "I don't")],
    } })
}

fn template(token: Token) -> TemplateBody {
    let button = |text: &str| LeadBody {
        display_text: text.to_owned(),
        url: None,
        phone_number: None,
        id: None,
    };
    let page = LeadBody {
        url: Some("https://example.com".to_owned()),
        ..button("Visit us")
    };
    let call = LeadBody {
        phone_number: Some(format!("+{ANA}")),
        ..button("Call us")
    };
    TemplateBody {
        token,
        number: ana(),
        button: vec![page, call],
        text: TEXT.to_owned(),
        footer: None,
        image: None,
        form: None,
        fallback: None,
        delay: None,
    }
}

fn shown_template() -> Value {
    json!({ "templateMessage": { "hydratedTemplate": { "hydratedContentText": TEXT, "hydratedButtons": [
        { "urlButton": { "displayText": "Visit us", "url": "https://example.com" }, "index": 1 },
        { "callButton": { "displayText": "Call us", "phoneNumber": format!("+{ANA}") }, "index": 2 },
    ] } } })
}

fn list(token: Token) -> ListBody {
    let row = RowBody {
        title: "Soup".to_owned(),
        description: None,
        row_id: "soup".to_owned(),
    };
    let section = SectionBody {
        title: Some("Warm".to_owned()),
        rows: vec![row],
    };
    ListBody {
        token,
        number: ana(),
        list: vec![section],
        text: TEXT.to_owned(),
        title: "Menu".to_owned(),
        button_text: "Choose".to_owned(),
        footer: None,
        link: None,
        form: None,
        fallback: None,
        delay: None,
    }
}

fn shown_list() -> Value {
    json!({ "listMessage": {
        "title": "Menu", "description": TEXT, "buttonText": "Choose", "listType": "SINGLE_SELECT",
        "sections": [{ "title": "Warm", "rows": [{ "title": "Soup", "rowId": "soup" }] }],
    } })
}

fn key() -> KeyBody {
    KeyBody {
        remote_jid: Some(format!("{ANA}@s.whatsapp.net")),
        from_me: true,
        id: MESSAGE.to_owned(),
        participant: None,
    }
}

fn shown_key() -> Value {
    json!({ "remoteJid": format!("{ANA}@s.whatsapp.net"), "fromMe": true, "id": MESSAGE })
}

fn reaction(token: Token) -> ReactionBody {
    ReactionBody {
        token,
        number: ana(),
        text: "🦖".to_owned(),
        key: key(),
    }
}

fn deletion(token: Token) -> DeleteBody {
    DeleteBody {
        token,
        number: ana(),
        key: key(),
    }
}

fn answer(form: Option<SentForm>, message: Value) -> Answer {
    let sent = json!({
        "key": shown_key(), "message": message, "messageTimestamp": LATER.unix_timestamp().to_string(), "status": "PENDING",
    });
    Answer {
        form,
        ..Answer::with_data(sent)
    }
}
