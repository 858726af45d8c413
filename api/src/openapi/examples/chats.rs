//! Chats, messages and people that are kept.

use serde_json::json;
use shared::event::Labeled;
use shared::job::{BeforeMessage, ChatAction, ChatActionJob, Forgotten, HistoryAsked, HistoryBody};
use shared::recipient::Number;
use shared::store::recipients::RecipientState;

use super::names::{ANA, AT, LATER, MESSAGE, NOBODY, QUEUE, TEXT, TOKEN, fixed};
use super::operation::Examples;
use crate::legacy::store::{StoreBody, StoreKind};
use crate::paging::Page;
use crate::problem::Problem;
use crate::tokens::unknown;
use crate::v1::chats::{Chat, LastMessage, no_such_chat};
use crate::v1::kept::KeptMessage;
use crate::v1::labels::{Label, LabelAssignment, no_such_label};
use crate::v1::people::Contact;

/// The examples of this family.
pub(super) fn all() -> Vec<Examples> {
    let nobody = || unknown(&fixed(NOBODY));
    let bad_time = Problem::field(
        "from",
        "must be a time with its offset, such as 2026-12-24T09:00:00Z, or milliseconds since 1970",
    );
    let no_chat = Problem::field("chat", "is needed to archive");
    let forgotten = Forgotten {
        messages: 12,
        recipients: 3,
        records: 4,
    };
    let person = format!("/v1/sessions/nobody/people/{ANA}");
    vec![
        Examples::of("get /v1/sessions/{token}/chats")
            .answers(200, "chats", &page(chat()))
            .refuses("/v1/sessions/nobody/chats", nobody()),
        Examples::of("post /v1/sessions/{token}/chats")
            .asks(&ChatActionJob::new(ChatAction::Archive, Some(fixed(ANA))))
            .refuses_body(
                "/v1/sessions/shop/chats",
                &json!({ "action": "archive" }),
                no_chat,
            ),
        Examples::of("get /v1/sessions/{token}/chats/{chat}")
            .answers(200, "chat", &chat())
            .refuses("/v1/sessions/shop/chats/5531900000077", no_such_chat()),
        Examples::of("get /v1/sessions/{token}/chats/{chat}/messages")
            .answers(200, "messages", &page(message()))
            .refuses("/v1/sessions/shop/chats/Ana/messages", bad_chat()),
        Examples::of("get /v1/sessions/{token}/messages")
            .answers(200, "found", &page(message()))
            .refuses("/v1/sessions/shop/messages?from=yesterday", bad_time),
        Examples::of("get /v1/sessions/{token}/contacts")
            .answers(200, "contacts", &page(contact()))
            .refuses("/v1/sessions/nobody/contacts", nobody()),
        Examples::of("post /v1/sessions/{token}/chats/{chat}/history")
            .asks(&wanted())
            .answers(202, "asked", &asked())
            .refuses("/v1/sessions/shop/chats/Ana/history", bad_chat()),
        Examples::of("delete /v1/sessions/{token}/chats/{chat}")
            .answers(200, "forgotten", &forgotten)
            .refuses("/v1/sessions/shop/chats/Ana", bad_chat()),
        Examples::of("delete /v1/sessions/{token}/people/{person}")
            .answers(200, "forgotten", &forgotten)
            .refuses(&person, nobody()),
        Examples::of("get /v1/sessions/{token}/labels")
            .answers(200, "labels", &page(label()))
            .refuses("/v1/sessions/nobody/labels", nobody()),
        Examples::of("get /v1/sessions/{token}/labels/{label}")
            .answers(200, "labeled", &page(labeled()))
            .refuses("/v1/sessions/shop/labels/99", no_such_label()),
        older(),
    ]
}

fn label() -> Label {
    Label {
        id: "7".to_owned(),
        name: "New customer".to_owned(),
        color: 3,
        predefined_id: None,
        chats: 12,
        messages: 1,
    }
}

fn labeled() -> LabelAssignment {
    LabelAssignment {
        kind: Labeled::Chat,
        chat: jid(),
        lid: Some("98765@lid".to_owned()),
        message_id: None,
    }
}

fn older() -> Examples {
    let body = |token| StoreBody {
        token: fixed(token),
        kind: StoreKind::Chats,
        jid: None,
    };
    let chats = json!([{ "id": jid(), "conversationTimestamp": AT.unix_timestamp(), "unreadCount": 2 }]);
    let unknown = unknown(&fixed(NOBODY));
    Examples::of("post /api/whatsapp/store/chats")
        .asks(&body(TOKEN))
        .answers(200, "chats", &chats)
        .refuses_body("/api/whatsapp/store/chats", &body(NOBODY), unknown)
}

fn wanted() -> HistoryBody {
    HistoryBody {
        count: Some(100),
        before: Some(BeforeMessage {
            message_id: fixed(MESSAGE),
            from_me: false,
            message_timestamp: 1_790_000_000,
        }),
    }
}

fn asked() -> HistoryAsked {
    HistoryAsked {
        request_id: "3EB0C431C26A1916E07A11".to_owned(),
    }
}

/// What is wrong with a name that is none of a chat.
fn bad_chat() -> Problem {
    let error = "Ana".parse::<Number>().err();
    Problem::field("chat", error.map(|error| error.to_string()).unwrap_or_default())
}

fn page<T>(item: T) -> Page<T> {
    Page {
        items: vec![item],
        next: None,
    }
}

fn jid() -> String {
    format!("{ANA}@s.whatsapp.net")
}

fn chat() -> Chat {
    Chat {
        id: jid(),
        name: Some("Ana".to_owned()),
        number: Some(ANA.to_owned()),
        lid: Some("98765@lid".to_owned()),
        is_group: false,
        unread: 0,
        timestamp: AT,
        last_message: LastMessage {
            id: MESSAGE.to_owned(),
            from_me: true,
            sender: None,
            kind: "extendedTextMessage".to_owned(),
            text: Some(TEXT.to_owned()),
            timestamp: LATER,
            state: Some(RecipientState::Read.as_str()),
        },
        archived: false,
        pinned_at: Some(LATER),
        muted: false,
        muted_until: None,
        marked_unread: false,
        labels: vec!["7".to_owned()],
    }
}

fn message() -> KeptMessage {
    KeptMessage {
        id: MESSAGE.to_owned(),
        chat: jid(),
        from_me: true,
        sender: None,
        push_name: None,
        timestamp: LATER,
        kind: "extendedTextMessage".to_owned(),
        text: Some(TEXT.to_owned()),
        message: json!({ "text": TEXT }),
        edited_at: None,
        deleted_at: None,
        reactions: Vec::new(),
        state: Some(RecipientState::Read.as_str()),
        queue_id: Some(fixed(QUEUE)),
    }
}

fn contact() -> Contact {
    Contact {
        id: jid(),
        name: Some("Ana".to_owned()),
        number: Some(ANA.to_owned()),
        lid: Some("98765@lid".to_owned()),
        verified_name: None,
        about: Some("At the bakery".to_owned()),
        picture_id: Some("1790000000".to_owned()),
    }
}
