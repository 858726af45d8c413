//! Linking a device: by a QR code that the phone scans, or by a code that is typed into it.
//!
//! Facts: docs/PROTOCOL.md, "Pairing".

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use prost::Message as _;
use sha2::Sha256;
use whatsapp::binary::Node;
use whatsapp::proto::{AdvSignedDeviceIdentity, AdvSignedDeviceIdentityHmac};
use whatsapp::signal::curve::PublicKey;

use super::account::{Device, Pending};
use super::command::{Linked, Scanned};
use super::pairing::{Offer, Pairing};
use super::port::{ConnId, OutboundQueue};
use super::stanza::{iq_from_server, stream_error};
use super::{Conn, ConnState, World};
use crate::number::{Addressing, DeviceAddr, Number};
use crate::persona::{PREFIX_DEVICE, Persona};
use crate::refusal::Refusal;

/// How long the codes last: the first a minute, the others 20 seconds.
const REFS_LAST: Duration = Duration::from_secs(160);
/// How long a connection stays open after that if a code was asked for to be typed in.
const LINK_CODE_LASTS: Duration = Duration::from_secs(300);
/// How long it stays open after that while a passkey is asked for.
const PASSKEY_LASTS: Duration = Duration::from_secs(3_600);
/// Restart required.
const RESTART: u16 = 515;

impl World {
    pub(super) fn begin_pairing(&mut self, conn: ConnId, outbound: OutboundQueue, mut pairing: Pairing) {
        pairing.refs = (0..self.refs)
            .map(|index| {
                let part = |half: u64| {
                    self.seed
                        .number_of("pairing ref", (conn << 8) + ((index as u64) << 1) + half)
                };
                format!("2@{:016x}{:016x}", part(0), part(1))
            })
            .collect();
        let refs = pairing
            .refs
            .iter()
            .map(|text| Node::new("ref").with_slice(text.as_bytes()));
        let id = self.next_id();
        let offer = iq_from_server("set", &id)
            .attr("xmlns", "md")
            .with_child(Node::new("pair-device").with_children(refs));
        self.conns.insert(
            conn,
            Conn {
                outbound,
                state: ConnState::Pairing(Box::new(pairing)),
                is_mute: false,
            },
        );
        self.write(conn, &offer);
        self.at(self.clock.now() + REFS_LAST, move |world| {
            world.pairing_over(conn)
        });
    }

    pub(super) fn pairing_over(&mut self, conn: ConnId) {
        let Some(pairing) = self.conns.get(&conn).and_then(Conn::pairing) else {
            return;
        };
        let (asks_more, lasts) = match (&pairing.passkey, &pairing.link) {
            (Some(_), _) => (true, PASSKEY_LASTS),
            (None, link) => (link.is_some(), LINK_CODE_LASTS),
        };
        let end = pairing.opened + lasts;
        if asks_more && self.clock.now() < end {
            return self.at(end, move |world| world.pairing_over(conn));
        }
        self.write(conn, &Node::new("xmlstreamend"));
        self.close(conn);
    }

    /// A phone scans a QR code. With `refresh` the server retires the code instead, by a notification with this child.
    pub(super) fn scan(
        &mut self,
        number: Number,
        qr: &str,
        refresh: Option<&str>,
    ) -> Result<Scanned, Refusal> {
        let (conn, secret) = self.showing(qr)?;
        if let Some(child) = refresh {
            self.retire(conn, secret, child);
            return Ok(Scanned::Asked { asked: "refresh" });
        }
        if self.ask_for_passkey(conn, number, Some(&secret)) {
            return Ok(Scanned::Asked { asked: "passkey" });
        }
        self.offer(conn, number, &secret).map(Scanned::Linked)
    }

    /// The connection that shows a QR code, and the code's secret.
    pub(super) fn showing(&self, qr: &str) -> Result<(ConnId, [u8; 32]), Refusal> {
        let fields: Vec<&str> = qr.rsplit('#').next().unwrap_or(qr).trim().split(',').collect();
        let [reference, noise, identity, secret, ..] = fields[..] else {
            return Err(Refusal::bad(
                "qr",
                "must hold a reference and three keys, separated by commas",
            ));
        };
        let noise = key_from_text(noise).ok_or_else(|| Refusal::bad("qr", "holds no valid noise key"))?;
        let identity =
            key_from_text(identity).ok_or_else(|| Refusal::bad("qr", "holds no valid identity key"))?;
        let secret = key_from_text(secret).ok_or_else(|| Refusal::bad("qr", "holds no valid secret"))?;
        let (conn, pairing) = self
            .conns
            .iter()
            .filter_map(|(conn, open)| Some((*conn, open.pairing()?)))
            .find(|(_, pairing)| pairing.refs.iter().any(|own| own == reference))
            .ok_or_else(|| Refusal::conflict("qr", "no connected client shows this code"))?;
        if pairing.noise_key != noise || pairing.identity != identity {
            return Err(Refusal::bad(
                "qr",
                "holds other keys than its connection has proved",
            ));
        }
        if pairing.retired.contains(secret.as_bytes()) {
            return Err(Refusal::conflict("qr", "was replaced by a newer code"));
        }
        Ok((conn, *secret.as_bytes()))
    }

