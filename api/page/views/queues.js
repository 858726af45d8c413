// Which broadcasts are there, and how far is each?
import { html, useState } from "../html.js";
import { get } from "../api.js";
import { QUEUES, useLive } from "../live.js";
import { narrow } from "../route.js";
import { QUEUE } from "../words.js";
import { Empty, Loaded } from "../parts/basics.js";
import { Pages } from "../parts/pages.js";
import { QueueRows } from "../parts/queuerows.js";

const ROWS = 50;

export function Queues({ query }) {
  const [state, session, label, cursor] = ["state", "number", "label", "cursor"].map((name) => query.get(name) || "");
  const search = new URLSearchParams(Object.entries({ limit: ROWS, state, session, label, cursor }).filter(([, value]) => value));
  const live = useLive((signal) => get(`/v1/queues?${search}`, signal), [String(search)], { of: QUEUES });
  const only = (change) => narrow({ ...change, cursor: "" });
  const isNarrow = state || session || label;
  return html`<div class="view"><div class="head"><h1>Queues</h1><a class="button first" href="#/broadcast">New broadcast</a></div>
    <div class="row spread"><div class="filters" role="group" aria-label="State">
      <button class="filter" aria-pressed=${state ? "false" : "true"} onClick=${() => only({ state: "" })}>All</button>
      ${["running", "queued", "paused", "completed", "deleted"].map((one) => html`<button class="filter" aria-pressed=${state === one ? "true" : "false"}
        onClick=${() => only({ state: state === one ? "" : one })}>${QUEUE[one][0]}</button>`)}</div>
      <${Search} label=${label} session=${session} only=${only} /></div>
    <${Loaded} live=${live}>${(page) => page.items.length
      ? html`<${QueueRows} queues=${page.items} /><${Pages} next=${page.next} cursor=${cursor} />`
      : html`<${Empty} title=${isNarrow ? "None like this" : "No broadcast yet"}>${isNarrow
        ? html`<button class="button" onClick=${() => only({ state: "", number: "", label: "" })}>Show all</button>`
        : html`<a class="button first" href="#/broadcast">New broadcast</a>`}<//>`}<//></div>`;
}

function Search({ label, session, only }) {
  const [text, setText] = useState(label || session);
  const submit = (event) => {
    event.preventDefault();
    const by = event.submitter?.value === "number" ? "number" : "label";
    only({ label: "", number: "", [by]: text.trim() });
  };
  return html`<form class="row" role="search" onSubmit=${submit}>
    <input class="search" type="search" data-search placeholder="Search  /" aria-label="Label, or the number's name" value=${text} onInput=${(event) => setText(event.target.value)} />
    <button class="button narrow" value="label">By label</button><button class="button narrow" value="number">By number</button></form>`;
}
