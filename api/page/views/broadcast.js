// What will each person get, and when will it end? Who, what and when on one page, and one button that says why it can't.
import { html, useMemo, useRef, useState } from "../html.js";
import { all, freshId, post } from "../api.js";
import { SESSIONS, useLive, useNow } from "../live.js";
import { go } from "../route.js";
import { keep } from "../readings.js";
import { EMPTY_MESSAGE, messageOf, textsOf, wrongMessage } from "../message.js";
import { wrongWith } from "../placeholders.js";
import { amount, lasting, many, moment } from "../words.js";
import { Loaded, Wrong } from "../parts/basics.js";
import { Pace, paceOf, wrongPace } from "../parts/pace.js";
import { Preview, What } from "../parts/what.js";
import { EMPTY_WHO, From, lackingOf, named, numbersOf, To, useRead, wrongWho } from "../parts/who.js";
import { DryRun } from "./dryrun.js";

const EMPTY = { ...EMPTY_WHO, ...EMPTY_MESSAGE, min: "", max: "", start: "", label: "" };

export function Broadcast({ token }) {
  const live = useLive(() => all("/v1/sessions", 2000), [], { every: 5000, of: SESSIONS });
  return html`<div class="view"><h1>New broadcast</h1>
    <${Loaded} live=${live}>${(sessions) => html`<${Form} sessions=${sessions} token=${token} />`}<//></div>`;
}

function Form({ sessions, token }) {
  const [form, setForm] = useState({ ...EMPTY, token });
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const [tried, setTried] = useState(null);
  // The same press twice is one broadcast; another one is another.
  const once = useRef(freshId());
  const set = (change) => {
    once.current = freshId();
    setForm((before) => ({ ...before, ...change }));
    setProblem(null);
    setTried(null);
  };
  const read = useRead(form);
  const texts = textsOf(form);
  const lacking = useMemo(() => lackingOf(read, texts), [read.rows, ...texts]);
  const able = sessions.filter((session) => session.jid && !session.deleting);
  const chosen = able.find((one) => one.token === form.token) || (able.length === 1 ? able[0] : null);
  const plan = { form, read, lacking, texts, session: chosen };
  const holds = busy ? "it is being handed over" : whyNot(plan);
  const untried = busy ? "it is being handed over" : whyNotTried(plan);
  const ask = async (work) => {
    setBusy(true);
    setProblem(null);
    await work(bodyOf(plan)).catch((error) => setProblem(named(error, read)));
    setBusy(false);
  };
  const submit = (event) => {
    event.preventDefault();
    if (!holds) ask(async (body) => {
      const taken = await post(`/v1/sessions/${chosen.token}/queues`, body, { once: once.current });
      keep(taken, read.rows);
      go(["queues", taken.token, taken.queueId]);
    });
  };
  const tryIt = () => untried || ask(async (body) => setTried(await post(`/v1/sessions/${chosen.token}/messages/dry-run`, body)));
  return html`<form class="broadcast" onSubmit=${submit} novalidate>
    <div class="stack gap">
      <section class="sheet step stack"><h2 data-step="1">Who</h2><${From} able=${able} chosen=${chosen} set=${set} />
        <${To} form=${form} set=${set} read=${read} lacking=${lacking} /></section>
      <section class="sheet step stack"><h2 data-step="2">What</h2><${What} form=${form} set=${set} variables=${read.columns?.variables} />
        <${Label} form=${form} set=${set} /></section>
      <section class="sheet step stack"><h2 data-step="3">When</h2><${Pace} form=${form} set=${set} /><${Start} form=${form} set=${set} /></section>
      ${tried && html`<${DryRun} tried=${tried} rows=${read.rows} />`}
      <${Wrong} problem=${problem} />
    </div>
    <aside class="beside" aria-label="What will happen">
      <div class="sheet stack"><h2>What they get</h2><${Preview} form=${form} rows=${read.rows} /></div>
      <div class="sheet stack"><h2>When it ends</h2><${End} plan=${plan} /></div>
      <button type="button" class="button" aria-disabled=${untried ? "true" : "false"} title=${untried ? `not yet: ${untried}` : undefined} onClick=${tryIt}>Try it without sending</button>
      <button class="button first" aria-disabled=${holds ? "true" : "false"} aria-describedby="why-not">${busy ? "Handing it over…" : `Send to ${amount(read.rows.length - (form.skip ? lacking.count : 0))}`}</button>
      <p class="small quiet" id="why-not" role="status">${holds ? `Not yet: ${holds}.` : `From ${chosen.token}. It goes on if this page is closed.`}</p>
    </aside>
  </form>`;
}

function whyNot({ form, read, lacking, texts, session }) {
  if (!session) return "choose the number that sends";
  return wrongWith(texts) || wrongWho({ form, read, lacking }) || wrongMessage(form) || wrongPace(form);
}

/** What is wrong with people is what trying it finds out. */
function whyNotTried({ form, read, texts, session }) {
  if (!session) return "choose the number that sends";
  if (read.pending || !read.rows.length) return "say who gets it";
  return wrongWith(texts) || wrongMessage(form) || wrongPace(form);
}

function bodyOf({ form, read, texts }) {
  return {
    numbers: numbersOf(read, texts),
    message: messageOf(form),
    ...paceOf(form),
    ...(form.start && { startAt: new Date(form.start).toISOString() }),
    ...(form.label.trim() && { label: form.label.trim() }),
    ...(form.skip && { invalid: "skip" }),
    ...(form.keep && { duplicates: "keep" }),
  };
}

const Label = ({ form, set }) => html`<div class="field"><label for="label">Label <span class="quiet">(optional)</span></label>
  <input id="label" maxlength="128" autocomplete="off" value=${form.label} placeholder="spring" onInput=${(event) => set({ label: event.target.value })} />
  <span class="hint">What it is for. Lists show it, and can be narrowed by it.</span></div>`;

const Start = ({ form, set }) => html`<div class="field"><label for="start">Start</label>
  <input id="start" type="datetime-local" value=${form.start} onInput=${(event) => set({ start: event.target.value })} />
  <span class="hint">${form.start ? `By your clock (${Intl.DateTimeFormat().resolvedOptions().timeZone}).` : html`Empty: at once. Again and again: <a href="#/schedules/new">a schedule</a>.`}</span></div>`;

function End({ plan: { form, read, lacking } }) {
  const now = useNow(10000);
  const people = read.rows.length - (form.skip ? lacking.count : 0);
  if (!people) return html`<p class="quiet small">Known once there are people.</p>`;
  if (wrongPace(form)) return html`<p class="small">The pace can't be used: ${wrongPace(form)}.</p>`;
  if (!form.min) return html`<p class="small quiet">At the deployment's pace: trying it without sending tells.</p>`;
  const seconds = ((Number(form.min) + Number(form.max)) / 2) * Math.max(0, people - 1);
  const begins = Math.max(now, form.start ? new Date(form.start).getTime() : now);
  return html`<p><b>${moment(begins + seconds * 1000, now)}</b><br /><span class="quiet small">${lasting(seconds)} for ${many(people, "person", "people")},
    if the number stays connected and sends nothing else meanwhile.</span></p>`;
}
