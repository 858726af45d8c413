//! One panel: what it asks Prometheus, in which unit it shows the answer, and where its reader goes on.

use serde_json::{Value, json};

use super::query::here;

/// What panels link to, with the name of an alert behind it.
pub const RUNBOOK: &str = "https://github.com/fanfare-project/fanfare/blob/main/docs/RUNBOOK.md";

/// Columns from which on there is room for names beside the lines.
const WIDE: u32 = 12;

/// What is on the axis of a panel. Each has a unit of Grafana's and, on an axis, words.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    /// So many of these.
    Count(&'static str),
    /// So many of these a second.
    PerSecond(&'static str),
    /// A time, or how long something took.
    Seconds,
    /// Of memory.
    Bytes,
    /// A part of the whole, 0 to 1.
    Share,
    /// 1 or 0.
    IsSo,
}

impl Unit {
    /// The unit's name in Grafana.
    const fn code(self) -> &'static str {
        match self {
            Self::Count(_) => "short",
            Self::PerSecond(_) => "suffix:/s",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::Share => "percentunit",
            Self::IsSo => "none",
        }
    }

    /// How far an axis goes at least: nothing at all should look like nothing.
    const fn least(self) -> f64 {
        match self {
            Self::Count(_) | Self::IsSo => 1.0,
            Self::PerSecond(_) => 0.1,
            Self::Seconds => 0.01,
            Self::Bytes | Self::Share => 0.0,
        }
    }

    /// What stands beside the axis.
    fn label(self) -> String {
        match self {
            Self::Count(what) => what.to_owned(),
            Self::PerSecond(what) => format!("{what} per second"),
            Self::Seconds => "time".to_owned(),
            Self::Bytes => "memory".to_owned(),
            Self::Share => "share".to_owned(),
            Self::IsSo => "1: yes, 0: no".to_owned(),
        }
    }
}

/// How a panel shows what it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The value now, or one for each name: a tile that is coloured by its thresholds.
    Tile,
    /// As [`Kind::Tile`], the names alone.
    Names,
    /// Lines over time.
    Lines,
    /// Areas over time, one upon the other: their sum means something.
    Areas,
}

