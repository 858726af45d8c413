//! Socket.io: the way by which events reach pages and bots, and what its clients ask.

use schemars::schema_for;
use serde_json::{Map, Value, json};

use super::messages::{Beside, Message};
use super::schemas::Schemas;
use super::{contents, message};
use crate::event::legacy;
use crate::event::socket::{
    ConnectionOpen, ConnectionUser, ConnectionWords, Dropped, JoinAnswer, JoinWish, Joined, QrCodeShown,
};
use crate::id::Token;

/// The key of the channel, and what the keys of its messages begin with.
const SOCKET: &str = "socket";

/// What goes over socket.io.
pub(super) struct Socket {
    /// Any event, and what clients are told beside them.
    told: Vec<Message>,
    /// What clients ask.
    asked: Vec<Message>,
    answer: Message,
}

impl Socket {
    pub(super) fn new(schemas: &mut Schemas, events: &[Message]) -> Self {
        let any = Message {
            key: format!("{SOCKET}.event"),
            name: "event".to_owned(),
            summary: "An event, under its own name (`new.message`), with its envelope as the one argument."
                .to_owned(),
            payload: "AnyEvent".to_owned(),
            beside: Beside::Nothing,
            samples: events
                .iter()
                .filter_map(|event| event.samples.first().cloned())
                .collect(),
        };
        let mut told = vec![any];
        told.extend(told_of_clients(schemas));
        told.extend(older(schemas));
        Self {
            told,
            asked: asked(schemas),
            answer: of(
                "answer",
                "The answer to a client that joins or leaves sessions: the acknowledgement of socket.io.",
                schemas.take(&schema_for!(JoinAnswer)),
                vec![json!(JoinAnswer {
                    status: true,
                    tokens: Some(vec!["shop".to_owned()]),
                    message: None,
                })],
            ),
        }
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = &Message> {
        self.told.iter().chain(&self.asked).chain([&self.answer])
    }

    pub(super) fn server() -> Value {
        json!({
            "host": "localhost:3000",
            "pathname": "/socket.io/",
            "protocol": "ws",
            "protocolVersion": "Socket.IO 5",
            "description": "The API, for clients of socket.io 4, by WebSocket or polling. `AUTH` is the key: as `auth.key` of the handshake, or as a header.",
            "security": [{ "$ref": "#/components/securitySchemes/key" }],
        })
    }

    pub(super) fn key() -> Value {
        json!({
            "type": "http",
            "scheme": "bearer",
            "description": "`AUTH`. `Basic` with the key as the user name does as well, and so does `auth.key` of the handshake.",
        })
    }

    pub(super) fn channel(&self) -> Value {
        json!({
            "address": null,
            "title": "Socket.io",
            "description": "A connection to socket.io (namespace `/`). It has the events of the sessions that it joined, by `auth.tokens` of the handshake or by `join`.",
            "servers": [{ "$ref": "#/servers/socket" }],
            "messages": contents(self.messages()),
        })
    }

    pub(super) fn operations(&self) -> Map<String, Value> {
        let operation = |action: &str, one: &Message| {
            json!({
                "action": action,
                "title": one.name,
                "summary": one.summary,
                "channel": { "$ref": format!("#/channels/{SOCKET}") },
                "messages": message(SOCKET, one),
            })
        };
        let told = self
            .told
            .iter()
            .map(|one| (one.key.clone(), operation("send", one)));
        let asked = self.asked.iter().map(|one| {
            let mut asked = operation("receive", one);
            asked["reply"] = json!({
                "channel": { "$ref": format!("#/channels/{SOCKET}") },
                "messages": message(SOCKET, &self.answer),
            });
            (one.key.clone(), asked)
        });
        told.chain(asked).collect()
    }
}

fn of(name: &str, summary: &str, payload: String, samples: Vec<Value>) -> Message {
    Message {
        key: format!("{SOCKET}.{name}"),
        name: name.to_owned(),
        summary: summary.to_owned(),
        payload,
        beside: Beside::Nothing,
        samples,
    }
}

fn told_of_clients(schemas: &mut Schemas) -> [Message; 2] {
    let joined = Joined {
        tokens: vec!["shop".to_owned()],
    };
    let dropped = Dropped {
        reason: "slow",
        message: "more events waited for this client than SOCKET_BACKLOG allows; some were dropped: connect again",
    };
    [
        of(
            "joined",
            "The first that a client is told: the sessions whose events it gets.",
            schemas.take(&schema_for!(Joined)),
            vec![json!(joined)],
        ),
        of(
            "dropped",
            "A client took its events too slowly, and is disconnected.",
            schemas.take(&schema_for!(Dropped)),
            vec![json!(dropped)],
        ),
    ]
}

/// What clients of the older API listen for.
fn older(schemas: &mut Schemas) -> [Message; 5] {
    let token = || Token::new("shop").unwrap();
    let words = |message: &str| {
        json!(ConnectionWords {
            token: token(),
            message: message.to_owned(),
        })
    };
    let stated = schemas.take(&schema_for!(ConnectionWords));
    let open = ConnectionOpen {
        token: token(),
        user: Some(ConnectionUser {
            id: "5531911111111@s.whatsapp.net".to_owned(),
        }),
        pp_url: None,
    };
    let code = QrCodeShown {
        token: token(),
        data: "data:image/png;base64,iVBORw0KGgo=".to_owned(),
        message: "Please scan qrcode",
    };
    let upsert = json!({
        "token": "shop",
        "key": { "remoteJid": "5531900000001@s.whatsapp.net", "fromMe": false, "id": "3EB0C431C26A1916E07A" },
        "message": { "conversation": "Are you open?" },
        "pushName": "Ana",
        "messageTimestamp": 1_795_186_399,
    });
    [
        of(
            "connection-open",
            "A session is open (older API).",
            schemas.take(&schema_for!(ConnectionOpen)),
            vec![json!(open)],
        ),
        of(
            "connection-close",
            "A session is closed, and why (older API).",
            stated.clone(),
            vec![words("Logged out")],
        ),
        of(
            "message",
            "The state of a session in words (older API).",
            stated,
            vec![words("Connecting")],
        ),
        of(
            "qrcode",
            "A QR code to scan (older API).",
            schemas.take(&schema_for!(QrCodeShown)),
            vec![json!(code)],
        ),
        of(
            "message-upsert",
            "A message came in (older API).",
            schemas.take(&schema_for!(legacy::Message)),
            vec![upsert],
        ),
    ]
}

fn asked(schemas: &mut Schemas) -> Vec<Message> {
    let tokens = schemas.take(&schema_for!(JoinWish));
    let samples = || {
        let many = ["shop", "bakery"].map(str::to_owned).to_vec();
        vec![
            json!(JoinWish::One("shop".to_owned())),
            json!(JoinWish::Many(many)),
        ]
    };
    vec![
        of(
            "join",
            "A client wants the events of more sessions.",
            tokens.clone(),
            samples(),
        ),
        of(
            "leave",
            "A client wants the events of some sessions no more.",
            tokens,
            samples(),
        ),
    ]
}
