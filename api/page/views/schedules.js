// What goes out next? Schedules with their next firings in their time zone, and what became of the last.
import { html, useState } from "../html.js";
import { all, get, remove } from "../api.js";
import { refresh, useLive } from "../live.js";
import { narrow, to } from "../route.js";
import { amount, exactIn, gist, many, momentIn, QUEUE } from "../words.js";
import { Ago, Chip, Empty, Loaded, Menu, Notice } from "../parts/basics.js";
import { Confirm } from "../parts/dialog.js";

/** Sessions whose schedules are listed together; each is a request. */
const SESSIONS_SHOWN = 30;
/** Schedules whose last queue is looked at; each is a request. */
const RESULTS_SHOWN = 50;
const OVER = ["completed", "deleted", "rejected"];
/** A firing makes a queue. */
const FIRINGS = { names: ["job.", "send.message:START", "send.message:COMPLETED", "deleted.queue"] };

/** Queues that are over, and stay as they are. */
const over = new Map();

export function Schedules({ query }) {
  const number = query.get("number") || "";
  const live = useLive((signal) => load(number, signal), [number], { every: 3000, of: { ...FIRINGS, token: number || undefined } });
  const [asks, setAsks] = useState(null);
  const add = html`<a class="button first" href=${to(["schedules", "new"], { number })}>New schedule</a>`;
  return html`<div class="view"><div class="head"><h1>Schedules</h1><div class="row">
      <${Numbers} number=${number} tokens=${live.data?.tokens || []} />${add}</div></div>
    <${Loaded} live=${live}>${({ schedules, cut }) => html`
      ${cut > 0 && html`<${Notice}>Those of the first ${SESSIONS_SHOWN} numbers are shown; choose one of the other ${amount(cut)} to see its own.<//>`}
      ${schedules.length ? html`<ul class="numbers">${schedules.map((one) => html`<${Row} key="${one.token} ${one.id}" schedule=${one} ask=${setAsks} />`)}</ul>`
        : html`<${Empty} title="No schedule yet"><p class="quiet">A broadcast that goes out again and again, or once at a time to come.</p>${add}<//>`}`}<//>
    ${asks && html`<${Confirm} ...${asks} close=${() => { setAsks(null); refresh(); }} />`}</div>`;
}

async function load(number, signal) {
  const tokens = (await all("/v1/sessions", 2000)).map((one) => one.token);
  const asked = number ? [number] : tokens.slice(0, SESSIONS_SHOWN);
  const lists = await Promise.all(asked.map((token) => get(`/v1/sessions/${token}/schedules`, signal)));
  const schedules = lists.flatMap((list) => list.items).sort((one, other) => (one.next[0] || "~").localeCompare(other.next[0] || "~"));
  await Promise.all(schedules.slice(0, RESULTS_SHOWN).map(async (one) => Object.assign(one, { last: await resultOf(one, signal) })));
  return { tokens, schedules, cut: number ? 0 : tokens.length - asked.length };
}

async function resultOf({ token, queueId }, signal) {
  if (!queueId) return null;
  if (over.has(queueId)) return over.get(queueId);
  // It may have been cleaned up since.
  const queue = await get(`/v1/sessions/${token}/queues/${queueId}`, signal).catch(() => null);
  if (queue && OVER.includes(queue.state)) over.set(queueId, queue);
  return queue;
}

const Numbers = ({ number, tokens }) => html`<select class="search" aria-label="Number" value=${number} onChange=${(event) => narrow({ number: event.target.value })}>
  <option value="">All numbers</option>${[...new Set([...tokens, ...(number ? [number] : [])])].map((token) => html`<option value=${token}>${token}</option>`)}</select>`;

function Row({ schedule, ask }) {
  const { id, token, send, next, timezone } = schedule;
  const zone = timezone || Intl.DateTimeFormat().resolvedOptions().timeZone;
  const people = [].concat(send.numbers ?? send.number ?? []).length;
  const stop = {
    title: `Delete ${id}?`, verb: "Delete", act: () => remove(`/v1/sessions/${token}/schedules/${encodeURIComponent(id)}`),
    words: "It fires no more. What it has sent goes on: those are queues of their own.",
  };
  return html`<li class="number schedule">
    <div><div class="name">${id}</div><div class="small quiet">from ${token} to ${many(people, "person", "people")}</div><div class="small message">${short(gist(send.message))}</div></div>
    <div class="stack tight"><div>${next.length ? html`<b title=${exactIn(next[0], zone)}>${momentIn(next[0], zone)}</b> <span class="quiet small"><${Ago} at=${next[0]} /></span>` : html`<${Chip} of=${["Over", "done"]} />`}</div>
      ${next.length > 1 && html`<ol class="small quiet firings" aria-label="Then">${next.slice(1).map((at) => html`<li title=${exactIn(at, zone)}>${momentIn(at, zone)}</li>`)}</ol>`}
      <div class="small quiet">${schedule.cron ? html`<code>${schedule.cron}</code> in ${zone}` : `once, in ${zone}`}</div></div>
    <div class="stack tight"><${Last} schedule=${schedule} /></div>
    <div class="does"><${Menu} label="More for ${id}" items=${[{ name: "Delete…", grave: true, act: () => ask(stop) }]} /></div></li>`;
}

const short = (text) => (text.length > 120 ? `${text.slice(0, 120)}…` : text);

function Last({ schedule: { token, fired, firedAt, queueId, last } }) {
  if (!fired) return html`<span class="small quiet">has not fired yet</span>`;
  const failed = last?.failed > 0 ? html`, <b>${amount(last.failed)} failed</b>` : "";
  return html`<div class="small">fired ${fired === 1 ? "once" : `${amount(fired)} times`}, last <${Ago} at=${firedAt} /></div>
    ${queueId && html`<div class="row small"><a href=${to(["queues", token, queueId])}>Its queue</a>${last && html`<${Chip} of=${QUEUE[last.state]} />`}</div>`}
    ${last?.total != null && html`<div class="small quiet">${amount(last.settled)} of ${amount(last.total)}${failed}</div>`}`;
}
