//! What logs look like, and where spans go. The names are those of OpenTelemetry, as far as what they name is there.

use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::env::{Env, Secret};

/// Default of `OTEL_EXPORTER_OTLP_TIMEOUT`.
const TIMEOUT_DEFAULT_MS: u64 = 10_000;
/// Largest `OTEL_EXPORTER_OTLP_TIMEOUT`.
const TIMEOUT_MAX_MS: u64 = 60_000;
/// Where a receiver takes spans, below its address.
const TRACES_PATH: &str = "v1/traces";

/// `LOG_FORMAT`: how a line of the log looks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// For people.
    Text,
    /// For people at a terminal, JSON elsewhere.
    #[default]
    Auto,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            "auto" => Ok(Self::Auto),
            _ => Err("must be json, text or auto"),
        }
    }
}

/// Where spans go, and which are recorded.
#[derive(Clone, Debug)]
pub struct Tracing {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: the receiver; without one there are no spans.
    pub endpoint: Option<Url>,
    /// `OTEL_EXPORTER_OTLP_HEADERS`: what each post brings.
    pub headers: Headers,
    /// `OTEL_EXPORTER_OTLP_TIMEOUT`: how long one post may take.
    pub timeout: Duration,
    /// `OTEL_TRACES_SAMPLER_ARG`: of the traces that begin here, this part is recorded.
    pub ratio: f64,
    /// `OTEL_SERVICE_NAME`, where it is not to be the process's own.
    pub service: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`: what else all spans say.
    pub resource: Vec<(String, String)>,
}

/// Headers with secrets in them.
#[derive(Clone, Default)]
pub struct Headers(pub HeaderMap);

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Headers({})", self.0.len())
    }
}

impl Default for Tracing {
    /// No spans.
    fn default() -> Self {
        Self {
            endpoint: None,
            headers: Headers::default(),
            timeout: Duration::from_millis(TIMEOUT_DEFAULT_MS),
            ratio: 1.0,
            service: None,
            resource: Vec::new(),
        }
    }
}

impl Tracing {
    /// Reads the section.
    pub fn read(env: &mut Env) -> Self {
        let endpoint: Option<Secret> = env.optional("OTEL_EXPORTER_OTLP_ENDPOINT");
        let endpoint = endpoint.and_then(|text| endpoint_of(env, &text));
        let timeout = env.or("OTEL_EXPORTER_OTLP_TIMEOUT", TIMEOUT_DEFAULT_MS);
        if timeout == 0 || timeout > TIMEOUT_MAX_MS {
            let problem = format!("must be 1 to {TIMEOUT_MAX_MS} milliseconds");
            env.problem("OTEL_EXPORTER_OTLP_TIMEOUT", problem);
        }
        let ratio = env.or("OTEL_TRACES_SAMPLER_ARG", 1.0);
        if !(0.0..=1.0).contains(&ratio) {
            env.problem("OTEL_TRACES_SAMPLER_ARG", "must be 0 (none) to 1 (all)");
        }
        let pairs: Option<Pairs> = env.optional("OTEL_RESOURCE_ATTRIBUTES");
        let headers: Option<Headers> = env.optional("OTEL_EXPORTER_OTLP_HEADERS");
        Self {
            endpoint,
            headers: headers.unwrap_or_default(),
            timeout: Duration::from_millis(timeout),
            ratio,
            service: env.optional("OTEL_SERVICE_NAME"),
            resource: pairs.map_or_else(Vec::new, |pairs| pairs.0),
        }
    }

    /// Where spans are posted, if they are.
    pub fn traces_url(&self) -> Option<Url> {
        let mut url = self.endpoint.clone()?;
        let path = format!("{}/{TRACES_PATH}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Some(url)
    }

    /// What a process is called: by its own name, unless the setting says another.
    pub fn service<'a>(&'a self, own: &'a str) -> &'a str {
        self.service.as_deref().unwrap_or(own)
    }
}

fn endpoint_of(env: &mut Env, text: &Secret) -> Option<Url> {
    let url = Url::parse(text.expose()).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url.is_none() {
        let problem = "must be an http:// or https:// URL, such as http://collector:4318";
        env.problem("OTEL_EXPORTER_OTLP_ENDPOINT", problem);
    }
    url
}

/// `name=value` pairs, separated by commas.
struct Pairs(Vec<(String, String)>);

impl FromStr for Pairs {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair
                .split_once('=')
                .ok_or("must be name=value pairs, separated by commas")?;
            Ok((name.trim().to_owned(), decoded(value.trim())?))
        };
        pairs.map(pair).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Headers {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut headers = HeaderMap::new();
        for (name, value) in text.parse::<Pairs>()?.0 {
            let name = HeaderName::from_str(&name).map_err(|_| "has a name that no header may have")?;
            let mut value =
                HeaderValue::from_str(&value).map_err(|_| "has a value that no header may have")?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Self(headers))
    }
}

/// A value in which `%XX` stands for a byte.
fn decoded(value: &str) -> Result<String, &'static str> {
    const WRONG: &str =
        "has a value with a % that is not followed by two hexadecimal digits, or is not UTF-8";
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, more) = rest.split_at_checked(2).ok_or(WRONG)?;
        bytes.extend(hex::decode(digits).map_err(|_| WRONG)?);
        rest = more;
    }
    String::from_utf8(bytes).map_err(|_| WRONG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigError;

    fn read(values: &[(&str, &str)]) -> Result<Tracing, ConfigError> {
        let values = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut env = Env::new(values);
        let tracing = Tracing::read(&mut env);
        env.finish().map(|()| tracing)
    }

    #[test]
    fn nothing_is_exported_unless_a_receiver_is_named() {
        let tracing = read(&[("OTEL_SERVICE_NAME", "ours")]).unwrap();
        assert_eq!(tracing.traces_url(), None);
        assert_eq!(tracing.service("fanfare-api"), "ours");
        assert_eq!(Tracing::default().service("fanfare-api"), "fanfare-api");
    }

    #[test]
    fn the_settings_of_opentelemetry_are_taken_as_it_writes_them() {
        let tracing = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318/below/"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=Bearer%20abc, x-tenant=7",
            ),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment=test,team=a%2Cb",
            ),
        ])
        .unwrap();
        let url = tracing.traces_url().unwrap();
        assert_eq!(url.as_str(), "https://collector:4318/below/v1/traces");
        assert_eq!(tracing.headers.0["authorization"], "Bearer abc");
        assert_eq!(tracing.headers.0["x-tenant"], "7");
        assert!(!format!("{tracing:?}").contains("abc"), "{tracing:?}");
        assert_eq!(
            (tracing.timeout, tracing.ratio),
            (Duration::from_millis(2_500), 0.25)
        );
        let expected = [("deployment.environment", "test"), ("team", "a,b")];
        assert_eq!(
            tracing.resource,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn mistakes_are_named_and_not_repeated() {
        let error = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=%zz"),
        ])
        .unwrap_err();
        let names = [
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_TRACES_SAMPLER_ARG",
            "OTEL_RESOURCE_ATTRIBUTES",
        ];
        for name in names {
            assert!(
                error.0.iter().any(|line| line.starts_with(name)),
                "{name}: {error}"
            );
        }
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn a_format_is_one_of_three() {
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert_eq!("text".parse(), Ok(LogFormat::Text));
        assert_eq!("auto".parse(), Ok(LogFormat::Auto));
        assert!("JSON".parse::<LogFormat>().is_err());
    }
}
