//! What phones and contacts say by the control API, of every kind that has a form of its own; and receipts.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use prost::Message as _;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use whatsapp::proto::context_info::ExternalAdReplyInfo;
use whatsapp::proto::message::poll_creation_message::Option as PollOption;
use whatsapp::proto::message::protocol_message::Type;
use whatsapp::proto::message::{ExtendedTextMessage, PollCreationMessage, ProtocolMessage, ReactionMessage};
use whatsapp::proto::{ContextInfo, Message, MessageContextInfo, MessageKey};

use crate::handle::Handle;
use crate::number::Number;
use crate::refusal::Refusal;
use crate::request::{Answer, Body, created, number, parse};
use crate::world::{Audience, ReceiptKind, ReceiptWish, Said, Speaker};

/// Longest text.
const MAX_TEXT_BYTES: usize = 65_536;
/// Longest message that is given encoded, in bytes.
const MAX_MESSAGE_BYTES: usize = 1_048_576;

pub(super) fn router() -> Router<Handle> {
    Router::new().route("/contacts/{number}/receipts", post(receipt))
}

/// What is said and where. One of the kinds is there; `text` also beside `ad`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SayBody {
    to: String,
    #[serde(default)]
    viewers: Vec<String>,
    text: Option<String>,
    ad: Option<AdBody>,
    reaction: Option<ReactionBody>,
    edit: Option<EditBody>,
    deletion: Option<DeletionBody>,
    poll: Option<PollBody>,
    vote: Option<VoteBody>,
    protobuf: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdBody {
    title: String,
    url: String,
    id: String,
    click: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReactionBody {
    id: String,
    text: String,
    #[serde(default)]
    own: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditBody {
    id: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeletionBody {
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PollBody {
    name: String,
    options: Vec<String>,
    #[serde(default)]
    selectable: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoteBody {
    poll: String,
    options: Vec<String>,
}

/// Says what a request says.
pub(super) async fn say(handle: &Handle, speaker: Speaker, body: &[u8]) -> Answer {
    let body: SayBody = parse(body)?;
    let audience = audience(&body)?;
    let said = said(body, &format!("{speaker:?}"))?;
    let id = handle.post(speaker, audience, said).await?;
    created(&json!({ "id": id.as_str() }))
}

fn audience(body: &SayBody) -> Result<Audience, Refusal> {
    if body.to.ends_with("@g.us") {
        return Ok(Audience::Group(body.to.clone()));
    }
    if body.to == "status@broadcast" {
        let viewers = body.viewers.iter().map(|viewer| number("viewers", viewer));
        return Ok(Audience::Status(viewers.collect::<Result<Vec<Number>, _>>()?));
    }
    let to = body.to.split('@').next().unwrap_or_default();
    Ok(Audience::Chat(number("to", to.trim_start_matches('+'))?))
}

fn said(body: SayBody, salt: &str) -> Result<Said, Refusal> {
    let kinds = [
        body.reaction.is_some(),
        body.edit.is_some(),
        body.deletion.is_some(),
        body.poll.is_some(),
        body.vote.is_some(),
        body.protobuf.is_some(),
        body.text.is_some(),
    ];
    if kinds.into_iter().filter(|is_there| *is_there).count() != 1 {
        return Err(Refusal::bad(
            "text",
            "or one other kind, and only one, must be there",
        ));
    }
    Ok(if let Some(vote) = body.vote {
        Said::Vote {
            poll: vote.poll.into(),
            options: vote.options,
        }
    } else if let Some(deletion) = body.deletion {
        Said::Deletion(deletion.id.into(), None)
    } else if let Some(hex) = body.protobuf {
        Said::Message(encoded(&hex)?)
    } else if let Some(reaction) = body.reaction {
        of(reaction.into_message(&body.to))
    } else if let Some(edit) = body.edit {
        of(edit.into_message())
    } else if let Some(poll) = body.poll {
        of(poll.into_message(salt))
    } else {
        let text = text(body.text.unwrap_or_default())?;
        match body.ad {
            Some(ad) => of(ad.into_message(text)),
            None => Said::Text(text),
        }
    })
}

fn text(text: String) -> Result<String, Refusal> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES {
        return Err(Refusal::bad(
            "text",
            format!("must be 1 to {MAX_TEXT_BYTES} bytes"),
        ));
    }
    Ok(text)
}

fn of(message: Message) -> Said {
    Said::Message(message.encode_to_vec().into())
}

fn encoded(text: &str) -> Result<Bytes, Refusal> {
    let bytes = hex::decode(text).map_err(|_| Refusal::bad("protobuf", "must be hexadecimal"))?;
    if bytes.len() > MAX_MESSAGE_BYTES {
        let problem = format!("is longer than {MAX_MESSAGE_BYTES} bytes");
        return Err(Refusal::bad("protobuf", problem));
    }
    match Message::decode(bytes.as_slice()) {
        Ok(_) => Ok(bytes.into()),
        Err(_) => Err(Refusal::bad("protobuf", "is no message")),
    }
}

impl ReactionBody {
    fn into_message(self, to: &str) -> Message {
        let chat = match to.contains('@') {
            true => to.to_owned(),
            false => format!("{}@s.whatsapp.net", to.trim_start_matches('+')),
        };
        let reaction = ReactionMessage {
            key: Some(MessageKey {
                remote_jid: Some(chat),
                id: Some(self.id),
                from_me: Some(self.own),
                ..MessageKey::default()
            }),
            text: Some(self.text),
            ..ReactionMessage::default()
        };
        Message {
            reaction_message: Some(Box::new(reaction)),
            ..Message::default()
        }
    }
}

impl EditBody {
    fn into_message(self) -> Message {
        let edited = Message {
            conversation: Some(self.text),
            ..Message::default()
        };
        let protocol = ProtocolMessage {
            key: Some(MessageKey {
                id: Some(self.id),
                from_me: Some(true),
                ..MessageKey::default()
            }),
            r#type: Some(Type::MessageEdit.into()),
            edited_message: Some(Box::new(edited)),
            ..ProtocolMessage::default()
        };
        Message {
            protocol_message: Some(Box::new(protocol)),
            ..Message::default()
        }
    }
}

impl PollBody {
    /// Its secret is made of what it says and who says it: the same each time, and another for each.
    fn into_message(self, salt: &str) -> Message {
        let mut secret = Sha256::new_with_prefix(salt);
        secret.update(&self.name);
        let options = self.options.into_iter().map(|name| {
            secret.update(&name);
            PollOption {
                option_name: Some(name),
                ..PollOption::default()
            }
        });
        let creation = PollCreationMessage {
            options: options.collect(),
            name: Some(self.name),
            selectable_options_count: Some(self.selectable),
            ..PollCreationMessage::default()
        };
        let info = MessageContextInfo {
            message_secret: Some(Bytes::copy_from_slice(&secret.finalize())),
            ..MessageContextInfo::default()
        };
        Message {
            poll_creation_message_v3: Some(Box::new(creation)),
            message_context_info: Some(Box::new(info)),
            ..Message::default()
        }
    }
}

impl AdBody {
    fn into_message(self, text: String) -> Message {
        let ad = ExternalAdReplyInfo {
            title: Some(self.title),
            source_url: Some(self.url),
            source_type: Some("ad".to_owned()),
            source_id: Some(self.id),
            ctwa_clid: Some(self.click),
            ..ExternalAdReplyInfo::default()
        };
        let info = ContextInfo {
            external_ad_reply: Some(ad),
            conversion_source: Some("FB_Ads".to_owned()),
            entry_point_conversion_source: Some("ctwa_ad".to_owned()),
            ..ContextInfo::default()
        };
        let text = ExtendedTextMessage {
            text: Some(text),
            context_info: Some(Box::new(info)),
            ..ExtendedTextMessage::default()
        };
        Message {
            extended_text_message: Some(Box::new(text)),
            ..Message::default()
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptBody {
    to: String,
    id: String,
    #[serde(rename = "type")]
    kind: ReceiptKind,
    #[serde(default)]
    group: Option<String>,
}

async fn receipt(State(handle): State<Handle>, Path(contact): Path<String>, Body(body): Body) -> Answer {
    let body: ReceiptBody = parse(&body)?;
    let wish = ReceiptWish {
        to: number("to", &body.to)?,
        id: body.id.into(),
        kind: body.kind,
        group: body.group,
    };
    handle.say_receipt(number("number", &contact)?, wish).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
