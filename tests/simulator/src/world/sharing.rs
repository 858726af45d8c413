//! What a phone hands to a companion that was just linked: the keys of the app state, and the history.
//!
//! Facts: docs/PROTOCOL.md, "App state" and "History".

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compression, write::ZlibEncoder};
use prost::Message as _;
use whatsapp::media::{self, MediaKey, MediaKind};
use whatsapp::proto::history_sync::HistorySyncType;
use whatsapp::proto::message::protocol_message::Type;
use whatsapp::proto::message::{
    AppStateSyncKey, AppStateSyncKeyData, AppStateSyncKeyId, AppStateSyncKeyShare, HistorySyncNotification,
    ProtocolMessage,
};
use whatsapp::proto::{Conversation, HistorySync, Message, PhoneNumberToLidMapping, Pushname};

use super::World;
use crate::crowd::{Job, ToCompanion};
use crate::number::{Addressing, DeviceAddr, Number};
use crate::sharing::{HistorySharing, KeySharing, SaltSharing, SharedChat, Sharing};

/// Which piece of a history it is.
pub(super) struct Piece {
    /// Its place among those of its type.
    pub(super) order: u32,
    /// How much of all is shared with it, in per cent.
    pub(super) progress: u32,
    /// The request that it answers.
    pub(super) request: Option<String>,
    /// Which of those that leave together.
    pub(super) serial: u32,
}

impl Piece {
    /// There is no other of its type.
    const ONLY: Self = Self {
        order: 1,
        progress: 100,
        request: None,
        serial: 0,
    };
}

impl World {
    /// A companion takes stanzas for the first time: its phone shares what it is set to.
    pub(super) fn share(&mut self, with: DeviceAddr) {
        let Some(sharing) = self
            .accounts
            .get(&with.number)
            .map(|account| account.sharing.clone())
        else {
            return;
        };
        let wait = Duration::from_millis(sharing.keys_after_ms);
        match sharing.keys {
            KeySharing::WhenAsked => {}
            KeySharing::Unasked => self.at(self.clock.now() + wait, move |world| {
                world.share_keys(with, 0..2);
            }),
            KeySharing::InHalves => {
                self.share_keys(with, 0..1);
                self.at(self.clock.now() + wait, move |world| world.share_keys(with, 1..2));
            }
        }
        if sharing.history == HistorySharing::Never {
            return;
        }
        if let Some(past) = sharing.past {
            return self.share_past(with, past, sharing.history);
        }
        for history in self.history(with.number, &sharing) {
            self.share_piece(with, &history, (sharing.history, Piece::ONLY));
        }
    }

    /// What the first piece of a history says beside its chats.
    pub(super) fn first_piece(&self, number: Number) -> HistorySync {
        let salt = self.token_salt(number).filter(|_| {
            let account = self.accounts.get(&number);
            account.is_some_and(|account| account.sharing.salt == SaltSharing::History)
        });
        HistorySync {
            sync_type: Some(HistorySyncType::InitialBootstrap.into()),
            progress: Some(100),
            nct_salt: salt.map(|salt| Bytes::copy_from_slice(&salt)),
            ..HistorySync::default()
        }
    }

    /// Keys of the app state leave for a companion.
    pub(super) fn share_keys(&mut self, with: DeviceAddr, which: std::ops::Range<u32>) {
        let keys = which.map(|index| {
            let (id, key) = self.app_state_key(with.number, index);
            AppStateSyncKey {
                key_id: Some(AppStateSyncKeyId {
                    key_id: Some(Bytes::copy_from_slice(id.as_bytes())),
                }),
                key_data: Some(AppStateSyncKeyData {
                    key_data: Some(Bytes::copy_from_slice(&key)),
                    timestamp: Some(1_700_000_000_000),
                    ..AppStateSyncKeyData::default()
                }),
            }
        });
        let share = AppStateSyncKeyShare { keys: keys.collect() };
        self.tell_companion(
            with,
            ProtocolMessage {
                r#type: Some(Type::AppStateSyncKeyShare.into()),
                app_state_sync_key_share: Some(share),
                ..ProtocolMessage::default()
            },
        );
    }

