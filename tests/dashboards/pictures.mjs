// Takes a picture of each dashboard from what a Prometheus has:
//   node pictures.mjs http://127.0.0.1:9090 FOLDER [MINUTES] [PREFIX]
// The dashboards are those of deploy/grafana; MINUTES (15) go back from now, or from UNTIL (seconds since 1970). Fails where a panel
// has nothing to show.
import { build } from "esbuild";
import { mkdir, mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const DASHBOARDS = new URL("../../deploy/grafana/dashboards/", import.meta.url);
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const ADDRESS = "http://dashboards.localhost/";
/** How many points a line has. */
const POINTS = 240;
/** Scrapes that a rate goes over, as Grafana takes at least. */
const SCRAPES = 4;

const [prometheus, folder, minutes = "15", prefix = "dashboard-"] = process.argv.slice(2);
const to = Number(process.env.UNTIL) || Math.floor(Date.now() / 1000);
const range = { from: to - Number(minutes) * 60, to };
const step = Math.max(1, Math.round((range.to - range.from) / POINTS));
const window_s = Math.max(SCRAPES * Number(process.env.SCRAPE_SECONDS || 15), step);

async function ask(kind, parameters) {
  const answer = await fetch(`${prometheus}/api/v1/${kind}`, { method: "POST", body: new URLSearchParams(parameters) });
  const body = await answer.json();
  if (body.status !== "success") throw new Error(`${parameters.query}: ${body.error}`);
  return body.data.result;
}

/** A question with all that the reader did not choose. */
function chosen(expression) {
  return expression.replaceAll("$__rate_interval", `${window_s}s`).replaceAll("$deployment", ".*").replaceAll("$shard", ".*");
}

async function answersOf(panel) {
  const each = (panel.targets ?? []).map(async ({ expr, legendFormat, instant }) => {
    const query = chosen(expr);
    const result = instant ? await ask("query", { query, time: to }) : await ask("query_range", { query, start: range.from, end: range.to, step });
    return { legend: legendFormat, result };
  });
  return Promise.all(each);
}

async function bundle() {
  const out = await build({
    entryPoints: [new URL("panels.jsx", import.meta.url).pathname], bundle: true, write: false, outdir: "out", minify: true, logLevel: "error",
    define: { "process.env.NODE_ENV": '"production"' }, loader: { ".svg": "dataurl", ".png": "dataurl", ".ttf": "dataurl", ".woff": "dataurl", ".woff2": "dataurl" },
  });
  const text = (end) => out.outputFiles.find(({ path }) => path.endsWith(end))?.text ?? "";
  return { script: text(".js"), style: text(".css") };
}

const { script, style } = await bundle();
const profile = await mkdtemp(join(tmpdir(), "fanfare-dashboards-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium", headless: true, args: FLAGS, viewport: { width: 1624, height: 900 },
});
// An address of its own, which nobody is asked for: without one there is no storage, which the components want.
await browser.route(`${ADDRESS}**`, (route) => route.fulfill({ contentType: "text/html", body: '<!doctype html><meta charset="utf-8"><div id="root"></div>' }));
const empty = [];
await mkdir(folder, { recursive: true });
for (const file of (await readdir(DASHBOARDS)).filter((name) => name.endsWith(".json"))) {
  const dashboard = JSON.parse(await readFile(new URL(file, DASHBOARDS), "utf8"));
  const answers = {};
  for (const panel of dashboard.panels.filter(({ type }) => type !== "row")) {
    answers[panel.id] = await answersOf(panel);
    if (answers[panel.id].every(({ result }) => result.length === 0)) empty.push(`${dashboard.title}: ${panel.title}`);
  }
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(`${file}: ${error.stack}`));
  await page.goto(ADDRESS);
  await page.addStyleTag({ content: style });
  await page.addScriptTag({ content: script });
  await page.evaluate((all) => window.show(all), { dashboard, answers, range, step });
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  await page.screenshot({ path: join(folder, `${prefix}${file.replace(".json", ".png")}`), fullPage: true });
  await page.close();
}
await browser.close();
await rm(profile, { recursive: true, force: true });
if (empty.length > 0) {
  console.error(`nothing to show:\n  ${empty.join("\n  ")}`);
  process.exitCode = 1;
}
