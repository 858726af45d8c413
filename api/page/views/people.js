// The recipients of a broadcast: by state, in pages.
import { html } from "../html.js";
import { get } from "../api.js";
import { QUEUES, useLive } from "../live.js";
import { narrow } from "../route.js";
import { amount, exact, FAILED, phone, RECIPIENT } from "../words.js";
import { Ago, Chip, Copy, Loaded, ORDER } from "../parts/basics.js";
import { Pages } from "../parts/pages.js";

const ROWS = 100;

export function Recipients({ queue, path, state, cursor }) {
  const search = new URLSearchParams(Object.entries({ limit: ROWS, state, cursor }).filter(([, value]) => value));
  const live = useLive((signal) => get(`${path}/recipients?${search}`, signal), [path, String(search)], { every: 3000, of: { token: queue.token, names: QUEUES.names, queue: queue.queueId } });
  const { byState } = queue.counts;
  const shown = ORDER.filter((one) => byState[one] > 0 || one === state);
  const only = (one) => narrow({ state: one === state ? "" : one, cursor: "" });
  return html`<section class="stack"><h2>Recipients</h2>
    <div class="filters" role="group" aria-label="State">
      <button class="filter" aria-pressed=${state ? "false" : "true"} onClick=${() => only(state)}>All <b>${amount(queue.total)}</b></button>
      ${shown.map((one) => html`<button class="filter" data-state=${one} aria-pressed=${one === state ? "true" : "false"} onClick=${() => only(one)}>${RECIPIENT[one][0]} <b>${amount(byState[one])}</b></button>`)}</div>
    <${Loaded} live=${live} rows=${6}>${(page) => page.items.length ? html`<div class="scroll tall" tabindex="0" role="region" aria-label="Recipients"><table class="table cards">
        <thead><tr><th class="right">Place</th><th>Number</th><th>State</th><th>When</th><th>Message</th><th>Reference</th></tr></thead>
        <tbody>${page.items.map((row) => html`<${Row} key=${row.seq} row=${row} />`)}</tbody></table></div>
        <${Pages} next=${page.next} cursor=${cursor} />` : html`<p class="quiet">Nobody is ${state ? RECIPIENT[state]?.[0].toLowerCase() : "here"}.</p>`}<//></section>`;
}

function Row({ row }) {
  const at = row.readAt || row.deliveredAt || row.sentAt;
  const times = [["sent", row.sentAt], ["delivered", row.deliveredAt], ["read", row.readAt]].filter(([, time]) => time);
  return html`<tr><td class="right figures quiet place">${amount(row.seq + 1)}</td>
    <td><${Copy} text=${row.number} shown=${phone(row.number)} />${row.addressee && html`<div class="small quiet">goes by ${phone(row.addressee)}</div>`}</td>
    <td><${Chip} of=${RECIPIENT[row.state]} />${row.error && html`<div class="small quiet">${FAILED[row.error.status] || row.error.message} (${row.error.status})</div>`}
      ${row.attempts > 1 && html`<div class="small quiet">${row.attempts} attempts</div>`}</td>
    <td title=${times.map(([word, time]) => `${word} ${exact(time)}`).join("\n")}>${at ? html`<${Ago} at=${at} />` : ""}</td>
    <td>${row.messageId ? html`<${Copy} text=${row.messageId} shown="${row.messageId.slice(0, 8)}…" label="Copy the id" />` : ""}</td>
    <td>${row.reference || ""}</td></tr>`;
}