    /// Signs a companion and sends it what the phone has signed.
    pub(super) fn offer(
        &mut self,
        conn: ConnId,
        number: Number,
        secret: &[u8; 32],
    ) -> Result<Linked, Refusal> {
        let iq = self.next_id();
        let now = self.clock.unix_seconds();
        let pairing = self
            .conns
            .get_mut(&conn)
            .and_then(Conn::pairing_mut)
            .ok_or_else(|| Refusal::conflict("qr", "its connection is gone"))?;
        if pairing.offer.is_some() {
            return Err(Refusal::conflict("qr", "it was scanned already"));
        }
        let account = self
            .accounts
            .get_mut(&number)
            .ok_or_else(|| Refusal::unknown("number"))?;
        let device = account
            .free_device()
            .ok_or_else(|| Refusal::conflict("number", "has too many devices"))?;
        account.last_key_index += 1;
        let (who, key_index) = (DeviceAddr::new(number, device), account.last_key_index);
        let signed = Persona::new(&self.seed, who).sign_companion(&pairing.identity, key_index, now);
        let details = signed.encode_to_vec();
        let mut mac = <Hmac<Sha256>>::new_from_slice(secret)
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(&details);
        let sealed = AdvSignedDeviceIdentityHmac {
            details: Some(details.into()),
            hmac: Some(Bytes::copy_from_slice(&mac.finalize().into_bytes())),
            account_type: Some(0),
        };
        let (name, props) = (account.name.clone(), account.addressing.props());
        pairing.offer = Some(Offer {
            iq: iq.clone(),
            who,
            key_index,
            signed,
        });
        let (jid, lid) = (
            self.seed.jid(who, Addressing::Pn),
            self.seed.jid(who, Addressing::Lid),
        );
        let success = Node::new("pair-success")
            .with_child(Node::new("device-identity").with_bytes(sealed.encode_to_vec()))
            .with_child(Node::new("biz").attr("name", name))
            .with_child(Node::new("platform").attr("name", "android"))
            .with_child(Node::new("device").attr("jid", &jid).attr("lid", &lid))
            .with_children(props);
        let stanza = iq_from_server("set", &iq)
            .attr("xmlns", "md")
            .attr("t", now)
            .with_child(success);
        self.write(conn, &stanza);
        Ok(Linked {
            jid: jid.to_string(),
            lid: lid.to_string(),
            device,
        })
    }

    pub(super) fn on_pairing_stanza(&mut self, conn: ConnId, node: &Node) {
        if !node.is("iq") {
            return;
        }
        if self.on_passkey_iq(conn, node) {
            return;
        }
        let kind = node.attr_str("type");
        match kind.as_deref() {
            Some("result") if node.child("pair-device-sign").is_some() => self.companion_signed(conn, node),
            Some("error") => self.close(conn),
            Some("set") => match node.child("link_code_companion_reg") {
                Some(link) => self.on_link_code(conn, node, link),
                None => self.empty_result(conn, node),
            },
            Some("get") => self.empty_result(conn, node),
            _ => {}
        }
    }

    fn companion_signed(&mut self, conn: ConnId, node: &Node) {
        let Some(pairing) = self.conns.get_mut(&conn).and_then(Conn::pairing_mut) else {
            return;
        };
        let Some(offer) = pairing.offer.take().filter(|offer| node.attr_is("id", &offer.iq)) else {
            return;
        };
        let answer = node
            .child_at(&["pair-device-sign", "device-identity"])
            .and_then(Node::bytes);
        let Some(whole) = answer.and_then(|answer| check(&answer, &offer.signed, &pairing.identity)) else {
            self.audit.count.violations += 1;
            return self.close(conn);
        };
        let device = Device {
            key_index: offer.key_index,
            noise_key: pairing.noise_key,
            identity: pairing.identity,
            registration_id: pairing.registration_id,
            signed_prekey: pairing.signed_prekey.clone(),
            one_time: std::collections::VecDeque::new(),
            loses_upload: false,
            told_low: false,
            device_identity: whole,
            conn: None,
            is_active: false,
            is_held: false,
            is_available: false,
            named: None,
            wants_full_history: pairing.wants_full_history,
            history_days: pairing.history_days,
            is_shared_with: false,
            logins: 0,
            pending: Pending::default(),
        };
        if let Some(account) = self.accounts.get_mut(&offer.who.number) {
            account.devices.insert(offer.who.device, device);
            account.devices_changed = self.clock.unix_seconds();
        }
        self.end_stream(conn, &stream_error(Some(RESTART), None));
        self.notify_devices(offer.who, offer.key_index, "add");
    }
}

/// Checks what the companion signed; the whole identity, account key included.
fn check(answer: &[u8], offered: &AdvSignedDeviceIdentity, companion: &PublicKey) -> Option<Bytes> {
    let answer = AdvSignedDeviceIdentity::decode(answer).ok()?;
    let (details, account) = (offered.details.as_ref()?, offered.account_signature_key.as_ref()?);
    if answer.details.as_ref() != Some(details) || answer.account_signature != offered.account_signature {
        return None;
    }
    let signature = answer.device_signature?;
    let by: [u8; 64] = signature.as_ref().try_into().ok()?;
    companion
        .verify_parts(&[&PREFIX_DEVICE, details, companion.as_bytes(), account], &by)
        .ok()?;
    Some(
        AdvSignedDeviceIdentity {
            device_signature: Some(signature),
            ..offered.clone()
        }
        .encode_to_vec()
        .into(),
    )
}

fn key_from_text(text: &str) -> Option<PublicKey> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text.trim())
        .ok()?;
    Some(PublicKey::new(bytes.try_into().ok()?))
}
