//! A file.

use serde_json::Value;
use shared::content::Document;
use whatsapp::proto::{self, message::DocumentMessage};

use super::described::{Described, context, object};
use super::upload::captioned;

pub(super) fn render(document: &Document) -> proto::Message {
    let name = document.name().to_owned();
    captioned(DocumentMessage {
        title: Some(name.clone()),
        file_name: Some(name),
        caption: document.caption.clone(),
        ..Default::default()
    })
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let document = message.document_message.as_deref()?;
    Some(Described {
        kind: "documentMessage",
        body: described(document),
    })
}

/// Its fields, also where it stands above another message.
pub(super) fn described(document: &DocumentMessage) -> Value {
    let fields = [
        ("mimetype", document.mimetype.clone().into()),
        ("title", document.title.clone().into()),
        ("fileName", document.file_name.clone().into()),
        ("fileLength", document.file_length.into()),
        ("caption", document.caption.clone().into()),
        ("contextInfo", context(document.context_info.as_deref())),
    ];
    object(fields)
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"document","media":{"base64":"AA=="},"fileName":"a.pdf","caption":"Olá"}"#,
    "aa03190a173a151a05612e7064664205612e706466a201044f6cc3a1",
);
