// Did it arrive? One endpoint: its deliveries as a timeline, a test, attempts again, another secret.
import { html, useState } from "../html.js";
import { get, patch, post, remove } from "../api.js";
import { refresh, useLive } from "../live.js";
import { go, narrow } from "../route.js";
import { DELIVERY, exact, many } from "../words.js";
import { Ago, Chip, Copy, Empty, Loaded, Menu, Notice, Until, Wrong } from "../parts/basics.js";
import { Confirm, Dialog } from "../parts/dialog.js";
import { Pages } from "../parts/pages.js";
import { Secret } from "./webhooks.js";

const ROWS = 50;

export function Webhook({ id, query }) {
  const path = `/v1/webhooks/${id}`;
  const live = useLive((signal) => get(path, signal), [path], { every: 5000 });
  return html`<div class="view"><a class="small" href="#/webhooks">Webhooks</a>
    <${Loaded} live=${live}>${(webhook) => html`<${Shown} webhook=${webhook} path=${path} query=${query} />`}<//></div>`;
}

function Shown({ webhook, path, query }) {
  const [problem, setProblem] = useState(null);
  const [tested, setTested] = useState(null);
  const [rotated, setRotated] = useState(null);
  const [asks, setAsks] = useState(null);
  const [said, setSaid] = useState("");
  const act = async (work) => {
    setProblem(null);
    await work().catch(setProblem);
    refresh();
  };
  const test = () => act(async () => {
    setTested("asking");
    setTested(await post(`${path}/test`).catch((error) => { setTested(null); throw error; }));
  });
  const rotate = { title: "Make another secret?", verb: "Make it", words: "For a day both sign each post, so that your endpoint can follow.",
    act: async () => setRotated(await patch(path, { secret: "rotate" })) };
  const deletion = { title: "Delete this webhook?", verb: "Delete", words: "Its deliveries go with it; what waits is not sent.",
    act: async () => { await remove(path); go("webhooks"); } };
  const replayDead = () => act(async () => {
    const { replayed } = await post(`${path}/deliveries/replay`, {});
    setSaid(`${many(replayed, "delivery", "deliveries")} are due again.`);
  });
  return html`<div class="head"><div><h1 class="address">${webhook.url}</h1><div class="row"><${Chip} of=${webhook.enabled ? ["Enabled", "good"] : ["Disabled", "bad"]} />
      <span class="small quiet"><${Copy} text=${webhook.id} label="Copy the id" /></span></div></div>
    <div class="row"><button class="button first" onClick=${test} aria-disabled=${tested === "asking"}>${tested === "asking" ? "Posting…" : "Send a test"}</button>
      <${Menu} size="" label="More for this webhook" items=${[
        { name: webhook.enabled ? "Disable" : "Enable", act: () => act(() => patch(path, { enabled: !webhook.enabled })) },
        { name: "Send given up ones again", act: replayDead },
        { name: "Another secret…", act: () => setAsks(rotate) },
        { name: "Delete…", grave: true, act: () => setAsks(deletion) }]} /></div></div>
    ${!webhook.enabled && html`<${Notice} hue="bad"><b>It gets nothing</b> since <${Ago} at=${webhook.disabledAt} />: ${webhook.disabledWhy}.<//>`}
    <${Wrong} problem=${problem} />
    ${said && html`<p role="status">${said}</p>`}
    ${tested && tested !== "asking" && html`<${Tested} delivery=${tested} />`}
    <section class="sheet"><dl class="facts"><dt>Events</dt><dd>${webhook.events.join(", ") || "all"}</dd><dt>Numbers</dt><dd>${webhook.tokens.join(", ") || "all"}</dd>
      ${webhook.headerNames.length > 0 && html`<dt>Headers of its own</dt><dd>${webhook.headerNames.join(", ")}</dd>`}
      ${webhook.maxPerSecond != null && html`<dt>At most</dt><dd>${webhook.maxPerSecond} each second</dd>`}
      ${webhook.oldSecretUntil && html`<dt>Old secret signs</dt><dd>until <${Until} at=${webhook.oldSecretUntil} /></dd>`}
      <dt>Added</dt><dd><${Ago} at=${webhook.createdAt} /></dd></dl></section>
    <${Deliveries} path=${path} state=${query.get("state") || ""} cursor=${query.get("cursor") || ""} act=${act} />
    ${asks && html`<${Confirm} ...${asks} close=${() => { setAsks(null); refresh(); }} />`}
    ${rotated && html`<${Dialog} title="Another secret" close=${() => setRotated(null)}><${Secret} webhook=${rotated} /><//>`}`;
}

function Tested({ delivery }) {
  const [word, hue] = DELIVERY[delivery.state];
  return html`<div class="notice ${hue}" role="status"><div class="stack tight"><div><b>Test: ${word.toLowerCase()}.</b> ${delivery.lastStatus ? `It answered ${delivery.lastStatus}` : delivery.lastError || "No attempt is over yet"}${delivery.history[0] ? ` in ${delivery.history[0].ms} ms` : ""}.</div>
    ${delivery.answer && html`<pre class="code" tabindex="0">${delivery.answer}</pre>`}</div></div>`;
}

function Deliveries({ path, state, cursor, act }) {
  const search = new URLSearchParams(Object.entries({ limit: ROWS, state, cursor }).filter(([, value]) => value));
  const live = useLive((signal) => get(`${path}/deliveries?${search}`, signal), [path, String(search)]);
  return html`<section class="stack"><h2>Deliveries</h2>
    <div class="filters" role="group" aria-label="State"><button class="filter" aria-pressed=${state ? "false" : "true"} onClick=${() => narrow({ state: "", cursor: "" })}>All</button>
      ${Object.entries(DELIVERY).map(([name, [word]]) => html`<button class="filter" aria-pressed=${state === name ? "true" : "false"} onClick=${() => narrow({ state: state === name ? "" : name, cursor: "" })}>${word}</button>`)}</div>
    <${Loaded} live=${live}>${(page) => page.items.length ? html`<div class="scroll"><table class="table cards"><thead><tr><th>Event</th><th>State</th><th>Attempts</th><th>When</th><th><span class="hidden">Do</span></th></tr></thead>
      <tbody>${page.items.map((row) => html`<${Row} key=${row.id} row=${row} path=${path} act=${act} />`)}</tbody></table></div><${Pages} next=${page.next} cursor=${cursor} />`
      : html`<${Empty} title=${state ? "None like this" : "No delivery yet"}><p class="quiet">Events that happen from now on are listed here; a test shows whether the endpoint answers.</p><//>`}<//></section>`;
}

function Row({ row, path, act }) {
  const last = row.history[row.history.length - 1];
  return html`<tr><td class="wide"><b>${row.event}</b><div class="small quiet">${row.token} · <${Copy} text=${row.eventId} shown="${row.eventId.slice(0, 8)}…" label="Copy the event's id" /></div></td>
    <td><${Chip} of=${DELIVERY[row.state]} />${row.state === "pending" && row.nextAttemptAt && html`<div class="small quiet">next <${Until} at=${row.nextAttemptAt} /></div>`}</td>
    <td class="wide"><details class="small"><summary>${many(row.attempts, "attempt")}${last ? `, ${last.status ?? last.error}` : ""}</summary>
      <ol class="timeline">${row.history.map((one) => html`<li><span class="dot ${one.status >= 200 && one.status < 300 ? "good" : "bad"}">${exact(one.at)}: ${one.status ?? one.error} <span class="quiet">${one.ms} ms</span></span></li>`)}</ol></details></td>
    <td><${Ago} at=${row.createdAt} /></td>
    <td>${row.state !== "pending" && html`<button class="button narrow" onClick=${() => act(() => post(`${path}/deliveries/${row.id}/replay`))}>Send again</button>`}</td></tr>`;
}
