//! What a webhook can be given, and what is wrong with it.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::Rng;
use serde::{Deserialize, Serialize};
use shared::config::Secret;
use shared::event::EventName;
use shared::id::{Token, WebhookId};
use shared::store::webhooks::registry::{Change, NewWebhook, Rotation};
use shared::store::webhooks::{self, CustomHeader, Dialect, EVENTS_MAX, Limits, TOKENS_MAX};
use utoipa::ToSchema;

use crate::app::App;
use crate::extract;
use crate::problem::{Code, Problem};

/// Bytes of a secret that we choose.
const SECRET_BYTES: usize = 32;

/// Fewest and most bytes of a secret that the client chooses, by Standard Webhooks.
const SECRET_MIN: usize = 24;
const SECRET_MAX: usize = 64;

/// What a secret begins with.
const SECRET_PREFIX: &str = "whsec_";

/// What stands for a secret that we are to choose.
const ROTATE: &str = "rotate";

/// What stands for all sessions, and with events for all of them.
const ALL: &str = "*";

/// How long an old secret signs beside a new one, unless something else is asked for; and the longest.
const OLD_SECRET_DEFAULT: u32 = 86_400;
const OLD_SECRET_MAX: u32 = 30 * 86_400;

/// Most headers of its own, and most bytes of one's value.
const HEADERS_MAX: usize = 16;
const HEADER_MAX_BYTES: usize = 2_048;

/// Limits of `maxPerSecond` and `maxConcurrent`.
const PER_SECOND: std::ops::RangeInclusive<f64> = 0.01..=1_000.0;
const CONCURRENT_MAX: u16 = 16;

/// Headers that are ours, or the connection's.
const TAKEN_HEADERS: [&str; 13] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
const TAKEN_PREFIXES: [&str; 2] = ["webhook-", "proxy-"];

/// The body of `POST /v1/webhooks`.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateWebhook {
    /// Where to post: http or https.
    pub url: String,
    /// The session whose events it wants; all sessions when absent.
    pub token: Option<String>,
    /// The sessions whose events it wants, in place of `token`; `["*"]` means all.
    pub tokens: Option<Vec<String>>,
    /// Names of the events it wants, `*` at the end of a name standing for any rest; all events when absent.
    pub events: Option<Vec<String>>,
    /// `whsec_` and 24 to 64 bytes in base64; chosen for you when absent.
    pub secret: Option<String>,
    /// Headers of its own, such as `Authorization`: at most 16. They are stored sealed and not shown again.
    pub headers: Option<BTreeMap<String, String>>,
    /// Most attempts that one webhook worker begins in a second, 0.01 to 1000; no limit when absent or 0.
    pub max_per_second: Option<f64>,
    /// Most attempts that one webhook worker has under way, 1 to 16; 16 when absent or 0.
    pub max_concurrent: Option<u16>,
}

/// The body of `PATCH /v1/webhooks/{webhook}`: what is absent stays as it is.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateWebhook {
    /// Where to post: http or https.
    pub url: Option<String>,
    /// The sessions whose events it wants; `["*"]` or null means all.
    pub tokens: Option<Vec<String>>,
    /// Names of the events it wants; `["*"]` or null means all.
    pub events: Option<Vec<String>>,
    /// Whether anything is sent to it. What waits for one that is enabled again is sent then, in its order.
    pub enabled: Option<bool>,
    /// A new secret, or `rotate` for one that is chosen for you; shown in this answer only.
    pub secret: Option<String>,
    /// With `secret`: for how many seconds the old one signs too, at most 30 days; a day when absent.
    pub old_secret_seconds: Option<u32>,
    /// Headers of its own, in place of all it had; null for none.
    pub headers: Option<BTreeMap<String, String>>,
    /// Most attempts that one webhook worker begins in a second; 0 or null for no limit.
    pub max_per_second: Option<f64>,
    /// Most attempts that one webhook worker has under way; 0 or null for 16.
    pub max_concurrent: Option<u16>,
}

