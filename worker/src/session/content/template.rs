//! A text with buttons that lead somewhere.

use serde_json::{Value, json};
use shared::content::{Action, Template};
use whatsapp::proto::hydrated_template_button::{
    HydratedButton, HydratedCallButton, HydratedQuickReplyButton, HydratedUrlButton,
};
use whatsapp::proto::message::TemplateMessage;
use whatsapp::proto::message::template_message::{
    Format, HydratedFourRowTemplate, hydrated_four_row_template::Title,
};
use whatsapp::proto::{self, HydratedTemplateButton};

use super::described::{Described, context, object, with};
use super::{above, header, interactive};

pub(super) fn render(template: &Template) -> proto::Message {
    interactive::render(template.shape(), || legacy(template))
}

fn legacy(template: &Template) -> proto::Message {
    let buttons = template.actions().zip(1..).map(|((button, action), index)| {
        let display_text = Some(button.display_text.clone());
        HydratedTemplateButton {
            index: Some(index),
            hydrated_button: Some(hydrated(display_text, action)),
        }
    });
    let title = match (template.above(), &template.title) {
        (Some(above), _) => Some(header::render(&above).into()),
        (None, title) => title.clone().map(Title::HydratedTitleText),
    };
    let hydrated = HydratedFourRowTemplate {
        hydrated_content_text: Some(template.text.clone()),
        hydrated_footer_text: template.footer.clone(),
        hydrated_buttons: buttons.collect(),
        title,
        ..Default::default()
    };
    proto::Message {
        template_message: Some(Box::new(TemplateMessage {
            hydrated_template: Some(Box::new(hydrated)),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn hydrated(display_text: Option<String>, action: Action<'_>) -> HydratedButton {
    match action {
        Action::Url(url) => HydratedButton::UrlButton(HydratedUrlButton {
            display_text,
            url: Some(url.to_owned()),
            ..Default::default()
        }),
        Action::Call(phone) => HydratedButton::CallButton(HydratedCallButton {
            display_text,
            phone_number: Some(phone.to_owned()),
        }),
        Action::Reply(id) => HydratedButton::QuickReplyButton(HydratedQuickReplyButton {
            display_text,
            id: Some(id.to_owned()),
        }),
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let template = message.template_message.as_deref()?;
    let hydrated = match (&template.hydrated_template, &template.format) {
        (Some(hydrated), _) | (None, Some(Format::HydratedFourRowTemplate(hydrated))) => Some(&**hydrated),
        (None, _) => None,
    };
    let fields = [
        ("hydratedTemplate", hydrated.map(described).into()),
        ("contextInfo", context(template.context_info.as_deref())),
    ];
    Some(Described::new("templateMessage", fields))
}

fn described(template: &HydratedFourRowTemplate) -> Value {
    let above = match &template.title {
        Some(Title::HydratedTitleText(title)) => Some(("hydratedTitleText", title.clone().into())),
        Some(title) => header::of_template(title).map(above::described),
        None => None,
    };
    let buttons: Vec<Value> = template.hydrated_buttons.iter().map(described_button).collect();
    let fields = [
        (
            "hydratedContentText",
            template.hydrated_content_text.clone().into(),
        ),
        ("hydratedFooterText", template.hydrated_footer_text.clone().into()),
        ("hydratedButtons", buttons.into()),
    ];
    with(above, object(fields))
}

fn described_button(button: &HydratedTemplateButton) -> Value {
    let told = match &button.hydrated_button {
        Some(HydratedButton::QuickReplyButton(reply)) => {
            let fields = json!({ "displayText": reply.display_text, "id": reply.id });
            ("quickReplyButton", fields)
        }
        Some(HydratedButton::UrlButton(page)) => {
            let fields = json!({ "displayText": page.display_text, "url": page.url });
            ("urlButton", fields)
        }
        Some(HydratedButton::CallButton(call)) => {
            let fields = json!({ "displayText": call.display_text, "phoneNumber": call.phone_number });
            ("callButton", fields)
        }
        None => return json!({}),
    };
    object([told, ("index", button.index.into())])
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"template","text":"Hello","footer":"Fanfare","buttons":[{"displayText":"Call us","phoneNumber":"+1 (234) 5678-901"},{"displayText":"Reply","id":"r"},{"displayText":"Visit","url":"https://example.com"}]}"#,
    "ea02fc0112070a0548656c6c6f1a090a0746616e6661726532e5010a490a086374615f63616c6c123d7b22646973706c61795f74657874223a2243616c6c207573222c2270686f6e655f6e756d626572223a222b3120283233342920353637382d393031227d0a300a0b717569636b5f7265706c7912217b22646973706c61795f74657874223a225265706c79222c226964223a2272227d0a640a076374615f75726c12597b22646973706c61795f74657874223a225669736974222c2275726c223a2268747470733a2f2f6578616d706c652e636f6d222c226d65726368616e745f75726c223a2268747470733a2f2f6578616d706c652e636f6d227d1801",
);
