//! What a browser is asked to sign with a passkey, and what it answers (WebAuthn, level 3).
//!
//! Checks of an answer all that can be told without the key: whether it answers what was asked, on a page that may.
//! The signature is the server's to judge.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Longest options that are taken from the server. The one live sample has 140 bytes.
pub const MAX_OPTIONS_BYTES: usize = 16 * 1024;

/// What the account's passkey is to sign: `PublicKeyCredentialRequestOptions` in their JSON form, and what of them an
/// answer is checked against.
#[derive(Clone)]
pub struct Options {
    json: String,
    challenge: Vec<u8>,
    rp_id: String,
    needs_verified_user: bool,
    timeout: Option<Duration>,
}

/// What a passkey signed: an assertion, its parts decoded from base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct Assertion {
    /// `rawId`: which passkey.
    pub credential_id: Bytes,
    /// `response.clientDataJSON`: what the browser was asked, and on which page.
    pub client_data: Bytes,
    /// `response.authenticatorData`: whom it signed for, and that somebody was there.
    pub authenticator_data: Bytes,
    /// `response.signature`.
    pub signature: Bytes,
    /// `response.userHandle`, where the authenticator gives one.
    pub user_handle: Option<Bytes>,
}

/// An assertion is none for these options; says which part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{field} {problem}")]
pub struct BadAssertion {
    /// The part, as it is called in the assertion's JSON.
    pub field: &'static str,
    /// What is wrong with it, for people.
    pub problem: &'static str,
}

impl Options {
    /// Reads what the server sent; `None` if it is not JSON with a challenge, or too long.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(json)
            .ok()
            .filter(|text| text.len() <= MAX_OPTIONS_BYTES)?;
        let fields: Value = serde_json::from_str(text).ok()?;
        let challenge = decode(fields.get("challenge")?.as_str()?)?;
        let rp_id = fields.get("rpId").map_or(Some(RP_ID), Value::as_str)?;
        let timeout = fields.get("timeout").and_then(Value::as_u64);
        Some(Self {
            json: text.to_owned(),
            challenge: Some(challenge).filter(|challenge| !challenge.is_empty())?,
            rp_id: rp_id.to_owned(),
            needs_verified_user: fields
                .get("userVerification")
                .is_some_and(|wanted| wanted == "required"),
            timeout: timeout.filter(|ms| *ms > 0).map(Duration::from_millis),
        })
    }

    /// The text as the server sent it, to be passed to the browser unchanged.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// How long the server gives the browser, if it says so.
    #[must_use]
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Checks that an assertion answers these options.
    ///
    /// # Errors
    /// The part that does not, so that nothing of it is sent.
    pub fn check(&self, assertion: &Assertion) -> Result<(), BadAssertion> {
        self.check_client_data(&assertion.client_data)
            .map_err(|problem| BadAssertion {
                field: "response.clientDataJSON",
                problem,
            })?;
        self.check_authenticator_data(&assertion.authenticator_data)
            .map_err(|problem| BadAssertion {
                field: "response.authenticatorData",
                problem,
            })?;
        let empty = [
            ("rawId", &assertion.credential_id),
            ("response.signature", &assertion.signature),
        ];
        match empty.into_iter().find(|(_, bytes)| bytes.is_empty()) {
            Some((field, _)) => Err(BadAssertion {
                field,
                problem: "must not be empty",
            }),
            None => Ok(()),
        }
    }

    fn check_client_data(&self, client_data: &[u8]) -> Result<(), &'static str> {
        let fields: Value = serde_json::from_slice(client_data).map_err(|_| "is not JSON inside")?;
        let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        if field("type") != "webauthn.get" {
            return Err("is not of navigator.credentials.get");
        }
        if decode(field("challenge")).as_ref() != Some(&self.challenge) {
            return Err("answers another challenge than the one that was asked last");
        }
        if !self.may_ask(field("origin")) {
            return Err(
                "comes from a page of another site: it must be signed in a tab at https://web.whatsapp.com",
            );
        }
        Ok(())
    }

    /// Whether a page of this origin may ask for the relying party's passkeys.
    fn may_ask(&self, origin: &str) -> bool {
        let Some(host) = origin.strip_prefix("https://") else {
            return false;
        };
        let host = host.split_once(':').map_or(host, |(host, _)| host);
        let above = host.strip_suffix(&self.rp_id);
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    }

    fn check_authenticator_data(&self, data: &[u8]) -> Result<(), &'static str> {
        let (rp_id_hash, flags) = match data.split_first_chunk::<32>() {
            Some((hash, [flags, _, _, _, _, ..])) => (hash, *flags),
            _ => return Err("is too short"),
        };
        if rp_id_hash[..] != Sha256::digest(&self.rp_id)[..] {
            return Err("is of another site");
        }
        if flags & USER_PRESENT == 0 {
            return Err("does not say that somebody was there");
        }
        if self.needs_verified_user && flags & USER_VERIFIED == 0 {
            return Err("does not say that the user was verified (by finger, face or PIN)");
        }
        Ok(())
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Assertion {
    /// The JSON that the server takes: what `PublicKeyCredential.toJSON()` gives, without what no client passes on, and
    /// in the order of other clients.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Base64url needs no escaping.
        let text = |bytes: &Bytes| format!("\"{}\"", URL_SAFE_NO_PAD.encode(bytes));
        let id = text(&self.credential_id);
        let client_data = text(&self.client_data);
        let authenticator_data = text(&self.authenticator_data);
        let signature = text(&self.signature);
        let user = self.user_handle.as_ref().map_or("null".to_owned(), text);
        format!(
            r#"{{"id":{id},"rawId":{id},"type":"public-key","response":{{"clientDataJSON":{client_data},"authenticatorData":{authenticator_data},"signature":{signature},"userHandle":{user}}}}}"#
        )
    }
}

