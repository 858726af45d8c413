// What will each person get, and when will it end? Who, what and when on one page, and one button that says why it can't.
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { all, freshId, post } from "../api.js";
import { SESSIONS, useLive, useNow } from "../live.js";
import { go } from "../route.js";
import { keep } from "../readings.js";
import { readRecipients } from "../recipients.js";
import { amount, lasting, many, moment, standing } from "../words.js";
import { Loaded, Wrong } from "../parts/basics.js";

/** Most recipients of one broadcast, and most bytes of a text, as the API has them. */
const PEOPLE_MAX = 100000;
const TEXT_MAX = 65536;
/** Lines that are wrong, shown at once. */
const FAULTS_SHOWN = 100;

const EMPTY = { people: "", text: "", min: "", max: "", start: "", label: "", skip: false };

export function Broadcast({ token }) {
  const live = useLive(() => all("/v1/sessions", 2000), [], { every: 5000, of: SESSIONS });
  return html`<div class="view"><h1>New broadcast</h1>
    <${Loaded} live=${live}>${(sessions) => html`<${Form} sessions=${sessions} token=${token} />`}<//></div>`;
}

function Form({ sessions, token }) {
  const [form, setForm] = useState({ ...EMPTY, token });
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  // The same press twice is one broadcast; another one is another.
  const once = useRef(freshId());
  const set = (change) => {
    once.current = freshId();
    setForm((before) => ({ ...before, ...change }));
    setProblem(null);
  };
  const read = useRead(form.people);
  const able = sessions.filter((session) => session.jid && !session.deleting);
  const chosen = able.find((one) => one.token === form.token) || (able.length === 1 ? able[0] : null);
  const plan = { form, read, session: chosen };
  const holds = busy ? "it is being handed over" : whyNot(plan);
  const submit = async (event) => {
    event.preventDefault();
    if (holds) return;
    setBusy(true);
    setProblem(null);
    try {
      const taken = await post(`/v1/sessions/${chosen.token}/queues`, bodyOf(plan), { once: once.current });
      keep(taken, read.rows);
      go(["queues", taken.token, taken.queueId]);
    } catch (error) {
      setProblem(named(error, read));
      setBusy(false);
    }
  };
  return html`<form class="broadcast" onSubmit=${submit} novalidate>
    <div class="stack gap">
      <${Who} form=${form} set=${set} read=${read} able=${able} chosen=${chosen} />
      <${What} form=${form} set=${set} />
      <${When} form=${form} set=${set} />
      <${Wrong} problem=${problem} />
    </div>
    <aside class="beside" aria-label="What will happen">
      <div class="sheet stack"><h2>What they get</h2><div class="phone">${form.text ? html`<div class="bubble">${form.text}</div>` : html`<p class="quiet small">The text, as a phone shows it.</p>`}</div></div>
      <div class="sheet stack"><h2>When it ends</h2><${End} plan=${plan} /></div>
      <button class="button first" aria-disabled=${holds ? "true" : "false"} aria-describedby="why-not">${busy ? "Handing it over…" : `Send to ${amount(read.rows.length)}`}</button>
      <p class="small quiet" id="why-not" role="status">${holds ? `Not yet: ${holds}.` : `From ${chosen.token}. It goes on if this page is closed.`}</p>
    </aside>
  </form>`;
}

/** Reads what was pasted a moment after the last key, so that typing stays smooth with 100,000 lines. */
function useRead(text) {
  const [settled, settle] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => settle(text), text.length > 20000 ? 250 : 0);
    return () => clearTimeout(timer);
  }, [text]);
  const read = useMemo(() => readRecipients(settled), [settled]);
  return { ...read, pending: settled !== text };
}

function whyNot({ form, read, session }) {
  if (!session) return "choose the number that sends";
  if (read.pending) return "the list is being read";
  if (!read.rows.length) return read.faults.length ? "no line has a number" : "say who gets it";
  if (read.rows.length > PEOPLE_MAX) return `at most ${amount(PEOPLE_MAX)} people at once, these are ${amount(read.rows.length)}`;
  if (read.faults.length && !form.skip) return `mend ${many(read.faults.length, "line")}, or leave them out`;
  if (!form.text.trim()) return "write the text";
  if (new TextEncoder().encode(form.text).length > TEXT_MAX) return `the text has more than ${amount(TEXT_MAX)} bytes`;
  return wrongPace(form) || null;
}

