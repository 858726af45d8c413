//! A text with buttons that answer it.

use serde_json::Value;
use shared::content::{Buttons, HeaderKind};
use whatsapp::proto;
use whatsapp::proto::message::ButtonsMessage;
use whatsapp::proto::message::buttons_message::{
    Button, Header, HeaderType,
    button::{ButtonText, Type},
};

use super::described::{Described, context, object};
use super::{above, header, interactive};

pub(super) fn render(buttons: &Buttons) -> proto::Message {
    interactive::render(buttons.shape(), || legacy(buttons))
}

fn legacy(buttons: &Buttons) -> proto::Message {
    let button = |(id, text): (String, &str)| Button {
        button_id: Some(id),
        button_text: Some(ButtonText {
            display_text: Some(text.to_owned()),
        }),
        r#type: Some(Type::Response.into()),
        ..Default::default()
    };
    let (header, header_type) = match (buttons.above(), &buttons.title) {
        (Some(above), _) => (Some(header::render(&above).into()), type_of(above.kind)),
        (None, Some(title)) => (Some(Header::Text(title.clone())), HeaderType::Text),
        (None, None) => (None, HeaderType::Empty),
    };
    proto::Message {
        buttons_message: Some(Box::new(ButtonsMessage {
            content_text: Some(buttons.text.clone()),
            footer_text: buttons.footer.clone(),
            buttons: buttons.replies().map(button).collect(),
            header_type: Some(header_type.into()),
            header,
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn type_of(kind: HeaderKind) -> HeaderType {
    match kind {
        HeaderKind::Image => HeaderType::Image,
        HeaderKind::Video => HeaderType::Video,
        HeaderKind::Document => HeaderType::Document,
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let buttons = message.buttons_message.as_deref()?;
    let above = match &buttons.header {
        Some(Header::Text(title)) => Some(("text", title.clone().into())),
        Some(header) => header::of_buttons(header).map(above::described),
        None => None,
    };
    let header_type = buttons
        .header_type
        .and_then(|kind| HeaderType::try_from(kind).ok());
    let each: Vec<Value> = buttons.buttons.iter().map(described).collect();
    let fields = [
        ("contentText", buttons.content_text.clone().into()),
        ("footerText", buttons.footer_text.clone().into()),
        ("buttons", each.into()),
        ("headerType", header_type.map(|kind| kind.as_str_name()).into()),
        ("contextInfo", context(buttons.context_info.as_deref())),
    ];
    Some(Described::new("buttonsMessage", fields).with(above))
}

fn described(button: &Button) -> Value {
    let text = button.button_text.as_ref();
    let text = text.and_then(|text| text.display_text.clone());
    let kind = button.r#type.and_then(|kind| Type::try_from(kind).ok());
    object([
        ("buttonId", button.button_id.clone().into()),
        ("buttonText", object([("displayText", text.into())])),
        ("type", kind.map(|kind| kind.as_str_name()).into()),
    ])
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"buttons","title":"Tomorrow","text":"Shall we?","footer":"Fanfare","buttons":[{"displayText":"Yes"},{"displayText":"No","id":"no"}]}"#,
    "ea028a010a0c0a08546f6d6f72726f772800120b0a095368616c6c2077653f1a090a0746616e6661726532620a2e0a0b717569636b5f7265706c79121f7b22646973706c61795f74657874223a22596573222c226964223a2230227d0a2e0a0b717569636b5f7265706c79121f7b22646973706c61795f74657874223a224e6f222c226964223a226e6f227d1801",
);
