// Making a schedule: whom, what, and at which times.
import { html, useMemo, useState } from "../html.js";
import { all, post } from "../api.js";
import { SESSIONS, useLive } from "../live.js";
import { go } from "../route.js";
import { EMPTY_MESSAGE, messageOf, textsOf, wrongMessage } from "../message.js";
import { wrongWith } from "../placeholders.js";
import { Loaded, Wrong } from "../parts/basics.js";
import { Pace, paceOf, wrongPace } from "../parts/pace.js";
import { Preview, What } from "../parts/what.js";
import { EMPTY_WHO, From, lackingOf, named, numbersOf, To, useRead, wrongWho } from "../parts/who.js";

const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const EMPTY = { ...EMPTY_WHO, ...EMPTY_MESSAGE, min: "", max: "", id: "", way: "cron", cron: "0 9 * * 1-5", timezone: HERE, at: "", misfire: "once" };

/** Times that many want, as they are said and as cron says them. */
const USUAL = [["Each day", "0 9 * * *"], ["Monday to Friday", "0 9 * * 1-5"], ["Each Monday", "0 9 * * 1"], ["On the 1st", "0 9 1 * *"], ["Each hour", "0 * * * *"]];
const MISFIRES = { once: "once for all that were missed", skip: "not at all", all: "once for each that was missed" };

export function NewSchedule({ token }) {
  const live = useLive(() => all("/v1/sessions", 2000), [], { every: 5000, of: SESSIONS });
  return html`<div class="view"><a class="small" href="#/schedules">Schedules</a><h1>New schedule</h1>
    <${Loaded} live=${live}>${(sessions) => html`<${Form} sessions=${sessions} token=${token} />`}<//></div>`;
}

function Form({ sessions, token }) {
  const [form, setForm] = useState({ ...EMPTY, token });
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const set = (change) => {
    setForm((before) => ({ ...before, ...change }));
    setProblem(null);
  };
  const read = useRead(form);
  const texts = textsOf(form);
  const lacking = useMemo(() => lackingOf(read, texts), [read.rows, ...texts]);
  const able = sessions.filter((session) => session.jid && !session.deleting);
  const chosen = able.find((one) => one.token === form.token) || (able.length === 1 ? able[0] : null);
  const holds = busy ? "it is being made" : whyNot({ form, read, lacking, texts, session: chosen });
  const submit = async (event) => {
    event.preventDefault();
    if (holds) return;
    setBusy(true);
    try {
      await post(`/v1/sessions/${chosen.token}/schedules`, bodyOf({ form, read, texts }));
      go("schedules");
    } catch (error) {
      setProblem(named(error, read));
      setBusy(false);
    }
  };
  return html`<form class="broadcast" onSubmit=${submit} novalidate>
    <div class="stack gap">
      <section class="sheet step stack"><h2 data-step="1">Who</h2><${From} able=${able} chosen=${chosen} set=${set} />
        <${To} form=${form} set=${set} read=${read} lacking=${lacking} /></section>
      <section class="sheet step stack"><h2 data-step="2">What</h2><${What} form=${form} set=${set} variables=${read.columns?.variables} /></section>
      <section class="sheet step stack"><h2 data-step="3">When</h2><${When} form=${form} set=${set} /><${Pace} form=${form} set=${set} /></section>
      <${Wrong} problem=${problem} />
    </div>
    <aside class="beside" aria-label="What will happen">
      <div class="sheet stack"><h2>What they get</h2><${Preview} form=${form} rows=${read.rows} /></div>
      <button class="button first" aria-disabled=${holds ? "true" : "false"} aria-describedby="why-not">${busy ? "Making it…" : "Make it"}</button>
      <p class="small quiet" id="why-not" role="status">${holds ? `Not yet: ${holds}.` : "Its next firings are shown before it fires."}</p>
    </aside></form>`;
}

function whyNot({ form, read, lacking, texts, session }) {
  if (!session) return "choose the number that sends";
  const first = wrongWith(texts) || wrongWho({ form, read, lacking }) || wrongMessage(form) || wrongPace(form);
  if (first) return first;
  if (!form.id.trim()) return "give it a name";
  if (form.way === "at") return form.at ? null : "say when";
  return form.cron.trim().split(/\s+/).length === 5 ? null : "the times have five fields: minute, hour, day, month, day of the week";
}

function bodyOf({ form, read, texts }) {
  const send = { numbers: numbersOf(read, texts), message: messageOf(form), ...paceOf(form), label: form.id.trim(), ...(form.skip && { invalid: "skip" }), ...(form.keep && { duplicates: "keep" }) };
  const times = form.way === "at" ? { at: new Date(form.at).toISOString() } : { cron: form.cron.trim(), timezone: form.timezone };
  return { id: form.id.trim(), ...times, misfire: form.misfire, send };
}

function When({ form, set }) {
  const zones = useMemo(() => [...new Set(["UTC", HERE, ...Intl.supportedValuesOf("timeZone")])], []);
  const pick = (change) => (event) => set({ [change]: event.target.value });
  return html`<div class="field"><label for="name">Name</label>
      <input id="name" maxlength="128" autocomplete="off" value=${form.id} placeholder="daily" onInput=${pick("id")} /><span class="hint">What you call it by; its queues bear it as their label.</span></div>
    <div class="filters" role="group" aria-label="How often">${[["cron", "Again and again"], ["at", "Once"]].map(([way, word]) => html`<button type="button" class="filter" aria-pressed=${form.way === way ? "true" : "false"} onClick=${() => set({ way })}>${word}</button>`)}</div>
    ${form.way === "at" ? html`<div class="field"><label for="at">At</label><input id="at" type="datetime-local" value=${form.at} onInput=${pick("at")} /><span class="hint">By your clock (${HERE}).</span></div>`
      : html`<div class="pair"><div class="field"><label for="cron">Times, as cron says them</label><input id="cron" class="mono" autocomplete="off" spellcheck="false" value=${form.cron} onInput=${pick("cron")} /></div>
        <div class="field"><label for="zone">Time zone</label><select id="zone" value=${form.timezone} onChange=${pick("timezone")}>${zones.map((zone) => html`<option value=${zone}>${zone}</option>`)}</select></div></div>
        <div class="row">${USUAL.map(([word, cron]) => html`<button type="button" class="button narrow" onClick=${() => set({ cron })}>${word}</button>`)}</div>
        <span class="hint small quiet">Minute, hour, day of the month, month, day of the week (1 is Monday).</span>`}
    <div class="field"><label for="misfire">Where nothing ran at its time, it fires later</label>
      <select id="misfire" value=${form.misfire} onChange=${pick("misfire")}>${Object.entries(MISFIRES).map(([name, words]) => html`<option value=${name}>${words}</option>`)}</select></div>`;
}
