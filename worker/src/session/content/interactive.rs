//! Buttons and lists as an interactive message of the native flow, also one that comes in.

use serde_json::{Value, json};
use shared::content::{FlowButton, Interactive, Shape, Text};
use whatsapp::proto;
use whatsapp::proto::message::InteractiveMessage;
use whatsapp::proto::message::interactive_message::{
    Body, Footer, Header, InteractiveMessage as Inner, NativeFlowMessage,
    native_flow_message::NativeFlowButton,
};

use super::described::{Described, context, object, with};
use super::{above, header, text};

/// The message of a shape, where `legacy` makes the older one.
pub(super) fn render(shape: Shape, legacy: impl FnOnce() -> proto::Message) -> proto::Message {
    match shape {
        Shape::NativeFlow(interactive) => native_flow(interactive),
        Shape::Legacy => legacy(),
        Shape::Text(words) => text::render(&Text::new(words)),
    }
}

fn native_flow(interactive: Interactive) -> proto::Message {
    let flow = NativeFlowMessage {
        buttons: interactive.buttons.into_iter().map(button).collect(),
        message_params_json: None,
        message_version: Some(1),
    };
    let media = interactive.above.as_ref().map(header::render);
    let has_header = media.is_some() || interactive.title.is_some();
    let header = Header {
        title: interactive.title,
        has_media_attachment: Some(media.is_some()),
        media: media.map(Into::into),
        ..Default::default()
    };
    let body = Body {
        text: Some(interactive.text),
    };
    proto::Message {
        interactive_message: Some(Box::new(InteractiveMessage {
            header: has_header.then(|| Box::new(header)),
            body: Some(body),
            footer: interactive.footer.map(|footer| Footer { text: Some(footer) }),
            interactive_message: Some(Inner::NativeFlowMessage(flow)),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn button(button: FlowButton) -> NativeFlowButton {
    NativeFlowButton {
        name: Some(button.name.to_owned()),
        button_params_json: Some(button.params),
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let interactive = message.interactive_message.as_deref()?;
    let header = interactive.header.as_deref().and_then(|header| {
        let above = header.media.as_ref().and_then(header::of_flow);
        let told = with(
            above.map(above::described),
            object([("title", header.title.clone().into())]),
        );
        told.as_object()
            .is_some_and(|told| !told.is_empty())
            .then_some(told)
    });
    let body = interactive.body.as_ref().and_then(|body| body.text.as_ref());
    let footer = interactive
        .footer
        .as_ref()
        .and_then(|footer| footer.text.as_ref());
    let words = |name: &str, text: Option<&String>| text.map(|text| json!({ name: text }));
    let flow = match &interactive.interactive_message {
        Some(Inner::NativeFlowMessage(flow)) => Some(described(flow)),
        _ => None,
    };
    let fields = [
        ("header", header.into()),
        ("body", words("text", body).into()),
        ("footer", words("text", footer).into()),
        ("nativeFlowMessage", flow.into()),
        ("contextInfo", context(interactive.context_info.as_deref())),
    ];
    Some(Described::new("interactiveMessage", fields))
}

fn described(flow: &NativeFlowMessage) -> Value {
    let button = |button: &NativeFlowButton| {
        object([
            ("name", button.name.clone().into()),
            ("buttonParamsJson", button.button_params_json.clone().into()),
        ])
    };
    let buttons: Vec<Value> = flow.buttons.iter().map(button).collect();
    object([
        ("buttons", buttons.into()),
        ("messageVersion", flow.message_version.into()),
    ])
}