impl CreateWebhook {
    /// The webhook that this asks for.
    ///
    /// # Errors
    /// 400 that names the field at fault, 404 for a session that is not.
    pub(super) async fn checked(self, app: &App) -> Result<NewWebhook, Problem> {
        let url = url(app, self.url)?;
        let tokens = match (self.token, self.tokens) {
            (Some(_), Some(_)) => return Err(Problem::field("tokens", "must not stand beside token")),
            (Some(token), None) => vec![token_of_session(app, "token", &token).await?],
            (None, Some(tokens)) => sessions(app, &tokens).await?,
            (None, None) => Vec::new(),
        };
        Ok(NewWebhook {
            id: WebhookId::fresh(&mut app.random.fork()),
            tokens,
            url,
            secret: match self.secret {
                Some(secret) => chosen_secret(secret)?,
                None => new_secret(&mut app.random.fork()),
            },
            headers: headers(self.headers.unwrap_or_default())?,
            events: self.events.map(events).transpose()?.unwrap_or_default(),
            dialect: Dialect::Standard,
            limits: Limits {
                max_per_second: per_second(self.max_per_second)?.filter(|most| *most > 0.0),
                max_concurrent: concurrent(self.max_concurrent)?.filter(|most| *most > 0),
            },
        })
    }
}

impl UpdateWebhook {
    /// Reads a body: null puts back what a webhook has from which nothing is asked.
    ///
    /// # Errors
    /// 400 that names the field at fault.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let mut fields = extract::object(bytes)?;
        for (name, value) in &mut fields {
            if value.is_null() {
                *value = match name.as_str() {
                    "tokens" | "events" => serde_json::json!([ALL]),
                    "headers" => serde_json::json!({}),
                    "maxPerSecond" | "maxConcurrent" => 0.into(),
                    _ => return Err(Problem::field(name, "must not be null")),
                };
            }
        }
        Ok(shared::job::from_fields(fields)?)
    }

    /// Whether it asks for anything but `enabled`.
    pub(super) fn is_of_more_than_enabled(&self) -> bool {
        self.url.is_some()
            || self.tokens.is_some()
            || self.events.is_some()
            || self.secret.is_some()
            || self.headers.is_some()
            || self.max_per_second.is_some()
            || self.max_concurrent.is_some()
    }

    /// The change that this asks for.
    ///
    /// # Errors
    /// 400 that names the field at fault, 404 for a session that is not.
    pub(super) async fn checked(self, app: &App) -> Result<Change, Problem> {
        let tokens = match &self.tokens {
            Some(tokens) => Some(sessions(app, tokens).await?),
            None => None,
        };
        Ok(Change {
            url: self.url.map(|text| url(app, text)).transpose()?,
            tokens,
            events: self.events.map(events).transpose()?,
            headers: self.headers.map(headers).transpose()?,
            max_per_second: per_second(self.max_per_second)?,
            max_concurrent: concurrent(self.max_concurrent)?,
            rotation: rotation(app, self.secret, self.old_secret_seconds)?,
            enabled: self.enabled,
        })
    }
}

fn url(app: &App, url: String) -> Result<String, Problem> {
    match app.reach.check(&url) {
        Ok(_) => Ok(url),
        Err(error) => Err(Problem::field("url", error.to_string())),
    }
}

/// The sessions of these tokens; none where all are meant.
async fn sessions(app: &App, tokens: &[String]) -> Result<Vec<Token>, Problem> {
    if tokens.is_empty() || tokens.len() > TOKENS_MAX {
        let problem = format!("must name 1 to {TOKENS_MAX} sessions, or be [\"{ALL}\"] for all");
        return Err(Problem::field("tokens", problem));
    }
    if let [all] = tokens
        && all == ALL
    {
        return Ok(Vec::new());
    }
    let mut known = Vec::with_capacity(tokens.len());
    for (index, token) in tokens.iter().enumerate() {
        let token = token_of_session(app, &format!("tokens[{index}]"), token).await?;
        // Twice would be posted twice.
        if !known.contains(&token) {
            known.push(token);
        }
    }
    Ok(known)
}

async fn token_of_session(app: &App, field: &str, text: &str) -> Result<Token, Problem> {
    let token: Token = extract::text(field, text)?;
    match app.tokens.session(&app.store, token).await {
        Ok(addressee) => Ok(addressee.token),
        Err(problem) if problem.code() == Code::SessionNotFound => {
            Err(problem.with_field(field, "no session has this token"))
        }
        Err(problem) => Err(problem),
    }
}

