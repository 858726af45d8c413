//! What panels ask, in PromQL.
//!
//! A query names its series with `{D}` or `{D,label="value"}`: of the deployment that the reader chose. A process shows its
//! counters from its start, with 0, so a panel without an answer says that nobody was asked. Where only what happens is shown
//! (`> 0`), the word `nothing` stands there otherwise, as long as a process of the role is scraped: a zero that nobody counted
//! would look well.

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

/// Of the deployment as a whole, one process of which shows it.
pub(super) fn once(series: &str) -> String {
    format!("sum(max by (deployment) ({series}))")
}

/// As [`once`], for each value of a label.
pub(super) fn once_by(label: &str, series: &str) -> String {
    format!("sum by ({label}) (max by (deployment, {label}) ({series}))")
}

/// Recipients by why they wait. Those whom nothing holds up but the gap between sends (`none`, `pace`) wait for their turn.
pub(super) fn recipients_waiting() -> String {
    let series = "max by (deployment, reason) (fanfare_recipients_waiting{D})";
    let named = format!(r#"label_replace({series}, "why", "$1", "reason", "(.*)")"#);
    or_none(
        &format!(r#"sum by (why) (label_replace({named}, "why", "their turn", "reason", "none|pace"))"#),
        "why",
        Role::Session,
    )
}

/// How often something happens in a second; `series` is a counter with its `{D}`.
pub(super) fn rate(series: &str) -> String {
    format!("sum(rate({series}[{WINDOW}]))")
}

/// As [`rate`], for each value of a label that has any.
pub(super) fn rate_by(label: &str, series: &str, role: Role) -> String {
    or_none(
        &format!("sum by ({label}) (rate({series}[{WINDOW}]))"),
        label,
        role,
    )
}

/// How often something happened in the last hour.
pub(super) fn in_an_hour(series: &str) -> String {
    format!("round(sum(increase({series}[1h])))")
}

/// As [`in_an_hour`], for each value of a label that has any.
pub(super) fn in_an_hour_by(label: &str, series: &str, role: Role) -> String {
    or_none(
        &format!("round(sum by ({label}) (increase({series}[1h])))"),
        label,
        role,
    )
}

/// What is more than zero, for each value of a label; or `nothing`.
pub(super) fn or_none(expression: &str, label: &str, role: Role) -> String {
    format!(
        r#"{expression} > 0 or on() label_replace({}, "{label}", "nothing", "", "")"#,
        role.zero()
    )
}

/// What part of `whole`, in five minutes, `part` is: both are counters. Nothing of nothing is nothing.
pub(super) fn share(part: &str, whole: &str, role: Role) -> String {
    format!(
        "sum(rate({part}[5m])) / (sum(rate({whole}[5m])) > 0) or on() {}",
        role.zero()
    )
}

/// How long so many of a hundred take at the most; `series` is a histogram with its `{D}`.
pub(super) fn quantile(percent: u8, series: &str) -> String {
    let share = f64::from(percent) / 100.0;
    format!(
        "histogram_quantile({share}, sum by (le) (rate({}[{WINDOW}])))",
        part("_bucket", series)
    )
}

/// As [`quantile`], for each value of a label.
pub(super) fn quantile_by(label: &str, percent: u8, series: &str) -> String {
    let share = f64::from(percent) / 100.0;
    format!(
        "histogram_quantile({share}, sum by (le, {label}) (rate({}[{WINDOW}])))",
        part("_bucket", series)
    )
}

/// How long one takes on average, for each value of a label.
pub(super) fn mean_by(label: &str, series: &str) -> String {
    let of = |name: &str| format!("sum by ({label}) (rate({}[{WINDOW}]))", part(name, series));
    format!("{} / {}", of("_sum"), of("_count"))
}

/// A part of a histogram: the suffix stands before its labels.
fn part(suffix: &str, series: &str) -> String {
    series.replacen('{', &format!("{suffix}{{"), 1)
}
