//! A dashboard: rows of panels, their places, and the file that Grafana reads.

use serde_json::{Value, json};

use super::panel::Panel;

/// The columns of a dashboard.
const COLUMNS: u32 = 24;
/// The version of Grafana's schema that this is written in; newer Grafanas read it.
const SCHEMA: u32 = 39;
/// What all our dashboards are found by.
const TAG: &str = "fanfare";

/// One dashboard.
#[derive(Debug)]
pub struct Dashboard {
    /// Its name in addresses, and its file's: `overview`.
    pub name: &'static str,
    title: &'static str,
    about: &'static str,
    by_shard: bool,
    rows: Vec<Row>,
}

/// Panels under a heading.
#[derive(Debug)]
struct Row {
    title: &'static str,
    panels: Vec<Panel>,
}

impl Dashboard {
    pub(super) const fn new(name: &'static str, title: &'static str, about: &'static str) -> Self {
        Self {
            name,
            title,
            about,
            by_shard: false,
            rows: Vec::new(),
        }
    }

    /// The reader may choose shards.
    pub(super) const fn by_shard(mut self) -> Self {
        self.by_shard = true;
        self
    }

    pub(super) fn row<const N: usize>(mut self, title: &'static str, panels: [Panel; N]) -> Self {
        self.rows.push(Row {
            title,
            panels: panels.into(),
        });
        self
    }

    /// The file as Grafana reads it.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "uid": format!("{TAG}-{}", self.name),
            "title": format!("Fanfare: {}", self.title),
            "description": self.about,
            "tags": [TAG],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": { "from": "now-30m", "to": "now" },
            "timezone": "browser",
            "links": [{
                "type": "dashboards", "title": "Dashboards", "tags": [TAG], "asDropdown": false, "includeVars": true,
                "keepTime": true,
            }],
            "templating": { "list": self.variables() },
            "panels": self.panels(),
        })
    }

    fn variables(&self) -> Vec<Value> {
        let mut variables = vec![
            json!({ "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus" }),
            variable(
                "deployment",
                "Deployment",
                "label_values(up{job=~\"fanfare-.*\"}, deployment)",
            ),
        ];
        if self.by_shard {
            let query = "label_values(fanfare_shard_queue_messages{deployment=~\"$deployment\"}, shard)";
            variables.push(variable("shard", "Shard", query));
        }
        variables
    }

    fn panels(&self) -> Vec<Value> {
        let mut out = Vec::new();
        let mut y = 0;
        for row in &self.rows {
            out.push(json!({
                "id": out.len() + 1, "type": "row", "title": row.title, "collapsed": false, "panels": [],
                "gridPos": { "x": 0, "y": y, "w": COLUMNS, "h": 1 },
            }));
            y += 1;
            let (mut x, mut height) = (0, 0);
            for panel in &row.panels {
                if x + panel.width > COLUMNS {
                    (x, y, height) = (0, y + height, 0);
                }
                out.push(panel.json(out.len() + 1, x, y));
                x += panel.width;
                height = height.max(panel.height);
            }
            y += height;
        }
        out
    }
}

/// A variable with the values of a label, all of them until the reader chooses.
fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "name": name, "label": label, "type": "query",
        "datasource": { "type": "prometheus", "uid": "${datasource}" },
        "query": { "query": query, "refId": name },
        "refresh": 2, "sort": 3, "multi": true, "includeAll": true, "allValue": ".*",
        "current": { "text": ["All"], "value": ["$__all"] },
    })
}
