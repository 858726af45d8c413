// A dashboard, laid out by its own places and drawn by the components of Grafana: its units, its colours, its lines.
// What is not drawn: variables, links and annotations.
import React from "react";
import { createRoot } from "react-dom/client";
import { flushSync } from "react-dom";
import { FieldType, ThemeContext, createTheme, dateTime, getDisplayProcessor, getDisplayValueAlignmentFactors } from "@grafana/data";
import { BigValue, TimeSeries } from "@grafana/ui";

const theme = createTheme({ colors: { mode: "dark" } });
const COLUMN = 66;
const ROW = 38;
const GAP = 8;
const TITLE = 34;

/** What a series is called: the legend of its question with its labels in it. */
function nameOf(legend, labels) {
  return legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? "");
}

/** The settings of one series: those of its panel, and those of its name. */
function configOf(panel, name) {
  const { defaults, overrides } = panel.fieldConfig;
  const own = overrides.filter((one) => one.matcher.options === name).flatMap((one) => one.properties);
  return { ...defaults, ...Object.fromEntries(own.map(({ id, value }) => [id, value])), displayName: name };
}

function fieldOf(panel, name, labels, values, index) {
  const field = { name: "Value", type: FieldType.number, labels, values, config: configOf(panel, name), state: { seriesIndex: index, displayName: name } };
  field.display = getDisplayProcessor({ field, theme, timeZone: "utc" });
  return field;
}

function Series({ panel, answers, range, step, width, height }) {
  let index = 0;
  const frames = answers.flatMap(({ legend, result }) => result.map(({ metric, values }) => {
    const time = { name: "Time", type: FieldType.time, config: { interval: step * 1000 }, values: values.map(([at]) => at * 1000) };
    time.display = getDisplayProcessor({ field: time, theme, timeZone: "utc" });
    const numbers = values.map(([, value]) => (Number.isFinite(Number(value)) ? Number(value) : null));
    return { length: values.length, refId: "A", fields: [time, fieldOf(panel, nameOf(legend, metric), metric, numbers, index++)] };
  }));
  const timeRange = { from: dateTime(range.from * 1000), to: dateTime(range.to * 1000), raw: { from: "", to: "" } };
  return <TimeSeries frames={frames} timeRange={timeRange} timeZone="utc" width={width} height={height} options={{}}
    legend={{ ...panel.options.legend, isVisible: true }} />;
}

function Tiles({ panel, answers, width, height }) {
  const tiles = answers.flatMap(({ legend, result }) => result.map(({ metric, value }) => {
    const name = nameOf(legend, metric);
    const field = fieldOf(panel, name, metric, [Number(value[1])], 0);
    return { ...field.display(Number(value[1])), title: name };
  }));
  const alignmentFactors = getDisplayValueAlignmentFactors?.(tiles.map((display) => ({ display, name: "", field: {} })));
  const each = width / Math.max(tiles.length, 1);
  return <div style={{ display: "flex", gap: 4 }}>{tiles.map((value, at) => <BigValue key={at} theme={theme} value={value} width={each - 4} height={height}
    alignmentFactors={alignmentFactors} colorMode={panel.options.colorMode} graphMode="none" justifyMode="center" textMode={panel.options.textMode} count={tiles.length} />)}</div>;
}

function Panel({ panel, answers, range, step }) {
  const { x, y, w, h } = panel.gridPos;
  const size = { width: w * COLUMN - GAP, height: h * ROW - GAP };
  const place = { position: "absolute", left: x * COLUMN, top: y * ROW, ...size };
  if (panel.type === "row") return <h2 style={{ ...place, margin: 0, fontSize: 16, lineHeight: `${ROW}px` }}>{panel.title}</h2>;
  const inner = { width: size.width - 2 * GAP, height: size.height - TITLE - GAP };
  const Kind = panel.type === "stat" ? Tiles : Series;
  const isEmpty = answers.every(({ result }) => result.length === 0);
  return <section style={{ ...place, background: theme.colors.background.primary, border: `1px solid ${theme.colors.border.weak}`, boxSizing: "border-box" }}>
    <h3 style={{ margin: 0, padding: "0 8px", fontSize: 14, fontWeight: 500, lineHeight: `${TITLE}px`, whiteSpace: "nowrap", overflow: "hidden" }}>{panel.title}</h3>
    <div style={{ padding: "0 8px" }}>{isEmpty ? panel.fieldConfig.defaults.noValue ?? "No data" : <Kind {...{ panel, answers, range, step }} {...inner} />}</div>
  </section>;
}

const STYLE = "* { box-sizing: border-box } button { color: inherit; font: inherit; background: none; border: 0; padding: 0 } th:first-child { font-size: 0 }";

window.show = ({ dashboard, answers, range, step }) => {
  const rows = Math.max(...dashboard.panels.map(({ gridPos: { y, h } }) => y + h));
  const all = <ThemeContext.Provider value={theme}>
    <style>{STYLE}</style>
    <h1 style={{ margin: 0, fontSize: 20, lineHeight: "44px" }}>{dashboard.title}</h1>
    <div style={{ position: "relative", width: 24 * COLUMN, height: rows * ROW }}>
      {dashboard.panels.map((panel) => <Panel key={panel.id} panel={panel} answers={answers[panel.id] ?? []} range={range} step={step} />)}
    </div>
  </ThemeContext.Provider>;
  document.body.style.cssText = `margin: 0; padding: 8px 16px; background: ${theme.colors.background.canvas}; color: ${theme.colors.text.primary}; font-family: Inter, Helvetica, Arial, sans-serif`;
  flushSync(() => createRoot(document.getElementById("root")).render(all));
};
