//! What panels ask, in PromQL.
//!
//! A query names its series with `{D}` or `{D,label="value"}`: of the deployment that the reader chose. What has no series
//! until it happens for the first time is zero as long as a process of its role is scraped, and nothing where none is: a zero
//! that nobody counted would look well.

/// The window of rates: Grafana makes it as wide as the scrapes and the picture want.
const WINDOW: &str = "$__rate_interval";

/// The role of a process: the label `job` of its scrapes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// `fanfare-api`.
    Api,
    /// `fanfare-worker session`.
    Session,
    /// `fanfare-worker webhook`.
    Webhook,
}

impl Role {
    const fn job(self) -> &'static str {
        match self {
            Self::Api => "fanfare-api",
            Self::Session => "fanfare-session",
            Self::Webhook => "fanfare-webhook",
        }
    }

    fn zero(self) -> String {
        format!(r#"sum(up{{D,job="{}"}} == 1) * 0"#, self.job())
    }
}

/// The expression for the deployment that the reader chose.
pub(super) fn here(expression: &str) -> String {
    expression.replace("{D", r#"{deployment=~"$deployment""#)
}

/// How often something happens in a second; `series` is a counter with its `{D}`.
pub(super) fn rate(series: &str, role: Role) -> String {
    or_zero(&format!("sum(rate({series}[{WINDOW}]))"), role)
}

/// As [`rate`], for each value of a label.
pub(super) fn rate_by(label: &str, series: &str, role: Role) -> String {
    or_none(
        &format!("sum by ({label}) (rate({series}[{WINDOW}]))"),
        label,
        role,
    )
}

/// How often something happened in the last hour.
pub(super) fn in_an_hour(label: &str, series: &str, role: Role) -> String {
    or_none(
        &format!("round(sum by ({label}) (increase({series}[1h])))"),
        label,
        role,
    )
}

/// What is zero where there is no series yet.
pub(super) fn or_zero(expression: &str, role: Role) -> String {
    format!("{expression} or on() {}", role.zero())
}

/// What is zero, under the name `none`, where there is no series yet.
pub(super) fn or_none(expression: &str, label: &str, role: Role) -> String {
    format!(
        r#"{expression} or on() label_replace({}, "{label}", "none", "", "")"#,
        role.zero()
    )
}

/// How long so many of a hundred take at the most; `series` is a histogram's name without `_bucket`.
pub(super) fn quantile(percent: u8, series: &str) -> String {
    let share = f64::from(percent) / 100.0;
    format!(
        "histogram_quantile({share}, sum by (le) (rate({}[{WINDOW}])))",
        bucket(series)
    )
}

/// As [`quantile`], for each value of a label.
pub(super) fn quantile_by(label: &str, percent: u8, series: &str) -> String {
    let share = f64::from(percent) / 100.0;
    format!(
        "histogram_quantile({share}, sum by (le, {label}) (rate({}[{WINDOW}])))",
        bucket(series)
    )
}

/// How long one takes on average, for each value of a label.
pub(super) fn mean_by(label: &str, series: &str) -> String {
    let of = |part: &str| format!("sum by ({label}) (rate({}[{WINDOW}]))", suffixed(series, part));
    format!("{} / {}", of("_sum"), of("_count"))
}

fn bucket(series: &str) -> String {
    suffixed(series, "_bucket")
}

/// `name{labels}` with a suffix behind the name.
fn suffixed(series: &str, suffix: &str) -> String {
    series.replacen('{', &format!("{suffix}{{"), 1)
}
