//! A connection that wants to be linked: what its client has said, what it was shown and what it was offered.
//!
//! Facts: docs/PROTOCOL.md, "Pairing".

use bytes::Bytes;
use prost::Message as _;
use tokio::sync::oneshot;
use tokio::time::Instant;
use whatsapp::proto::client_payload::DevicePairingRegistrationData;
use whatsapp::proto::{AdvSignedDeviceIdentity, DeviceProps};
use whatsapp::signal::curve::PublicKey;
use whatsapp::signal::{RegistrationId, SignedPreKeyId};

use super::account::SignedKey;
use super::command::LinkOutcome;
use super::guarded::Exchange;
use crate::number::{DeviceAddr, Number};

/// QR codes of one connection, unless a test wants fewer.
pub(super) const REFS: usize = 6;

/// A connection that wants to be linked.
pub(super) struct Pairing {
    pub(super) noise_key: PublicKey,
    pub(super) identity: PublicKey,
    pub(super) registration_id: RegistrationId,
    pub(super) signed_prekey: SignedKey,
    pub(super) refs: Vec<String>,
    pub(super) link: Option<Link>,
    pub(super) offer: Option<Offer>,
    pub(super) opened: Instant,
    /// What it registered as, by the number of `DeviceProps`.
    pub(super) platform: i32,
    /// How much of the past it asks for.
    pub(super) wants_full_history: bool,
    pub(super) history_days: Option<u32>,
    /// A passkey is asked for.
    pub(super) passkey: Option<Box<Exchange>>,
    /// Secrets of codes that are worth nothing any more.
    pub(super) retired: Vec<[u8; 32]>,
}

/// What was offered to the companion.
pub(super) struct Offer {
    pub(super) iq: String,
    pub(super) who: DeviceAddr,
    pub(super) key_index: u32,
    pub(super) signed: AdvSignedDeviceIdentity,
}

/// A link code that was asked for.
pub(super) struct Link {
    pub(super) number: Number,
    pub(super) reference: String,
    pub(super) wrapped: Bytes,
    /// Who waits for the companion's answer.
    pub(super) waiting: Option<oneshot::Sender<LinkOutcome>>,
}

impl Pairing {
    /// What a client says that wants to be linked; `None` if it is malformed or its prekey is not signed.
    pub(super) fn new(
        noise_key: PublicKey,
        data: &DevicePairingRegistrationData,
        now: Instant,
    ) -> Option<Self> {
        let identity = key(data.e_ident.as_deref())?;
        let public = key(data.e_skey_val.as_deref())?;
        let signature: [u8; 64] = data.e_skey_sig.as_deref()?.try_into().ok()?;
        identity.verify(&public.serialize33(), &signature).ok()?;
        let props = data.device_props.clone().unwrap_or_default();
        let props = DeviceProps::decode(props).ok()?;
        Some(Self {
            noise_key,
            identity,
            registration_id: RegistrationId::from_be_slice(data.e_regid.as_deref()?)?,
            signed_prekey: SignedKey {
                id: SignedPreKeyId::from_be_bytes3(data.e_skey_id.as_deref()?)?,
                public,
                signature,
            },
            refs: Vec::new(),
            link: None,
            offer: None,
            opened: now,
            platform: props.platform_type.unwrap_or_default(),
            wants_full_history: props.require_full_sync.unwrap_or_default(),
            history_days: props
                .history_sync_config
                .as_ref()
                .and_then(|config| config.full_sync_days_limit),
            passkey: None,
            retired: Vec::new(),
        })
    }

    /// The connection is gone.
    pub(super) fn abandoned(self) {
        if let Some(waiting) = self.link.and_then(|link| link.waiting) {
            // Whoever asked may have gone too.
            drop(waiting.send(LinkOutcome::Gone));
        }
    }
}

fn key(bytes: Option<&[u8]>) -> Option<PublicKey> {
    Some(PublicKey::new(bytes?.try_into().ok()?))
}
