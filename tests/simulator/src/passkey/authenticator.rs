//! A passkey in software: signs as a browser and its authenticator do, and judges as the server does (WebAuthn, ES256).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::refusal::Refusal;

/// Where WhatsApp Web is.
const ORIGIN: &str = "https://web.whatsapp.com";
/// Whose passkeys these are.
pub const RP_ID: &str = "whatsapp.com";
/// The flags of authenticator data.
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;

/// The passkey of one account.
pub struct Authenticator {
    key: EcdsaKeyPair,
    random: SystemRandom,
    credential_id: Vec<u8>,
    signed: u32,
}

/// What is to be signed, and how honestly.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// What the server offered.
    pub options: Value,
    /// The page that asks.
    #[serde(default)]
    pub origin: Option<String>,
    /// Whom the authenticator signs for.
    #[serde(default)]
    pub rp_id: Option<String>,
    /// Whether somebody was there, and was verified.
    #[serde(default)]
    pub user_verified: Option<bool>,
}

impl Authenticator {
    /// A new passkey with this id. Its key is the machine's alone: no seed makes it again.
    ///
    /// # Errors
    /// If the machine has no randomness.
    pub fn new(credential_id: Vec<u8>) -> Result<Self, Refusal> {
        let random = SystemRandom::new();
        let scheme = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(scheme, &random)
            .ok()
            .and_then(|pkcs8| EcdsaKeyPair::from_pkcs8(scheme, pkcs8.as_ref(), &random).ok())
            .ok_or_else(|| Refusal::unavailable("there is no randomness for a passkey"))?;
        Ok(Self {
            key,
            random,
            credential_id,
            signed: 0,
        })
    }

    /// Signs; what `PublicKeyCredential.toJSON()` gives.
    ///
    /// # Errors
    /// If the options hold no challenge.
    pub fn sign(&mut self, ask: &Ask) -> Result<Value, Refusal> {
        let challenge = ask.options.get("challenge").and_then(Value::as_str);
        let challenge = challenge.ok_or_else(|| Refusal::bad("options", "hold no challenge"))?;
        let origin = ask.origin.as_deref().unwrap_or(ORIGIN);
        let client_data = json!({
            "type": "webauthn.get", "challenge": challenge, "origin": origin, "crossOrigin": false,
        })
        .to_string();
        self.signed += 1;
        let mut data = Sha256::digest(ask.rp_id.as_deref().unwrap_or(RP_ID)).to_vec();
        data.push(match ask.user_verified {
            Some(false) => USER_PRESENT,
            _ => USER_PRESENT | USER_VERIFIED,
        });
        data.extend(self.signed.to_be_bytes());
        let signature = self
            .key
            .sign(&self.random, &signed_text(&data, client_data.as_bytes()))
            .map_err(|_| Refusal::unavailable("there is no randomness for a signature"))?;
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let id = text(&self.credential_id);
        Ok(json!({
            "id": id,
            "rawId": id,
            "type": "public-key",
            "authenticatorAttachment": "cross-platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": text(client_data.as_bytes()),
                "authenticatorData": text(&data),
                "signature": text(signature.as_ref()),
                "userHandle": text(b"user"),
            },
        }))
    }

    /// Judges what a companion passed on, as the server does.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(
        &self,
        credential_id: &[u8],
        assertion: &[u8],
        challenge: &[u8],
    ) -> Result<(), &'static str> {
        let sent: Sent = serde_json::from_slice(assertion).map_err(|_| "the assertion has other members")?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| "a part is no base64url");
        if credential_id != self.credential_id
            || decode(&sent.id)? != self.credential_id
            || sent.raw_id != sent.id
            || sent.kind != "public-key"
        {
            return Err("another credential");
        }
        let client_data = decode(&sent.response.client_data_json)?;
        let said: Value = serde_json::from_slice(&client_data).map_err(|_| "clientDataJSON is no JSON")?;
        if said["type"] != "webauthn.get" || said["origin"] != ORIGIN {
            return Err("signed on another page");
        }
        if said["challenge"] != URL_SAFE_NO_PAD.encode(challenge) {
            return Err("another challenge");
        }
        let data = decode(&sent.response.authenticator_data)?;
        let flags = data.get(32).copied().unwrap_or_default();
        if data.len() < 37 || data[..32] != Sha256::digest(RP_ID)[..] {
            return Err("signed for another site");
        }
        if flags & USER_PRESENT == 0 || flags & USER_VERIFIED == 0 {
            return Err("nobody was there, or was verified");
        }
        if let Some(user) = &sent.response.user_handle {
            decode(user)?;
        }
        let signature = decode(&sent.response.signature)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.key.public_key().as_ref())
            .verify(&signed_text(&data, &client_data), &signature)
            .map_err(|_| "the signature is wrong")
    }
}

/// The assertion as clients send it: these members and no others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    id: String,
    #[serde(rename = "rawId")]
    raw_id: String,
    #[serde(rename = "type")]
    kind: String,
    response: SentResponse,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentResponse {
    #[serde(rename = "clientDataJSON")]
    client_data_json: String,
    #[serde(rename = "authenticatorData")]
    authenticator_data: String,
    signature: String,
    #[serde(rename = "userHandle")]
    user_handle: Option<String>,
}

fn signed_text(authenticator_data: &[u8], client_data: &[u8]) -> Vec<u8> {
    [authenticator_data, &Sha256::digest(client_data)[..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &[u8] = &[7; 32];

    fn signed(change: impl FnOnce(&mut Ask)) -> (Authenticator, Value) {
        let mut authenticator = Authenticator::new(vec![1; 16]).unwrap();
        let mut ask = Ask {
            options: json!({ "challenge": URL_SAFE_NO_PAD.encode(CHALLENGE) }),
            origin: None,
            rp_id: None,
            user_verified: None,
        };
        change(&mut ask);
        let signed = authenticator.sign(&ask).unwrap();
        let sent = json!({
            "id": signed["id"], "rawId": signed["rawId"], "type": signed["type"], "response": signed["response"],
        });
        (authenticator, sent)
    }

    fn judged(change: impl FnOnce(&mut Ask)) -> Result<(), &'static str> {
        let (authenticator, sent) = signed(change);
        authenticator.judge(&[1; 16], sent.to_string().as_bytes(), CHALLENGE)
    }

    #[test]
    fn an_honest_assertion_is_taken_and_each_forged_part_refused() {
        assert_eq!(judged(|_| {}), Ok(()));
        let forged: [(fn(&mut Ask), _); 4] = [
            (
                |ask| ask.options = json!({ "challenge": "AAAA" }),
                "another challenge",
            ),
            (
                |ask| ask.origin = Some("https://evil.example".into()),
                "signed on another page",
            ),
            (
                |ask| ask.rp_id = Some("evil.example".into()),
                "signed for another site",
            ),
            (
                |ask| ask.user_verified = Some(false),
                "nobody was there, or was verified",
            ),
        ];
        for (forge, problem) in forged {
            assert_eq!(judged(forge), Err(problem));
        }
    }

    #[test]
    fn a_signature_of_another_key_and_another_credential_are_refused() {
        let (authenticator, sent) = signed(|_| {});
        let text = sent.to_string();
        let other = Authenticator::new(vec![1; 16]).unwrap();
        assert_eq!(
            other.judge(&[1; 16], text.as_bytes(), CHALLENGE),
            Err("the signature is wrong")
        );
        assert_eq!(
            authenticator.judge(&[2; 16], text.as_bytes(), CHALLENGE),
            Err("another credential")
        );
        assert!(authenticator.judge(&[1; 16], b"{}", CHALLENGE).is_err());
    }
}