function wrongPace({ min, max }) {
  if (!min && !max) return null;
  const [from, to] = [Number(min), Number(max)];
  if (!min || !max || !(from >= 0) || !(to >= 0)) return "the pace needs both its ends, in seconds";
  return from > to ? "the pace's first number is the smaller one" : null;
}

function bodyOf({ form, read }) {
  const numbers = read.rows.map(({ number, reference }) => (reference ? { number, reference } : number));
  return {
    numbers,
    message: { type: "text", text: form.text },
    ...(form.min && form.max && { delay: { min: Number(form.min), max: Number(form.max) } }),
    ...(form.start && { startAt: new Date(form.start).toISOString() }),
    ...(form.label.trim() && { label: form.label.trim() }),
    ...(form.skip && { invalid: "skip" }),
  };
}

/** The API names recipients by their place; here they have lines. */
function named(problem, read) {
  const fields = (problem.fields || []).map((one) => {
    const place = /^numbers?\[(\d+)\](.*)/.exec(one.field);
    const row = place && read.rows[Number(place[1])];
    return row ? { field: `line ${row.line}`, problem: `“${row.number}” ${one.problem}` } : one;
  });
  return { title: problem.title, message: fields.some((one) => one.field.startsWith("line")) ? "these lines can't be sent to" : problem.message, code: problem.code, fields };
}

function Who({ form, set, read, able, chosen }) {
  const [over, setOver] = useState(false);
  const file = useRef();
  const take = async (files) => {
    setOver(false);
    if (files[0]) set({ people: await files[0].text() });
  };
  return html`<section class="sheet step stack"><h2 data-step="1">Who</h2>
    <div class="field"><label for="from">From</label>
      <select id="from" value=${chosen?.token || ""} onChange=${(event) => set({ token: event.target.value })}>
        <option value="" disabled>Choose a number</option>
        ${able.map((one) => html`<option value=${one.token}>${one.token}${one.pushName ? ` (${one.pushName})` : ""}: ${standing(one)[0].toLowerCase()}</option>`)}</select>
      ${!able.length && html`<span class="hint">No number is linked yet. <a href="#/numbers/new">Add one</a></span>`}
      ${chosen && chosen.state !== "open" && html`<span class="hint">It does not send at this moment (${chosen.waiting?.detail || standing(chosen)[0].toLowerCase()}); the broadcast waits until it does.</span>`}</div>
    <div class="field"><div class="row spread"><label for="people">To</label>
        <button type="button" class="button narrow" onClick=${() => file.current.click()}>Choose a CSV file</button></div>
      <input type="file" class="hidden" ref=${file} accept=".csv,.txt,text/csv,text/plain" tabindex="-1" aria-label="CSV file" onChange=${(event) => { take(event.target.files); event.target.value = ""; }} />
      <div class="drop ${over ? "over" : ""}" onDragOver=${(event) => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)}
        onDrop=${(event) => { event.preventDefault(); take(event.dataTransfer.files); }}>
        <textarea id="people" spellcheck="false" value=${form.people} placeholder=${"+55 11 90000-0001\n+55 11 90000-0002\n\nor a CSV with the columns number and reference"}
          onInput=${(event) => set({ people: event.target.value })}></textarea></div>
      <span class="hint">One per line, or a CSV file: paste it, drop it here, or choose it.</span></div>
    <${Read} read=${read} form=${form} set=${set} /></section>`;
}

