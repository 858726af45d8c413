// How far, how fast, why does it wait, who failed? One broadcast, live.
import { html, useEffect, useRef, useState } from "../html.js";
import { download, get, patch, post, remove } from "../api.js";
import { refresh, QUEUES, useLive, useNow } from "../live.js";
import { go } from "../route.js";
import { readingOf } from "../readings.js";
import { amount, FAILED, gist, lasting, many, moment, QUEUE, RECIPIENT } from "../words.js";
import { Ago, Chip, Copy, CountsBar, Loaded, Menu, Notice, ORDER, Until, Wrong } from "../parts/basics.js";
import { Confirm, Dialog } from "../parts/dialog.js";
import { Recipients } from "./people.js";

/** Beyond so many people who have not got theirs, deleting is confirmed by typing the number. */
const TYPED_BEYOND = 100;
const DONE = ["completed", "deleted", "rejected"];

export function Queue({ token, id, query }) {
  const path = `/v1/sessions/${token}/queues/${id}`;
  const live = useLive((signal) => get(path, signal), [path], { every: 1000, of: { token, names: QUEUES.names, queue: id } });
  return html`<div class="view"><a class="small" href="#/queues">Queues</a>
    <${Loaded} live=${live}>${(queue) => queue.counts
      ? html`<${Shown} queue=${queue} path=${path} query=${query} />` : html`<${Request} request=${queue} />`}<//></div>`;
}

