//! Which versions of WhatsApp Web the server takes, and what its page says of the current one.
//!
//! Facts: docs/PROTOCOL.md, "Version".

use std::time::Duration;

use serde::Serialize;
use whatsapp::proto::ClientPayload;
use whatsapp::time::Timestamp;
use whatsapp::version::ClientVersion;

/// Seconds between the build of the version that the page names and the moment it is asked.
const BUILT_SECONDS_AGO: u64 = 86_400;

const DAY: Duration = Duration::from_secs(86_400);

/// What the server holds of versions.
#[derive(Clone, Debug)]
pub(super) struct Versions {
    /// Clients of earlier ones are refused.
    min: ClientVersion,
    /// Clients of versions that are about as many days old are refused, if so.
    max_age_days: Option<u32>,
    /// What the page names.
    published: ClientVersion,
    page: Page,
    asked: u64,
    refused: u64,
}

impl Default for Versions {
    /// Takes all versions, and publishes the one that the library knows.
    fn default() -> Self {
        Self {
            min: ClientVersion {
                primary: 0,
                secondary: 0,
                tertiary: 0,
            },
            max_age_days: None,
            published: ClientVersion::KNOWN,
            page: Page::Script,
            asked: 0,
            refused: 0,
        }
    }
}

/// How the page looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// A script, its JSON in a text.
    Script,
    /// A document, its JSON as it is.
    Document,
    /// A page that names no version.
    Rubbish,
    /// An error.
    Error,
    /// No answer at all.
    Hanging,
}

impl Page {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Script,
        Self::Document,
        Self::Rubbish,
        Self::Error,
        Self::Hanging,
    ];

    /// The name that it goes by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Document => "document",
            Self::Rubbish => "rubbish",
            Self::Error => "error",
            Self::Hanging => "hanging",
        }
    }
}

/// What is to be changed; what is absent stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct VersionChange {
    /// The earliest version that is taken from now on. Who is connected stays.
    pub min: Option<ClientVersion>,
    /// How many days old a version may be, by its number; 0 for any age.
    pub max_age_days: Option<u32>,
    /// The version that the page names.
    pub published: Option<ClientVersion>,
    /// How the page looks.
    pub page: Option<Page>,
}

/// How things stand, as `GET /version` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct VersionInfo {
    /// The earliest version that is taken.
    pub min: String,
    /// How many days old a version may be.
    pub max_age_days: Option<u32>,
    /// The version that the page names.
    pub published: String,
    /// How the page looks.
    pub page: &'static str,
    /// How often the page was asked for.
    pub asked: u64,
    /// How many clients were refused for their version.
    pub refused: u64,
}

impl Versions {
    /// Whether a client's version is taken now.
    pub(super) fn takes(&mut self, payload: &ClientPayload, now: Timestamp) -> bool {
        let agent = payload.user_agent.as_ref();
        let version = agent.and_then(|agent| agent.app_version.as_ref());
        let version = version.map(|version| ClientVersion {
            primary: version.primary(),
            secondary: version.secondary(),
            tertiary: version.tertiary(),
        });
        let is_young = |version: ClientVersion| {
            let age = now.since(version.estimated_since(now));
            self.max_age_days
                .is_none_or(|days| age < DAY.saturating_mul(days))
        };
        let is_taken = version.is_some_and(|version| version >= self.min && is_young(version));
        self.refused += u64::from(!is_taken);
        is_taken
    }

    /// Changes what is to be changed; answers how things stand.
    pub(super) fn change(&mut self, change: VersionChange) -> VersionInfo {
        self.min = change.min.unwrap_or(self.min);
        if let Some(days) = change.max_age_days {
            self.max_age_days = Some(days).filter(|days| *days > 0);
        }
        self.published = change.published.unwrap_or(self.published);
        self.page = change.page.unwrap_or(self.page);
        VersionInfo {
            min: self.min.to_string(),
            max_age_days: self.max_age_days,
            published: self.published.to_string(),
            page: self.page.name(),
            asked: self.asked,
            refused: self.refused,
        }
    }

    /// The page as it is asked for now, and how it looks.
    pub(super) fn page(&mut self, unix_seconds: u64) -> (Page, String) {
        self.asked += 1;
        let (revision, built) = (self.published.tertiary, unix_seconds - BUILT_SECONDS_AGO);
        let data = format!(
            r#"{{"SiteData":{{"server_revision":{revision},"client_revision":{revision},"push_phase":"C3","__spin_r":{revision},"__spin_b":"trunk","__spin_t":{built}}}}}"#
        );
        let text = match self.page {
            Page::Script => format!("self.__swData=JSON.parse(\"{}\");", data.replace('"', "\\\"")),
            Page::Document => format!("<!DOCTYPE html><script>requireLazy({data})</script>"),
            _ => "<!DOCTYPE html><title>Error</title>Sorry, something went wrong.".to_owned(),
        };
        (self.page, text)
    }
}