fn events(events: Vec<String>) -> Result<Vec<String>, Problem> {
    if events.is_empty() || events.len() > EVENTS_MAX {
        let problem = format!(
            "must name 1 to {EVENTS_MAX} events, or be left out for all; each {}",
            EventName::must_be()
        );
        return Err(Problem::field("events", problem));
    }
    for (index, wanted) in events.iter().enumerate() {
        if !EventName::ALL
            .iter()
            .any(|event| webhooks::matches(wanted, event.as_str()))
        {
            return Err(Problem::field(format!("events[{index}]"), EventName::must_be()));
        }
    }
    Ok(events)
}

fn headers(headers: BTreeMap<String, String>) -> Result<Vec<CustomHeader>, Problem> {
    if headers.len() > HEADERS_MAX {
        return Err(Problem::field(
            "headers",
            format!("must be at most {HEADERS_MAX}"),
        ));
    }
    let mut checked: Vec<CustomHeader> = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let problem = |problem: &str| Err(Problem::field(format!("headers.{name}"), problem));
        let Ok(name) = HeaderName::try_from(name.as_str()) else {
            return problem("is no name of a header");
        };
        let is_taken = TAKEN_HEADERS.contains(&name.as_str())
            || TAKEN_PREFIXES
                .iter()
                .any(|prefix| name.as_str().starts_with(prefix));
        if is_taken {
            return problem("is not yours to set");
        }
        if value.len() > HEADER_MAX_BYTES || HeaderValue::from_str(&value).is_err() {
            return problem("must be at most 2048 bytes that a header can hold");
        }
        if checked.iter().any(|other| other.name == name.as_str()) {
            return problem("is there twice");
        }
        checked.push(CustomHeader {
            name: name.as_str().to_owned(),
            value: Secret::new(value),
        });
    }
    Ok(checked)
}

fn per_second(most: Option<f64>) -> Result<Option<f64>, Problem> {
    match most {
        Some(most) if most != 0.0 && !PER_SECOND.contains(&most) => {
            let problem = format!(
                "must be {} to {}, or 0 for no limit",
                PER_SECOND.start(),
                PER_SECOND.end()
            );
            Err(Problem::field("maxPerSecond", problem))
        }
        most => Ok(most),
    }
}

fn concurrent(most: Option<u16>) -> Result<Option<u16>, Problem> {
    match most {
        Some(most) if most > CONCURRENT_MAX => {
            let problem = format!("must be 1 to {CONCURRENT_MAX}, or 0 for {CONCURRENT_MAX}");
            Err(Problem::field("maxConcurrent", problem))
        }
        most => Ok(most),
    }
}

fn rotation(app: &App, secret: Option<String>, seconds: Option<u32>) -> Result<Option<Rotation>, Problem> {
    let Some(secret) = secret else {
        return match seconds {
            Some(_) => Err(Problem::field("oldSecretSeconds", "must stand beside secret")),
            None => Ok(None),
        };
    };
    let seconds = seconds.unwrap_or(OLD_SECRET_DEFAULT);
    if seconds > OLD_SECRET_MAX {
        let problem = format!("must be at most {OLD_SECRET_MAX}");
        return Err(Problem::field("oldSecretSeconds", problem));
    }
    let secret = match secret.as_str() {
        ROTATE => new_secret(&mut app.random.fork()),
        _ => chosen_secret(secret)?,
    };
    Ok(Some(Rotation {
        secret,
        keep_old: Duration::from_secs(u64::from(seconds)),
    }))
}

fn chosen_secret(secret: String) -> Result<Secret, Problem> {
    let bytes = secret
        .strip_prefix(SECRET_PREFIX)
        .and_then(|text| STANDARD.decode(text).ok());
    match bytes {
        Some(bytes) if (SECRET_MIN..=SECRET_MAX).contains(&bytes.len()) => Ok(Secret::new(secret)),
        _ => {
            let problem = format!("must be {SECRET_PREFIX} and {SECRET_MIN} to {SECRET_MAX} bytes in base64");
            Err(Problem::field("secret", problem))
        }
    }
}

fn new_secret(rng: &mut impl Rng) -> Secret {
    let mut bytes = [0_u8; SECRET_BYTES];
    rng.fill_bytes(&mut bytes);
    Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes)))
}
