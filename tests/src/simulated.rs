//! The simulator's control interface as verbs: phones, contacts, faults and the audit.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

/// A client of a simulator's control address.
#[derive(Clone)]
pub struct Control {
    base: Arc<str>,
    http: reqwest::Client,
}

/// The totals of `GET /audit`, which judge all that we claim.
#[derive(Clone, Debug, Deserialize)]
pub struct Audit {
    /// Distinct message ids that the server took.
    pub messages_accepted: u64,
    /// Messages that a recipient saw once.
    pub shown_once: u64,
    /// Messages that a recipient saw more than once.
    pub shown_twice: u64,
    /// Messages that a recipient could not read at first.
    pub undecryptable: u64,
    /// Undecryptable messages that a recipient could read after asking for them again.
    pub recovered: u64,
    /// Message keys that sealed more than one ciphertext.
    pub message_keys_reused: u64,
    /// Texts that a recipient saw again under another id: sent twice, as its owner sees it.
    pub repeated_texts: u64,
    /// Messages that the server took for contacts and that none of them saw.
    pub lost: u64,
    /// Copies that no real client would send.
    pub malformed: u64,
    /// Stanzas that no real client would send.
    pub violations: u64,
    /// Everything else of the answer, for messages about a failure.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, Value>,
}

impl Audit {
    /// What must hold whatever went wrong on the way, however much was sent: nothing was lost or shown twice, and no message key
    /// used twice. Tests whose contacts get several messages give each a text of its own.
    ///
    /// # Errors
    /// Names what does not hold.
    pub fn honest(&self) -> Result<()> {
        for (count, what) in [
            (self.shown_twice, "messages were shown twice"),
            (self.repeated_texts, "texts were sent twice, under two ids"),
            (self.lost, "messages were lost"),
            (self.message_keys_reused, "message keys were used twice"),
            (self.malformed + self.violations, "things no real client sends"),
        ] {
            ensure!(count == 0, "{count} {what}: {self:?}");
        }
        Ok(())
    }

    /// As [`Audit::honest`] where no fault spoiled anything: every copy went to whom it was for, and could be read at once.
    ///
    /// # Errors
    /// Names what does not hold.
    pub fn flawless(&self) -> Result<()> {
        self.honest()?;
        let misaddressed = self.rest["misaddressed"].as_u64();
        ensure!(misaddressed == Some(0), "copies went astray: {self:?}");
        ensure!(self.undecryptable == 0, "copies could not be read: {self:?}");
        Ok(())
    }

    /// As [`Audit::honest`], and `shown` messages were seen.
    ///
    /// # Errors
    /// Names what does not hold.
    pub fn unharmed(&self, shown: u64) -> Result<()> {
        self.honest()?;
        ensure!(
            self.undecryptable == self.recovered,
            "{} of {} undecryptable messages came again: {self:?}",
            self.recovered,
            self.undecryptable
        );
        ensure!(
            self.shown_once == shown,
            "{} messages were shown, not {shown}: {self:?}",
            self.shown_once
        );
        Ok(())
    }

    /// As [`Audit::unharmed`] where no fault spoiled anything: every copy could be read at once.
    ///
    /// # Errors
    /// Names what does not hold.
    pub fn clean(&self, shown: u64) -> Result<()> {
        ensure!(
            self.undecryptable == 0,
            "{} were undecryptable: {self:?}",
            self.undecryptable
        );
        self.unharmed(shown)
    }
}

/// One message as its recipient has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Shown {
    /// The message id.
    pub id: String,
    /// Who sent it.
    pub from: String,
    /// Its text.
    #[serde(default)]
    pub text: Option<String>,
    /// Its whole content, a protobuf in base64.
    #[serde(default)]
    pub message: String,
    /// How often the person saw it.
    #[serde(default)]
    pub times_shown: u64,
    /// How often the device got it.
    #[serde(default)]
    pub times_received: u64,
}

/// How contacts behave.
#[derive(Clone, Debug)]
pub struct Contacts<'a> {
    /// The first digits of each number; as many zeros follow as make it whole.
    pub prefix: &'a str,
    /// How many.
    pub count: u32,
    /// Milliseconds until a delivery receipt.
    pub deliver_ms: u64,
    /// Milliseconds until a read receipt; none where absent.
    pub read_ms: Option<u64>,
    /// What they answer; nothing where absent.
    pub reply: Option<&'a str>,
}

impl<'a> Contacts<'a> {
    /// Contacts who have everything at once, read nothing and answer nothing.
    #[must_use]
    pub const fn quiet(prefix: &'a str, count: u32) -> Self {
        Self {
            prefix,
            count,
            deliver_ms: 0,
            read_ms: None,
            reply: None,
        }
    }
}

impl Contacts<'_> {
    /// The numbers of these contacts, in order: the prefix and the index, padded to one width.
    #[must_use]
    pub fn numbers(&self) -> Vec<String> {
        let width = self.count.saturating_sub(1).to_string().len();
        let stem = self.stem();
        (0..self.count)
            .map(|index| format!("{stem}{index:0width$}"))
            .collect()
    }

    /// What stands before the index.
    #[must_use]
    pub fn stem(&self) -> String {
        let digits = if self.prefix.starts_with('1') {
            11
        } else {
            self.prefix.len()
        };
        let room = usize::saturating_sub(digits, self.count.saturating_sub(1).to_string().len());
        format!("{:0<room$}", self.prefix)
    }
}

