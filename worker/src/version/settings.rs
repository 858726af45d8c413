//! The settings of the version.

use std::time::Duration;

use reqwest::Url;
use shared::config::{Env, read_seconds};
use shared::store::client_version::Pace;
use whatsapp::connection::ClientVersion;

/// What a worker is told from outside of the version.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `WHATSAPP_VERSION`: this one, whatever the deployment's is.
    pub fixed: Option<ClientVersion>,
    /// `WHATSAPP_VERSION_FETCH` and `WHATSAPP_VERSION_URL`.
    pub fetching: Fetching,
    /// How often things are done.
    pub paces: Paces,
}

/// Whether this worker takes turns at fetching, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetching {
    /// It never does; it still takes what others fetched.
    Off,
    /// From this page.
    From(Url),
}

/// How often things are done. The defaults are those of the product; tests have less time.
#[derive(Clone, Copy, Debug)]
pub struct Paces {
    /// Between two looks at the row.
    pub look: Duration,
    /// The same while the version is refused.
    pub look_refused: Duration,
    /// Between two fetches while nothing is wrong: a sixth more or less, drawn each time.
    pub fetch: Duration,
    /// Between two fetches otherwise.
    pub turn: Pace,
    /// The longest that one fetch takes.
    pub timeout: Duration,
}

impl Default for Paces {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(5),
            look_refused: Duration::from_secs(1),
            fetch: DAY,
            turn: Pace {
                retry: Duration::from_secs(15 * 60),
                refused: Duration::from_secs(30),
                // Refused sessions try again every hour or so: if none was refused for this long, none waits.
                refusal_lasts: Duration::from_secs(2 * 60 * 60),
                expiring: Duration::from_secs(6 * 60 * 60),
            },
            timeout: Duration::from_secs(20),
        }
    }
}

impl Default for Settings {
    /// Nothing is fetched.
    fn default() -> Self {
        Self {
            fixed: None,
            fetching: Fetching::Off,
            paces: Paces::default(),
        }
    }
}

impl Settings {
    /// Reads the section; mistakes are noted in `env`.
    pub fn read(env: &mut Env) -> Self {
        Self {
            fixed: env.optional("WHATSAPP_VERSION"),
            fetching: read_fetching(env),
            paces: read_paces(env),
        }
    }
}

fn read_paces(env: &mut Env) -> Paces {
    let mut paces = Paces::default();
    paces.turn.refused = read_seconds(env, "WHATSAPP_VERSION_RETRY_SECONDS", paces.turn.refused);
    let (least, most) = RETRY;
    if paces.turn.refused < least || paces.turn.refused > most {
        let problem = format!("must be {} to {} seconds", least.as_secs(), most.as_secs());
        env.problem("WHATSAPP_VERSION_RETRY_SECONDS", problem);
    }
    paces
}

/// A server of one's own has versions of its own: where `WHATSAPP_URL` names one, WhatsApp's page is not asked.
fn read_fetching(env: &mut Env) -> Fetching {
    let is_whatsapp = env.optional::<String>("WHATSAPP_URL").is_none();
    let wanted = env.or("WHATSAPP_VERSION_FETCH", true);
    let named: Option<Url> = env.optional("WHATSAPP_VERSION_URL");
    if named
        .as_ref()
        .is_some_and(|url| !matches!(url.scheme(), "http" | "https"))
    {
        env.problem("WHATSAPP_VERSION_URL", "must begin with http:// or https://");
    }
    let page = named.or_else(|| Url::parse(PAGE).ok().filter(|_| is_whatsapp));
    match page {
        Some(page) if wanted => Fetching::From(page),
        _ => Fetching::Off,
    }
}

/// Where WhatsApp Web says which version it is at (docs/PROTOCOL.md, "Version").
const PAGE: &str = "https://web.whatsapp.com/sw.js";
/// Smallest and largest `WHATSAPP_VERSION_RETRY_SECONDS`.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Settings, Result<(), shared::config::ConfigError>) {
        let pairs = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let mut env = Env::new(pairs);
        (Settings::read(&mut env), env.finish())
    }

    fn fetching(pairs: &[(&str, &str)]) -> Option<String> {
        let (settings, problems) = read(pairs);
        problems.unwrap();
        match settings.fetching {
            Fetching::Off => None,
            Fetching::From(url) => Some(url.into()),
        }
    }

    #[test]
    fn whatsapps_page_is_asked_about_whatsapp_alone() {
        assert_eq!(fetching(&[]).as_deref(), Some(PAGE));
        assert_eq!(fetching(&[("WHATSAPP_VERSION_FETCH", "false")]), None);
        let own = ("WHATSAPP_URL", "ws://127.0.0.1:1/ws/chat");
        assert_eq!(fetching(&[own]), None);
        let page = ("WHATSAPP_VERSION_URL", "http://127.0.0.1:2/sw.js");
        assert_eq!(fetching(&[own, page]).as_deref(), Some(page.1));
        assert_eq!(fetching(&[page]).as_deref(), Some(page.1));
        assert_eq!(fetching(&[page, ("WHATSAPP_VERSION_FETCH", "false")]), None);
    }

    #[test]
    fn a_version_is_three_numbers_and_mistakes_are_named() {
        let (settings, problems) = read(&[("WHATSAPP_VERSION", "2.3000.7")]);
        problems.unwrap();
        assert_eq!(settings.fixed, Some(ClientVersion::web(7)));
        let (_, problems) = read(&[
            ("WHATSAPP_VERSION", "2.3000"),
            ("WHATSAPP_VERSION_FETCH", "perhaps"),
            ("WHATSAPP_VERSION_URL", "ftp://x/sw.js"),
            ("WHATSAPP_VERSION_RETRY_SECONDS", "0"),
        ]);
        let problems = problems.unwrap_err().0.join("\n");
        for name in [
            "WHATSAPP_VERSION:",
            "WHATSAPP_VERSION_FETCH",
            "WHATSAPP_VERSION_URL",
            "WHATSAPP_VERSION_RETRY_SECONDS",
        ] {
            assert!(problems.contains(name), "{name} in {problems}");
        }
    }
}