/// Prints nothing of it: whoever has it could link a device.
impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Assertion(…)")
    }
}

/// Whose passkeys are asked for where the options name nobody: those of the page's site.
const RP_ID: &str = "whatsapp.com";
/// The flags of authenticator data.
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;

/// Base64url, with or without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The one live sample that is known, but for its challenge.
    const SAMPLE: &str = r#"{"challenge":"AAECAwQFBgcICQoLDA0ODw","timeout":600000,"rpId":"whatsapp.com","allowCredentials":[],"userVerification":"required","extensions":{"uvm":true}}"#;

    fn options() -> Options {
        Options::parse(SAMPLE.as_bytes()).unwrap()
    }

    fn client_data(kind: &str, challenge: &str, origin: &str) -> Bytes {
        let data = json!({ "type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false });
        data.to_string().into()
    }

    fn authenticator_data(rp_id: &str, flags: u8) -> Bytes {
        let mut data = Sha256::digest(rp_id).to_vec();
        data.extend([flags, 0, 0, 0, 7]);
        data.into()
    }

    fn assertion() -> Assertion {
        Assertion {
            credential_id: Bytes::from_static(b"credential"),
            client_data: client_data(
                "webauthn.get",
                "AAECAwQFBgcICQoLDA0ODw",
                "https://web.whatsapp.com",
            ),
            authenticator_data: authenticator_data("whatsapp.com", 0x05),
            signature: Bytes::from_static(b"signature"),
            user_handle: None,
        }
    }

    fn refused(assertion: &Assertion) -> &'static str {
        options().check(assertion).unwrap_err().field
    }

    #[test]
    fn the_live_sample_is_read_and_kept_as_it_is() {
        let options = options();
        assert_eq!(options.json(), SAMPLE);
        assert_eq!(options.timeout(), Some(Duration::from_secs(600)));
        assert_eq!(options.check(&assertion()), Ok(()));
    }

    #[test]
    fn options_without_a_challenge_are_none() {
        for json in [
            "",
            "{}",
            "[]",
            r#"{"challenge":""}"#,
            r#"{"challenge":7}"#,
            r#"{"challenge":"*"}"#,
            r#"{"challenge":"AAAA","rpId":7}"#,
        ] {
            assert!(Options::parse(json.as_bytes()).is_none(), "{json}");
        }
        assert!(Options::parse(&[0xff; 8]).is_none());
        let long = format!(
            r#"{{"challenge":"AAAA","x":"{}"}}"#,
            "x".repeat(MAX_OPTIONS_BYTES)
        );
        assert!(Options::parse(long.as_bytes()).is_none());
    }

    #[test]
    fn an_answer_to_another_challenge_or_from_another_site_is_refused_by_its_field() {
        let challenge = "AAECAwQFBgcICQoLDA0ODw";
        let whatsapp = "https://web.whatsapp.com";
        for (kind, challenge, origin) in [
            ("webauthn.create", challenge, whatsapp),
            ("webauthn.get", "AAECAwQFBgcICQoLDA0OEA", whatsapp),
            ("webauthn.get", "", whatsapp),
            ("webauthn.get", challenge, "https://evil.example"),
            ("webauthn.get", challenge, "https://notwhatsapp.com"),
            ("webauthn.get", challenge, "http://web.whatsapp.com"),
        ] {
            let forged = Assertion {
                client_data: client_data(kind, challenge, origin),
                ..assertion()
            };
            assert_eq!(
                refused(&forged),
                "response.clientDataJSON",
                "{kind} {challenge} {origin}"
            );
        }
        let padded = Assertion {
            client_data: client_data(
                "webauthn.get",
                &format!("{challenge}=="),
                "https://whatsapp.com:443",
            ),
            ..assertion()
        };
        assert_eq!(options().check(&padded), Ok(()));
    }

    #[test]
    fn authenticator_data_must_be_of_the_site_and_of_a_verified_user() {
        for data in [
            authenticator_data("example.com", 0x05),
            authenticator_data("whatsapp.com", 0x04),
            authenticator_data("whatsapp.com", 0x01),
            authenticator_data("whatsapp.com", 0x05).slice(..36),
            Bytes::new(),
        ] {
            let forged = Assertion {
                authenticator_data: data,
                ..assertion()
            };
            assert_eq!(refused(&forged), "response.authenticatorData");
        }
        let unsigned = Assertion {
            signature: Bytes::new(),
            ..assertion()
        };
        assert_eq!(refused(&unsigned), "response.signature");
    }

    #[test]
    fn the_server_gets_the_members_that_clients_send() {
        let text = Assertion {
            user_handle: Some(Bytes::from_static(b"me")),
            ..assertion()
        };
        let sent: Value = serde_json::from_str(&text.to_json()).unwrap();
        assert_eq!(sent["id"], "Y3JlZGVudGlhbA");
        assert_eq!(sent["rawId"], sent["id"]);
        assert_eq!(sent["type"], "public-key");
        assert_eq!(sent["response"]["signature"], "c2lnbmF0dXJl");
        assert_eq!(sent["response"]["userHandle"], "bWU");
        assert_eq!(sent["response"].as_object().unwrap().len(), 4);
        let sent: Value = serde_json::from_str(&assertion().to_json()).unwrap();
        assert!(sent["response"]["userHandle"].is_null());
    }
}