impl Control {
    /// A client of the control address `base` (`http://host:port`).
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self {
            base: base.trim_end_matches('/').into(),
            http: crate::http::client(),
        }
    }

    /// Makes a phone with an account of its own.
    ///
    /// # Errors
    /// What the simulator refused, in its words.
    pub async fn phone(&self, number: &str, name: &str) -> Result<()> {
        self.post("/phones", json!({ "number": number, "name": name }))
            .await
            .map(drop)
    }

    /// The phone scans a QR code.
    ///
    /// # Errors
    /// What the simulator refused.
    pub async fn scan(&self, number: &str, qr: &str) -> Result<()> {
        self.post(&format!("/phones/{number}/scan"), json!({ "qr": qr }))
            .await
            .map(drop)
    }

    /// The phone's owner types a pairing code.
    ///
    /// # Errors
    /// What the simulator refused.
    pub async fn link_code(&self, number: &str, code: &str) -> Result<()> {
        self.post(&format!("/phones/{number}/link-code"), json!({ "code": code }))
            .await
            .map(drop)
    }

    /// Makes contacts that answer by themselves.
    ///
    /// # Errors
    /// What the simulator refused.
    pub async fn contacts(&self, contacts: &Contacts<'_>) -> Result<()> {
        let mut body =
            json!({ "prefix": contacts.stem(), "count": contacts.count, "deliver_ms": contacts.deliver_ms });
        if let Some(read_ms) = contacts.read_ms {
            body["read_ms"] = read_ms.into();
        }
        if let Some(reply) = contacts.reply {
            body["reply"] = reply.into();
        }
        self.post("/contacts", body).await.map(drop)
    }

    /// The contact writes to `to`.
    ///
    /// # Errors
    /// What the simulator refused.
    pub async fn contact_writes(&self, number: &str, to: &str, text: &str) -> Result<()> {
        self.post(
            &format!("/contacts/{number}/messages"),
            json!({ "to": to, "text": text }),
        )
        .await
        .map(drop)
    }

    /// The phone's owner logs all linked devices out; how many there were.
    ///
    /// # Errors
    /// What the simulator refused.
    pub async fn unlink(&self, number: &str) -> Result<u64> {
        let answer = self.post(&format!("/phones/{number}/unlink"), json!({})).await?;
        answer["unlinked"].as_u64().context("how many were unlinked")
    }

    /// The devices that are linked with the phone `number`, as the server knows them.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn devices(&self, number: &str) -> Result<Vec<Value>> {
        let Value::Array(mut all) = self.get("/sessions").await? else {
            bail!("/sessions is no list");
        };
        all.retain(|session| session["number"] == number);
        Ok(all)
    }

    /// What the contact got.
    ///
    /// # Errors
    /// When there is no such contact.
    pub async fn contact_messages(&self, number: &str) -> Result<Vec<Shown>> {
        Ok(serde_json::from_value(
            self.get(&format!("/contacts/{number}/messages")).await?,
        )?)
    }

    /// What the phone holds, its own messages from other devices included.
    ///
    /// # Errors
    /// When there is no such phone.
    pub async fn phone_messages(&self, number: &str) -> Result<Vec<Shown>> {
        Ok(serde_json::from_value(
            self.get(&format!("/phones/{number}/messages")).await?,
        )?)
    }

    /// Sets a fault.
    ///
    /// # Errors
    /// What the simulator refused.
    pub async fn fault(&self, fault: Value) -> Result<()> {
        self.post("/faults", fault).await.map(drop)
    }

    /// Changes which versions of clients the server takes (`min`), which one its page names (`published`), and how the page
    /// looks (`page`). Answers how things stand.
    ///
    /// # Errors
    /// What the simulator refused.
    pub async fn version(&self, change: Value) -> Result<Value> {
        self.post("/version", change).await
    }

    /// What the server saw.
    ///
    /// # Errors
    /// When the simulator does not answer.
    pub async fn audit(&self) -> Result<Audit> {
        Ok(serde_json::from_value(self.get("/audit").await?)?)
    }

    /// Any `GET` of the control interface.
    ///
    /// # Errors
    /// An answer that is not a success, with its text.
    pub async fn get(&self, path: &str) -> Result<Value> {
        Self::answer(path, self.http.get(format!("{}{path}", self.base)).send().await?).await
    }

    /// Any `POST` of the control interface.
    ///
    /// # Errors
    /// An answer that is not a success, with its text.
    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        Self::answer(
            path,
            self.http
                .post(format!("{}{path}", self.base))
                .json(&body)
                .send()
                .await?,
        )
        .await
    }

    /// Any `DELETE` of the control interface.
    ///
    /// # Errors
    /// An answer that is not a success, with its text.
    pub async fn delete(&self, path: &str) -> Result<()> {
        let answer = self.http.delete(format!("{}{path}", self.base)).send().await?;
        Self::answer(path, answer).await.map(drop)
    }

    async fn answer(path: &str, answer: reqwest::Response) -> Result<Value> {
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{path}: {status}: {text}");
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))
    }
}
