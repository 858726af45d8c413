//! A text with a list to choose from.

use serde_json::Value;
use shared::content::{self, List};
use whatsapp::proto;
use whatsapp::proto::message::ListMessage;
use whatsapp::proto::message::list_message::{ListType, Row, Section};

use super::described::{Described, context, object};
use super::interactive;

pub(super) fn render(list: &List) -> proto::Message {
    interactive::render(list.shape(), || legacy(list))
}

fn legacy(list: &List) -> proto::Message {
    let section = |section: &content::Section| Section {
        title: section.title.clone(),
        rows: section.rows.iter().map(row).collect(),
    };
    proto::Message {
        list_message: Some(Box::new(ListMessage {
            title: list.title.clone(),
            description: Some(list.text.clone()),
            button_text: Some(list.button_text.clone()),
            list_type: Some(ListType::SingleSelect.into()),
            sections: list.sections.iter().map(section).collect(),
            footer_text: list.footer.clone(),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn row(row: &content::ListRow) -> Row {
    Row {
        title: Some(row.title.clone()),
        description: row.description.clone(),
        row_id: Some(row.row_id.clone()),
    }
}

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let list = message.list_message.as_deref()?;
    let list_type = list.list_type.and_then(|kind| ListType::try_from(kind).ok());
    let sections: Vec<Value> = list.sections.iter().map(described).collect();
    let fields = [
        ("title", list.title.clone().into()),
        ("description", list.description.clone().into()),
        ("buttonText", list.button_text.clone().into()),
        ("listType", list_type.map(|kind| kind.as_str_name()).into()),
        ("sections", sections.into()),
        ("footerText", list.footer_text.clone().into()),
        ("contextInfo", context(list.context_info.as_deref())),
    ];
    Some(Described::new("listMessage", fields))
}

fn described(section: &Section) -> Value {
    let row = |row: &Row| {
        object([
            ("title", row.title.clone().into()),
            ("description", row.description.clone().into()),
            ("rowId", row.row_id.clone().into()),
        ])
    };
    let rows: Vec<Value> = section.rows.iter().map(row).collect();
    object([("title", section.title.clone().into()), ("rows", rows.into())])
}

#[cfg(test)]
pub(super) const GOLDEN: (&str, &str) = (
    r#"{"type":"list","title":"Menu","text":"What may it be?","footer":"Fanfare","buttonText":"Choose","sections":[{"title":"Warm","rows":[{"title":"Soup","rowId":"soup"}]},{"title":"Cold","rows":[{"title":"Salad","description":"with nuts","rowId":"salad"}]}],"link":"https://example.com"}"#,
    "ea02f0020a080a044d656e75280012110a0f57686174206d61792069742062653f1a090a0746616e6661726532c5020acc010a0d73696e676c655f73656c65637412ba017b227469746c65223a2243686f6f7365222c2273656374696f6e73223a5b7b227469746c65223a225761726d222c22726f7773223a5b7b227469746c65223a22536f7570222c226465736372697074696f6e223a22222c226964223a22736f7570227d5d7d2c7b227469746c65223a22436f6c64222c22726f7773223a5b7b227469746c65223a2253616c6164222c226465736372697074696f6e223a2277697468206e757473222c226964223a2273616c6164227d5d7d5d7d0a720a076374615f75726c12677b22646973706c61795f74657874223a2268747470733a2f2f6578616d706c652e636f6d222c2275726c223a2268747470733a2f2f6578616d706c652e636f6d222c226d65726368616e745f75726c223a2268747470733a2f2f6578616d706c652e636f6d227d1801",
);