/// A colour from a value on.
type Threshold = (Option<f64>, &'static str);

/// Names and their colours.
pub(super) type Paint = &'static [(&'static str, &'static str)];

/// A panel.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    title: &'static str,
    kind: Kind,
    unit: Unit,
    pub(super) width: u32,
    pub(super) height: u32,
    about: &'static str,
    queries: Vec<(String, &'static str)>,
    alert: Option<&'static str>,
    thresholds: Vec<Threshold>,
    paint: Paint,
}

impl Panel {
    fn new(title: &'static str, kind: Kind, unit: Unit, (width, height): (u32, u32)) -> Self {
        Self {
            title,
            kind,
            unit,
            width,
            height,
            about: "",
            queries: Vec::new(),
            alert: None,
            thresholds: vec![(None, "text")],
            paint: &[],
        }
    }

    /// What holds now, in large figures.
    pub(super) fn tile(title: &'static str, unit: Unit) -> Self {
        Self::new(title, Kind::Tile, unit, (4, 4))
    }

    /// The names of what there is now.
    pub(super) fn names(title: &'static str) -> Self {
        Self::new(title, Kind::Names, Unit::Count(""), (8, 4))
    }

    /// Lines over time.
    pub(super) fn lines(title: &'static str, unit: Unit) -> Self {
        Self::new(title, Kind::Lines, unit, (12, 8))
    }

    /// Areas over time, one upon the other.
    pub(super) fn areas(title: &'static str, unit: Unit) -> Self {
        Self::new(title, Kind::Areas, unit, (12, 8))
    }

    /// Of the 24 columns of a dashboard.
    pub(super) const fn wide(mut self, width: u32) -> Self {
        self.width = width;
        self
    }

    /// One question, and what its answers are called; `{{label}}` stands for a label's value.
    pub(super) fn ask(mut self, expression: impl AsRef<str>, legend: &'static str) -> Self {
        self.queries.push((here(expression.as_ref()), legend));
        self
    }

    /// What is seen here, and what it means when it is not as usual.
    pub(super) const fn about(mut self, text: &'static str) -> Self {
        self.about = text;
        self
    }

    /// The alert that watches the same, whose section of the runbook the panel links to.
    pub(super) const fn alert(mut self, name: &'static str) -> Self {
        self.alert = Some(name);
        self
    }

    /// Green below `limit`, red from there on.
    pub(super) fn bad_from(mut self, limit: f64) -> Self {
        self.thresholds = vec![(None, "green"), (Some(limit), "red")];
        self
    }

    /// Green below `limit`, orange from there on.
    pub(super) fn odd_from(mut self, limit: f64) -> Self {
        self.thresholds = vec![(None, "green"), (Some(limit), "orange")];
        self
    }

    /// Red below `limit`, green from there on.
    pub(super) fn bad_below(mut self, limit: f64) -> Self {
        self.thresholds = vec![(None, "red"), (Some(limit), "green")];
        self
    }

    /// Names that have a colour of their own.
    pub(super) const fn paint(mut self, paint: Paint) -> Self {
        self.paint = paint;
        self
    }

    /// The panel as Grafana reads it.
    pub(super) fn json(&self, id: usize, x: u32, y: u32) -> Value {
        let is_tile = matches!(self.kind, Kind::Tile | Kind::Names);
        json!({
            "id": id,
            "type": if is_tile { "stat" } else { "timeseries" },
            "title": self.title,
            "description": self.about,
            "datasource": datasource(),
            "gridPos": { "x": x, "y": y, "w": self.width, "h": self.height },
            "links": self.alert.map(link).into_iter().collect::<Vec<_>>(),
            "targets": self.targets(is_tile),
            "fieldConfig": { "defaults": self.defaults(is_tile), "overrides": self.overrides() },
            "options": if is_tile { self.tile_options() } else { self.series_options() },
        })
    }

    fn targets(&self, is_tile: bool) -> Vec<Value> {
        let letters = 'A'..='Z';
        let target = |(letter, (expression, legend)): (char, &(String, &str))| {
            json!({
                "refId": letter.to_string(), "datasource": datasource(), "expr": expression, "legendFormat": legend,
                "instant": is_tile, "range": !is_tile,
            })
        };
        letters.zip(&self.queries).map(target).collect()
    }

    fn defaults(&self, is_tile: bool) -> Value {
        let steps = self.thresholds.iter();
        let steps: Vec<Value> = steps
            .map(|(from, color)| json!({ "value": from, "color": color }))
            .collect();
        let mut defaults = json!({
            "unit": self.unit.code(),
            "color": { "mode": if is_tile { "thresholds" } else { "palette-classic" } },
            "thresholds": { "mode": "absolute", "steps": steps },
        });
        if !is_tile {
            defaults["min"] = 0.into();
            defaults["custom"] = self.drawing();
        }
        if matches!(self.unit, Unit::Share) {
            defaults["max"] = 1.into();
        }
        if is_tile {
            defaults["noValue"] = "no answer".into();
        }
        if is_tile && matches!(self.unit, Unit::Count(_)) {
            // 1,234 rather than 1.23 K.
            defaults["unit"] = "locale".into();
        }
        defaults
    }

    fn drawing(&self) -> Value {
        let is_stacked = self.kind == Kind::Areas;
        json!({
            "axisLabel": self.unit.label(),
            "axisSoftMax": self.unit.least(),
            "lineWidth": 1,
            "fillOpacity": if is_stacked { 60 } else { 8 },
            "showPoints": "never",
            "spanNulls": false,
            "stacking": { "mode": if is_stacked { "normal" } else { "none" }, "group": "A" },
        })
    }

    fn overrides(&self) -> Vec<Value> {
        let painted = |(name, color): &(&str, &str)| {
            json!({
                "matcher": { "id": "byName", "options": name },
                "properties": [{ "id": "color", "value": { "mode": "fixed", "fixedColor": color } }],
            })
        };
        self.paint.iter().map(painted).collect()
    }

    fn series_options(&self) -> Value {
        // Below a narrow panel a table has room for two names.
        let (placement, mode) = match self.width < WIDE {
            true => ("bottom", "list"),
            false => ("right", "table"),
        };
        json!({
            "legend": { "displayMode": mode, "placement": placement, "calcs": ["lastNotNull", "max"], "showLegend": true },
            "tooltip": { "mode": "multi", "sort": "desc" },
        })
    }

    fn tile_options(&self) -> Value {
        let text = if self.kind == Kind::Names { "name" } else { "auto" };
        json!({
            "colorMode": "background", "graphMode": "none", "justifyMode": "center", "textMode": text,
            "orientation": "auto", "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
        })
    }
}

fn link(alert: &str) -> Value {
    json!({ "title": format!("What to do: {alert}"), "url": format!("{RUNBOOK}#{}", alert.to_lowercase()), "targetBlank": true })
}

/// The datasource that the reader chose.
fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}
