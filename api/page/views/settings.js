// Which version, and what is on: as far as the API tells.
import { html } from "../html.js";
import { get } from "../api.js";
import { useLive } from "../live.js";
import { amount } from "../words.js";
import { Chip, Loaded, Notice } from "../parts/basics.js";

export function Settings() {
  const live = useLive(async (signal) => {
    const [document, ready] = await Promise.all([get("/v1/openapi.json", signal), health()]);
    return { document, ready };
  }, [], { every: 10000 });
  return html`<div class="view"><h1>Settings</h1><${Loaded} live=${live}>${(data) => html`<${Shown} ...${data} />`}<//></div>`;
}

/** What the process says of itself, also where it is not ready; null where a proxy does not pass that on. */
async function health() {
  const answer = await fetch("/readyz", { credentials: "omit", cache: "no-store" }).catch(() => null);
  return answer?.headers.get("content-type")?.includes("json") && answer.status !== 404 ? answer.json() : null;
}

function Shown({ document, ready }) {
  return html`<section class="sheet stack"><h2>This deployment</h2><dl class="facts">
      <dt>Version</dt><dd>${document.info.version}</dd>
      <dt>Health</dt><dd>${ready ? html`<${Chip} of=${ready.ok ? ["Ready", "good"] : ["Not ready", "bad"]} />` : "not told here"}</dd>
      <dt>Operations</dt><dd>${Object.values(document.paths).reduce((sum, path) => sum + Object.keys(path).length, 0)}, <a href="/docs">all of them with examples</a></dd></dl>
      ${ready && said(ready)}</section>
    <section class="sheet stack"><h2>Limits that hold</h2><dl class="facts">
      ${limits(document).map(([name, most]) => html`<dt>${name}</dt><dd>${amount(most)}</dd>`)}</dl>
      <p class="small quiet">Pace, caps and how long things are kept are settings of the deployment (docs/SETTINGS.md); the API does not tell them.</p></section>
    <section class="sheet stack"><h2>The key</h2><p>You are signed in with the key of the API (<code>AUTH</code>). It is in this page's memory and nowhere else: a reload forgets it.</p></section>
    <section class="sheet stack"><h2>For programs</h2><p class="row"><a href="/docs">The API's document</a><a href="/v1/openapi.json">openapi.json</a><a href="/docs/events">Jobs and events</a><a href="/v1/asyncapi.json">asyncapi.json</a><a href="/healthz">Health</a><a href="/readyz">Readiness</a><a href="/metrics">Metrics</a></p></section>`;
}

function said({ problems, degraded }) {
  const words = [...problems, ...degraded];
  return words.length > 0 && html`<${Notice}>${words.map((one) => html`<div>${one}</div>`)}<//>`;
}

/** Limits as the document has them. */
function limits({ components: { schemas }, paths }) {
  const [page] = paths["/v1/queues"].get.parameters.filter((one) => one.name === "limit");
  const people = JSON.stringify(schemas.OneOrMany || {}).match(/"maxItems":(\d+)/);
  return [["Rows of a page of a list", page?.schema.maximum], ["People of one broadcast", people && Number(people[1])]].filter(([, most]) => most);
}
