//! What somebody chose: a button, a row of a list, a button of a template, a flow. They only come in.

use serde_json::Value;
use whatsapp::proto;
use whatsapp::proto::message::{
    buttons_response_message::Response, interactive_response_message::InteractiveResponseMessage,
};

use super::described::{Described, context, object};

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    button(message)
        .or_else(|| template_button(message))
        .or_else(|| row(message))
        .or_else(|| flow(message))
}

fn button(message: &proto::Message) -> Option<Described> {
    let reply = message.buttons_response_message.as_deref()?;
    let text = reply.response.as_ref().map(|response| match response {
        Response::SelectedDisplayText(text) => text.clone(),
    });
    let fields = [
        ("selectedButtonId", reply.selected_button_id.clone().into()),
        ("selectedDisplayText", text.into()),
        ("contextInfo", context(reply.context_info.as_deref())),
    ];
    Some(Described::new("buttonsResponseMessage", fields))
}

fn template_button(message: &proto::Message) -> Option<Described> {
    let reply = message.template_button_reply_message.as_deref()?;
    let fields = [
        ("selectedId", reply.selected_id.clone().into()),
        ("selectedDisplayText", reply.selected_display_text.clone().into()),
        ("selectedIndex", reply.selected_index.into()),
        ("contextInfo", context(reply.context_info.as_deref())),
    ];
    Some(Described::new("templateButtonReplyMessage", fields))
}

fn row(message: &proto::Message) -> Option<Described> {
    let reply = message.list_response_message.as_deref()?;
    let chosen = reply.single_select_reply.as_ref();
    let chosen = chosen.map(|chosen| object([("selectedRowId", chosen.selected_row_id.clone().into())]));
    let fields = [
        ("title", reply.title.clone().into()),
        ("description", reply.description.clone().into()),
        ("singleSelectReply", chosen.into()),
        ("contextInfo", context(reply.context_info.as_deref())),
    ];
    Some(Described::new("listResponseMessage", fields))
}

/// The fields of a flow are JSON in a text; they are told parsed too, where they are an object, as `params`.
fn flow(message: &proto::Message) -> Option<Described> {
    let reply = message.interactive_response_message.as_deref()?;
    let body = reply.body.as_ref().and_then(|body| body.text.clone());
    let body = body.map(|text| object([("text", text.into())]));
    let flow = reply
        .interactive_response_message
        .as_ref()
        .map(|reply| match reply {
            InteractiveResponseMessage::NativeFlowResponseMessage(flow) => flow,
        });
    let told = flow.map(|flow| {
        let params = flow.params_json.as_deref();
        let parsed = params.and_then(|params| serde_json::from_str::<Value>(params).ok());
        object([
            ("name", flow.name.clone().into()),
            ("paramsJson", flow.params_json.clone().into()),
            ("params", parsed.filter(Value::is_object).into()),
        ])
    });
    let fields = [
        ("body", body.into()),
        ("nativeFlowResponseMessage", told.into()),
        ("contextInfo", context(reply.context_info.as_deref())),
    ];
    Some(Described::new("interactiveResponseMessage", fields))
}