/** A send of which no queue is stored yet, or that was rejected. */
function Request({ request }) {
  return html`<div class="head"><h1>Broadcast</h1><${Chip} of=${QUEUE[request.state]} /></div>
    ${request.rejection && html`<${Wrong} problem=${{ title: "It was rejected", message: request.rejection.message, code: request.rejection.code,
      fields: request.rejection.field ? [{ field: request.rejection.field, problem: "" }] : [] }} />`}
    ${request.waiting && html`<${Notice} hue="busy"><b>It is taken</b> and on the broker's disks. It waits: ${request.waiting.detail}.<//>`}
    <${Copy} text=${request.queueId} label="Copy the id" />`;
}

function Shown({ queue, path, query }) {
  const [asks, setAsks] = useState(null);
  const [pace, setPace] = useState(false);
  const [problem, setProblem] = useState(null);
  const act = async (work) => {
    setProblem(null);
    await work().catch(setProblem);
    refresh();
  };
  const left = queue.total - queue.settled;
  const over = DONE.includes(queue.state);
  const deletion = {
    title: "Delete this broadcast?", verb: "Delete", typed: left > TYPED_BEYOND ? left : null, act: () => remove(path),
    words: `${many(left, "person", "people")} will not get it. Who got it is kept. This can't be undone.`,
  };
  return html`<div class="head"><div><h1>${queue.label || cut(gist(queue.message))}</h1>
      <div class="row quiet small"><span>from <a href="#/numbers">${queue.token}</a></span><${Copy} text=${queue.queueId} label="Copy the id" /></div></div>
    <div class="row">
      ${["queued", "running"].includes(queue.state) && html`<button class="button first" onClick=${() => act(() => post(`${path}/pause`))}>Pause</button>`}
      ${queue.state === "paused" && html`<button class="button first" onClick=${() => act(() => post(`${path}/resume`))}>Resume</button>`}
      ${!over && html`<button class="button grave" onClick=${() => setAsks(deletion)}>Delete…</button>`}
      <${Menu} size="" label="More for this broadcast" items=${[
        !over && { name: "Change the pace…", act: () => setPace(true) },
        queue.waiting?.reason === "other-account" && { name: "Adopt", act: () => act(() => post(`${path}/adopt`)) },
        { name: "Download CSV", act: () => act(() => download(`${path}/recipients.csv`, `${queue.queueId}.csv`)) },
      ]} /></div></div>
    <${Wrong} problem=${problem} />
    <${Progress} queue=${queue} />
    ${queue.rejected?.length > 0 && html`<${Notice} hue="bad">${many(queue.rejected.length, "other send")} asked for its id and ${queue.rejected.length === 1 ? "was" : "were"} rejected: ${queue.rejected[0].rejection.message}<//>`}
    <${LeftOut} reading=${readingOf(queue.queueId)} />
    <${Failed} queue=${queue} path=${path} act=${act} />
    <${Recipients} queue=${queue} path=${path} state=${query.get("state") || ""} cursor=${query.get("cursor") || ""} />
    <section class="sheet stack"><h2>The message</h2>
      ${queue.message.type === "text" ? html`<p class="message">${queue.message.text}</p>` : html`<pre class="code" tabindex="0">${JSON.stringify(queue.message, null, 2)}</pre>`}
      <${Facts} queue=${queue} /></section>
    ${asks && html`<${Confirm} ...${asks} close=${() => { setAsks(null); refresh(); }} />`}
    ${pace && html`<${Pace} queue=${queue} path=${path} close=${() => { setPace(false); refresh(); }} />`}`;
}

const cut = (text) => (text.length > 80 ? `${text.slice(0, 80)}…` : text);

function Progress({ queue }) {
  const { counts: { byState }, waiting, total, settled } = queue;
  const words = { queued: "waiting" };
  return html`<section class="sheet progress" aria-label="Progress">
    <div class="row spread"><div class="row"><span class="big" data-settled=${settled}>${amount(settled)} <span class="quiet">of ${amount(total)}</span></span><${Chip} of=${QUEUE[queue.state]} /></div>
      <${Eta} queue=${queue} /></div>
    <${CountsBar} counts=${byState} total=${total} />
    <div class="legend">${ORDER.filter((state) => byState[state] > 0 && state !== "sending").map((state) => html`<span class="dot ${RECIPIENT[state][1]}"><b>${amount(byState[state] + (state === "queued" ? byState.sending : 0))}</b> ${words[state] || RECIPIENT[state][0].toLowerCase()}</span>`)}</div>
    ${waiting && html`<p role="status"><b>Waits:</b> ${waiting.detail} ${waiting.until && html`<b><${Until} at=${waiting.until} /></b> `}
      ${waiting.attempt && html`<span class="quiet">attempt ${waiting.attempt.number} of ${waiting.attempt.most}</span>`}</p>`}
    ${queue.held > 0 && html`<p>${many(queue.held, "person", "people")} ${queue.held === 1 ? "is" : "are"} held back until ${queue.token} may write to new contacts again.</p>`}</section>`;
}

/** How long what is left takes, and what that assumes: its pace, else how fast it went while it was looked at. */
function Eta({ queue }) {
  const now = useNow();
  const seen = useRef([]);
  useEffect(() => {
    seen.current.push([Date.now(), queue.settled]);
    if (seen.current.length > 60) seen.current.shift();
  }, [queue.settled, queue.state]);
  const left = queue.total - queue.settled;
  if (queue.finishedAt) return html`<span class="quiet small">${QUEUE[queue.state][0].toLowerCase()} <${Ago} at=${queue.finishedAt} />${queue.startedAt && `, in ${lasting((new Date(queue.finishedAt) - new Date(queue.startedAt)) / 1000)}`}</span>`;
  if (queue.state === "paused") return html`<span class="quiet small">paused <${Ago} at=${queue.pausedAt} /></span>`;
  const each = queue.delay ? (queue.delay.min + queue.delay.max) / 2 : measured(seen.current);
  if (!each) return html`<span class="quiet small">${queue.startedAt ? "measuring its speed…" : "not begun"}</span>`;
  const seconds = left * each;
  const why = queue.delay ? `at ${queue.delay.min} to ${queue.delay.max} s apart` : `at ${lasting(each)} each, as of now`;
  return html`<span class="small"><b class="figures">${lasting(seconds)} left</b>, until ${moment(now + seconds * 1000, now)} <span class="quiet">${why}</span></span>`;
}

function measured(seen) {
  if (seen.length < 2) return null;
  const [[from, before], [until, after]] = [seen[0], seen[seen.length - 1]];
  return after > before ? (until - from) / 1000 / (after - before) : null;
}

/** Who was left out when it was handed over. */
function LeftOut({ reading }) {
  if (!reading) return null;
  const { invalid, twice } = reading;
  return html`<${Notice}><b>Left out when it was handed over:</b> ${[invalid.count && `${amount(invalid.count)} that can't be ${invalid.count === 1 ? "a phone number" : "phone numbers"}`, twice.count && `${amount(twice.count)} twice`].filter(Boolean).join(", ")}.
    <details class="small"><summary>Who</summary><ul class="faults" tabindex="0" aria-label="Who was left out">
      ${invalid.first.map((one) => html`<li><b>Line ${amount(one.line)}</b> ${one.problem}</li>`)}
      ${twice.first.map((one) => html`<li><b>Line ${amount(one.line)}</b> as in line ${amount(one.first)}</li>`)}</ul></details><//>`;
}

