//! Files that people send each other, and the phones that have got them: they upload a file again that is gone from the
//! media host, when a companion asks as it should.
//!
//! Facts: docs/PROTOCOL.md, "Media".

use bytes::Bytes;
use compact_str::CompactString;
use prost::Message as _;
use whatsapp::binary::Node;
use whatsapp::media::{MediaKey, open_retry, seal_retry};
use whatsapp::proto::media_retry_notification::ResultType;
use whatsapp::proto::message::DocumentMessage;
use whatsapp::proto::{MediaRetryNotification, Message, ServerErrorReceipt};
use whatsapp::stanza::media_retry::{Envelope, parse_request};

use super::World;
use super::account::PendingKey;
use super::command::{Answer, Speaker};
use super::saying::Words;
use super::sealed::{Kept, SentFile};
use super::stanza::notification;
use crate::number::{Addressing, DeviceAddr, Number};

/// Most files that phones keep; beyond, the oldest go.
const MAX_KEPT: usize = 256;
/// The vector of the phones' answers: each key seals one answer at a time.
const IV: [u8; 12] = [0x5a; 12];

impl World {
    /// A phone or a contact sends a document.
    pub(super) fn send_file(
        &mut self,
        speaker: Speaker,
        to: Number,
        file: SentFile,
        answer: Answer<CompactString>,
    ) {
        let from = match self.speaker(speaker) {
            Ok(from) => from,
            Err(refusal) => return drop(answer.send(Err(refusal))),
        };
        let path = self.files.take_in(file.sealed.clone());
        let document = DocumentMessage {
            url: Some(format!("https://mmg.whatsapp.net{path}")),
            direct_path: Some(path),
            mimetype: Some(file.mimetype),
            file_name: Some(file.name),
            file_sha256: Some(Bytes::copy_from_slice(&file.sha256)),
            file_enc_sha256: Some(Bytes::copy_from_slice(&file.enc_sha256)),
            file_length: Some(file.length),
            media_key: Some(Bytes::copy_from_slice(&file.key)),
            media_key_timestamp: i64::try_from(self.clock.unix_seconds()).ok(),
            ..DocumentMessage::default()
        };
        let message = Message {
            document_message: Some(Box::new(document)),
            ..Message::default()
        };
        if self.kept.len() == MAX_KEPT {
            self.kept.remove(0);
        }
        self.kept.push(Kept {
            from,
            to,
            key: MediaKey::new(file.key),
            sealed: file.sealed,
        });
        let words = Words {
            text: String::new(),
            message: Some(message.encode_to_vec().into()),
            vote: None,
        };
        self.say(speaker, to, words, answer);
    }

    /// A companion asks for a file that is gone.
    pub(super) fn on_media_retry(&mut self, from: DeviceAddr, receipt: &Node) {
        let Some((id, child)) = self.reupload(from, receipt) else {
            self.audit.count.violations += 1;
            return;
        };
        self.audit.count.media_retries += 1;
        let own = self.seed.jid(DeviceAddr::phone(from.number), Addressing::Pn);
        let stanza = notification(&own, "mediaretry")
            .attr("id", &id)
            .attr("t", self.clock.unix_seconds())
            .with_children([child, receipt.child("rmr").cloned().unwrap_or(Node::new("rmr"))]);
        self.enqueue(from, PendingKey::notification(&id), stanza);
    }

    /// What the phone answers; `None` to what no phone would understand.
    fn reupload(&mut self, from: DeviceAddr, receipt: &Node) -> Option<(CompactString, Node)> {
        let to = receipt.attr_jid("to")?;
        let (asked, _) = self.seed.resolve(&to)?;
        let (about, envelope) = parse_request(receipt)?;
        let (chat, _) = self.seed.resolve(&about.chat)?;
        if asked != DeviceAddr::phone(from.number) || about.participant.is_some() {
            return None;
        }
        let id = about.id.as_str();
        let is_meant = |kept: &&Kept| {
            let opened = open_retry(&kept.key, id, envelope.iv, &envelope.payload);
            let said = opened.and_then(|text| ServerErrorReceipt::decode(text.as_slice()).ok());
            said.is_some_and(|said| said.stanza_id.as_deref() == Some(id))
        };
        let kept = self.kept.iter().find(is_meant)?;
        let other = if about.from_me { kept.to } else { kept.from };
        if chat != DeviceAddr::phone(other) {
            return None;
        }
        if self.files.phones_forget {
            return Some((id.into(), Node::new("error").attr("code", 2_u32)));
        }
        let (key, sealed) = (kept.key.clone(), kept.sealed.clone());
        let told = MediaRetryNotification {
            stanza_id: Some(id.to_owned()),
            direct_path: Some(self.files.take_in(sealed)),
            result: Some(ResultType::Success.into()),
            message_secret: None,
        };
        let payload = seal_retry(&key, id, IV, &told.encode_to_vec()).into();
        Some((id.into(), Envelope { payload, iv: IV }.to_node()))
    }
}