function Read({ read, form, set }) {
  if (!read.rows.length && !read.faults.length) return null;
  const { head, number, reference } = read.columns || {};
  return html`<div class="stack" role="status">
    <div class="legend"><span class="dot good"><b>${amount(read.rows.length)}</b> to send to</span>
      ${read.faults.length > 0 && html`<span class="dot bad"><b>${amount(read.faults.length)}</b> can't be read</span>`}
      ${read.twice.length > 0 && html`<span class="dot off"><b>${amount(read.twice.length)}</b> twice, once is sent</span>`}</div>
    ${head && html`<p class="small quiet">Numbers from the column <b>${head[number]}</b>${reference != null && html`, references from <b>${head[reference]}</b>`}.</p>`}
    ${read.faults.length > 0 && html`<div class="stack"><ul class="faults" tabindex="0" aria-label="Lines that can't be read">
        ${read.faults.slice(0, FAULTS_SHOWN).map((one) => html`<li><b>Line ${amount(one.line)}</b> ${one.problem}</li>`)}
        ${read.faults.length > FAULTS_SHOWN && html`<li>and ${amount(read.faults.length - FAULTS_SHOWN)} more</li>`}</ul></div>`}
    ${read.twice.length > 0 && html`<details class="small"><summary class="quiet">Who is twice</summary><ul class="small">
      ${read.twice.slice(0, FAULTS_SHOWN).map((one) => html`<li>Line ${amount(one.line)}: ${one.number}, as in line ${amount(one.first)}</li>`)}</ul></details>`}
    ${(read.faults.length > 0 || form.skip) && html`<label class="tick"><input type="checkbox" checked=${form.skip} onChange=${(event) => set({ skip: event.target.checked })} />
      Leave out what can't be read</label>`}</div>`;
}

function What({ form, set }) {
  return html`<section class="sheet step stack"><h2 data-step="2">What</h2>
    <div class="field"><div class="row spread"><label for="text">Text</label><span class="small quiet figures">${many([...form.text].length, "character")}</span></div>
      <textarea id="text" rows="5" value=${form.text} onInput=${(event) => set({ text: event.target.value })}></textarea></div>
    <div class="field"><label for="label">Label <span class="quiet">(optional)</span></label>
      <input id="label" maxlength="128" autocomplete="off" value=${form.label} placeholder="spring" onInput=${(event) => set({ label: event.target.value })} />
      <span class="hint">What it is for. Lists show it, and can be narrowed by it.</span></div></section>`;
}

function When({ form, set }) {
  return html`<section class="sheet step stack"><h2 data-step="3">When</h2>
    <fieldset class="field"><legend class="label">Pace: seconds between two messages, drawn at random</legend>
      <div class="pair"><input aria-label="At least, in seconds" inputmode="decimal" placeholder="at least, as the deployment" value=${form.min} onInput=${(event) => set({ min: event.target.value.replace(",", ".") })} />
        <input aria-label="At most, in seconds" inputmode="decimal" placeholder="at most, as the deployment" value=${form.max} onInput=${(event) => set({ max: event.target.value.replace(",", ".") })} /></div>
      <div class="row">${[[10, 20], [20, 40], [60, 120]].map(([min, max]) => html`<button type="button" class="button narrow" onClick=${() => set({ min: String(min), max: String(max) })}>${min} to ${max} s</button>`)}
        ${(form.min || form.max) && html`<button type="button" class="button plain narrow" onClick=${() => set({ min: "", max: "" })}>As the deployment</button>`}</div></fieldset>
    <div class="field"><label for="start">Start</label>
      <input id="start" type="datetime-local" value=${form.start} onInput=${(event) => set({ start: event.target.value })} />
      <span class="hint">${form.start ? `By your clock (${Intl.DateTimeFormat().resolvedOptions().timeZone}).` : "Empty: at once."}</span></div></section>`;
}

function End({ plan: { form, read } }) {
  const now = useNow(10000);
  const people = read.rows.length;
  if (!people) return html`<p class="quiet small">Known once there are people.</p>`;
  if (wrongPace(form)) return html`<p class="small">The pace can't be used: ${wrongPace(form)}.</p>`;
  if (!form.min) return html`<p class="small quiet">With a pace of its own the end can be told now; with the deployment's, as soon as it runs.</p>`;
  const seconds = ((Number(form.min) + Number(form.max)) / 2) * Math.max(0, people - 1);
  const begins = Math.max(now, form.start ? new Date(form.start).getTime() : now);
  return html`<p><b>${moment(begins + seconds * 1000, now)}</b><br /><span class="quiet small">${lasting(seconds)} for ${many(people, "person", "people")},
    if the number stays connected and sends nothing else meanwhile.</span></p>`;
}
