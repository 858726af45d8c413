//! The dashboards of `deploy/grafana`: what each shows, from which their files are made.
//!
//! A dashboard is rows of panels, and a panel is a title, its questions, a unit and the alert whose section of the runbook
//! it links to. Where a panel stands follows from its width. `deploy/grafana/dashboards/*.json` is what [`all`] answers: a
//! test compares them, and writes them where `UPDATE_DASHBOARDS` is set.

mod broker;
mod dashboard;
mod http;
mod overview;
mod panel;
mod query;
mod sending;
mod sessions;
mod webhooks;

pub use self::dashboard::Dashboard;
pub use self::panel::RUNBOOK;

/// All dashboards.
#[must_use]
pub fn all() -> Vec<Dashboard> {
    vec![
        overview::dashboard(),
        sending::dashboard(),
        sessions::dashboard(),
        broker::dashboard(),
        webhooks::dashboard(),
        http::dashboard(),
    ]
}