/** Who failed, by reason, and sending to them again. */
function Failed({ queue, path, act }) {
  const reasons = Object.entries(queue.counts.failedByStatus).sort(([, one], [, other]) => other - one);
  if (!reasons.length) return null;
  const again = (codes) => act(async () => {
    const taken = await post(`${path}/retry`, codes);
    go(["queues", taken.token, taken.queueId]);
  });
  return html`<section class="sheet stack"><div class="row spread"><h2>Failed, by reason</h2>
      <div class="row"><button class="button narrow" onClick=${() => act(() => download(`${path}/recipients.csv?state=failed`, `${queue.queueId}-failed.csv`))}>Download them</button>
        ${reasons.length > 1 && html`<button class="button narrow" onClick=${() => again({})}>Send to all again</button>`}</div></div>
    <div class="reasons">${reasons.map(([status, count]) => html`<div class="reason"><span><b class="figures">${amount(count)}</b> ${FAILED[status] || "Failed"} <span class="quiet small">(${status})</span></span>
      <button class="button narrow" onClick=${() => again({ codes: [Number(status)] })}>Send again</button></div>`)}</div></section>`;
}

const Facts = ({ queue }) => html`<dl class="facts">
  <dt>Taken</dt><dd><${Ago} at=${queue.createdAt} /></dd>
  ${queue.startAt && html`<dt>To start</dt><dd><${Until} at=${queue.startAt} /></dd>`}
  ${queue.startedAt && html`<dt>Begun</dt><dd><${Ago} at=${queue.startedAt} /></dd>`}
  <dt>Pace</dt><dd>${queue.delay ? `${queue.delay.min} to ${queue.delay.max} s` : "the deployment's"}</dd>
  ${queue.reference && html`<dt>Reference</dt><dd>${queue.reference}</dd>`}
  <dt>After a crash in mid-send</dt><dd>${queue.onUnknown === "resend" ? "sent again" : "held as unknown"}</dd></dl>`;

function Pace({ queue, path, close }) {
  const [form, setForm] = useState({ min: queue.delay?.min ?? "", max: queue.delay?.max ?? "" });
  const [problem, setProblem] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    try {
      await patch(path, { delay: { min: Number(form.min), max: Number(form.max) } });
      close();
    } catch (error) {
      setProblem(error);
    }
  };
  const input = (name, words) => html`<div class="field"><label for=${name}>${words}</label>
    <input id=${name} inputmode="decimal" value=${form[name]} onInput=${(event) => setForm({ ...form, [name]: event.target.value.replace(",", ".") })} /></div>`;
  return html`<${Dialog} title="Change the pace" close=${close}><form class="stack" onSubmit=${submit}>
    <p class="quiet small">Seconds between two messages. The gap that runs stays; the next one is drawn from this.</p>
    <div class="pair">${input("min", "At least")}${input("max", "At most")}</div><${Wrong} problem=${problem} />
    <footer><button class="button first">Change</button></footer></form><//>`;
}