    /// A piece of the history leaves for a companion.
    pub(super) fn share_piece(
        &mut self,
        with: DeviceAddr,
        history: &HistorySync,
        (how, piece): (HistorySharing, Piece),
    ) {
        let packed = deflate(&history.encode_to_vec());
        let mut notice = HistorySyncNotification {
            sync_type: history.sync_type,
            chunk_order: Some(piece.order),
            progress: Some(piece.progress),
            peer_data_request_session_id: piece.request,
            ..HistorySyncNotification::default()
        };
        if how == HistorySharing::File {
            let key = self.seed.bytes(
                "history",
                with,
                piece.serial << 4 | history.sync_type.unwrap_or_default() as u32,
            );
            let sealed = media::seal(MediaKind::History, &MediaKey::new(key), &packed);
            notice.media_key = Some(Bytes::copy_from_slice(&key));
            notice.file_length = Some(packed.len() as u64);
            notice.file_sha256 = Some(Bytes::copy_from_slice(&sealed.sha256));
            notice.file_enc_sha256 = Some(Bytes::copy_from_slice(&sealed.enc_sha256));
            notice.direct_path = Some(self.files.put(sealed.file));
        } else {
            notice.initial_hist_bootstrap_inline_payload = Some(packed.into());
        }
        self.tell_companion(
            with,
            ProtocolMessage {
                r#type: Some(Type::HistorySyncNotification.into()),
                history_sync_notification: Some(notice),
                ..ProtocolMessage::default()
            },
        );
    }

    /// The history of an account: chats, then names.
    fn history(&mut self, number: Number, sharing: &Sharing) -> [HistorySync; 2] {
        let contacts = sharing
            .chats
            .iter()
            .filter_map(|chat| Some((chat, chat.number.parse().ok()?)));
        let contacts: Vec<(&SharedChat, Number)> = contacts.collect();
        let conversations = contacts
            .iter()
            .map(|(chat, contact)| self.conversation(number, chat, *contact));
        let conversations = conversations.collect();
        let mappings = contacts.iter().map(|(_, contact)| PhoneNumberToLidMapping {
            pn_jid: Some(self.name_of(*contact, Addressing::Pn)),
            lid_jid: Some(self.name_of(*contact, Addressing::Lid)),
        });
        let phone_number_to_lid_mappings = mappings.collect();
        let chats = HistorySync {
            conversations,
            phone_number_to_lid_mappings,
            ..self.first_piece(number)
        };
        let names = HistorySync {
            sync_type: Some(HistorySyncType::PushName.into()),
            pushnames: vec![Pushname {
                id: Some(self.name_of(number, Addressing::Pn)),
                pushname: self.accounts.get(&number).map(|account| account.name.clone()),
            }],
            ..HistorySync::default()
        };
        [chats, names]
    }

    fn conversation(&mut self, of: Number, chat: &SharedChat, contact: Number) -> Conversation {
        let told = chat.token.as_ref().and_then(|token| hex::decode(token).ok());
        let (token, t) = match told {
            Some(token) => (token.into(), chat.token_t),
            None => {
                let (token, t) = self.token_in_history(contact, of);
                (token, Some(t))
            }
        };
        Conversation {
            id: Some(self.name_of(contact, Addressing::Lid)),
            tc_token: Some(token),
            tc_token_timestamp: t,
            tc_token_sender_timestamp: chat.sender_t,
            pn_jid: Some(self.name_of(contact, Addressing::Pn)),
            lid_jid: Some(self.name_of(contact, Addressing::Lid)),
            ..Conversation::default()
        }
    }

    fn name_of(&self, number: Number, addressing: Addressing) -> String {
        self.seed.jid(DeviceAddr::phone(number), addressing).to_string()
    }

    /// The phone says something to one of its companions that no chat shows.
    fn tell_companion(&mut self, to: DeviceAddr, protocol: ProtocolMessage) {
        let Some(account) = self.accounts.get(&to.number) else {
            return;
        };
        let message = Message {
            protocol_message: Some(Box::new(protocol)),
            ..Message::default()
        };
        let job = ToCompanion {
            from: DeviceAddr::phone(to.number),
            to,
            addressing: account.phone_called,
            message: message.encode_to_vec(),
        };
        self.crowd.give(to.number, Job::Tell(Box::new(job)));
    }
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing into memory can't fail.
    packed.write_all(bytes).ok();
    packed.finish().unwrap_or_default()
}
