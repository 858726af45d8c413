// Which endpoints get events, and how are they? Making one, whose secret is shown once.
import { html, useState } from "../html.js";
import { all, freshId, get, post } from "../api.js";
import { useLive } from "../live.js";
import { to } from "../route.js";
import { Ago, Chip, Copy, Empty, Loaded, Notice, Wrong } from "../parts/basics.js";
import { Dialog } from "../parts/dialog.js";

/** Newest deliveries that an endpoint's rate is told from. */
const LATEST = 50;

export function Webhooks() {
  const live = useLive(async (signal) => {
    const hooks = await all("/v1/webhooks");
    const rates = hooks.slice(0, 20).map((hook) => get(`/v1/webhooks/${hook.id}/deliveries?limit=${LATEST}`, signal).catch(() => null));
    const latest = await Promise.all(rates);
    return hooks.map((hook, index) => ({ ...hook, latest: latest[index]?.items }));
  }, [], { every: 5000 });
  const [adds, setAdds] = useState(false);
  const add = html`<button class="button first" onClick=${() => setAdds(true)}>Add a webhook</button>`;
  return html`<div class="view"><div class="head"><h1>Webhooks</h1>${add}</div>
    <${Loaded} live=${live}>${(hooks) => hooks.length ? html`<div class="scroll"><table class="table cards">
        <thead><tr><th>Endpoint</th><th>State</th><th>Latest deliveries</th><th>Events</th><th>Added</th></tr></thead>
        <tbody>${hooks.map((hook) => html`<tr key=${hook.id}><td class="wide"><a href=${to(["webhooks", hook.id])}>${hook.url}</a></td>
          <td><${Chip} of=${hook.enabled ? ["Enabled", "good"] : ["Disabled", "bad"]} title=${hook.disabledWhy} /></td>
          <td class="wide"><${Rate} rows=${hook.latest} /></td>
          <td>${hook.events.join(", ") || "all"}${hook.tokens.length > 0 && html`<div class="small quiet">of ${hook.tokens.join(", ")}</div>`}</td>
          <td><${Ago} at=${hook.createdAt} /></td></tr>`)}</tbody></table></div>`
      : html`<${Empty} title="No webhook yet"><p class="quiet">An endpoint of yours gets each event, signed, and again until it takes it.</p>${add}<//>`}<//>
    ${adds && html`<${Add} close=${() => { setAdds(false); live.again(); }} />`}</div>`;
}

function Rate({ rows }) {
  if (!rows?.length) return html`<span class="quiet">none yet</span>`;
  const good = rows.filter((row) => row.state === "delivered").length;
  const dead = rows.filter((row) => row.state === "dead").length;
  const rest = rows.length - good - dead;
  return html`<div class="legend small"><span class="dot good"><b>${Math.round((good / rows.length) * 100)} %</b> of ${rows.length} delivered</span>
    ${rest > 0 && html`<span class="dot wait"><b>${rest}</b> waiting</span>`}${dead > 0 && html`<span class="dot bad"><b>${dead}</b> given up</span>`}</div>`;
}

function Add({ close }) {
  const [form, setForm] = useState({ url: "", events: "", tokens: "" });
  const [once] = useState(freshId);
  const [made, setMade] = useState(null);
  const [problem, setProblem] = useState(null);
  const list = (text) => text.split(/[\s,]+/).filter(Boolean);
  const submit = async (event) => {
    event.preventDefault();
    setProblem(null);
    const [events, tokens] = [list(form.events), list(form.tokens)];
    try {
      setMade(await post("/v1/webhooks", { url: form.url.trim(), ...(events.length && { events }), ...(tokens.length && { tokens }) }, { once }));
    } catch (error) {
      setProblem(error);
    }
  };
  if (made) return html`<${Dialog} title="Added" close=${close}><${Secret} webhook=${made} /><footer><a class="button first" href=${to(["webhooks", made.id])}>To the webhook</a></footer><//>`;
  const input = (name, words, hint, more) => html`<div class="field"><label for=${name}>${words}</label>
    <input id=${name} autocomplete="off" spellcheck="false" value=${form[name]} onInput=${(event) => setForm({ ...form, [name]: event.target.value })} ...${more} />
    <span class="hint">${hint}</span></div>`;
  return html`<${Dialog} title="Add a webhook" close=${close}><form class="stack" onSubmit=${submit} novalidate>
    ${input("url", "URL", "http or https; it gets posts.", { autofocus: true, placeholder: "https://example.com/hook", inputmode: "url" })}
    ${input("events", "Events", "Names, or their beginning and *; empty for all.", { placeholder: "send.message:*, new.message" })}
    ${input("tokens", "Numbers", "Their names here; empty for all.", { placeholder: "shop" })}
    <${Wrong} problem=${problem} /><footer><button class="button first" aria-disabled=${!form.url.trim()}>Add</button></footer></form><//>`;
}

/** A secret, which is shown once. */
export const Secret = ({ webhook }) => html`<${Notice} hue="wait"><b>Its secret, shown this once.</b> Your endpoint checks each post with it.
  <div class="code"><${Copy} text=${webhook.secret} label="Copy the secret" /></div><//>`;
