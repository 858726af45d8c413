// Whom it goes to: numbers that were pasted, or a CSV file, with what can't be read named by its line.
import { html, useEffect, useMemo, useRef, useState } from "../html.js";
import { placesOf } from "../placeholders.js";
import { readRecipients } from "../recipients.js";
import { amount, many, standing } from "../words.js";

/** Most recipients of one broadcast, as the API has it. */
export const PEOPLE_MAX = 100000;
/** Lines that are wrong, shown at once. */
const FAULTS_SHOWN = 100;

export const EMPTY_WHO = { people: "", skip: false, keep: false };

/** Reads what was pasted a moment after the last key, so that typing stays smooth with 100,000 lines. */
export function useRead({ people, keep }) {
  const [settled, settle] = useState(people);
  useEffect(() => {
    const timer = setTimeout(() => settle(people), people.length > 20000 ? 250 : 0);
    return () => clearTimeout(timer);
  }, [people]);
  const read = useMemo(() => readRecipients(settled, { keep }), [settled, keep]);
  return { ...read, pending: settled !== people };
}

/** Why it can't go to those; null if it can. `lacking` are those who lack a variable of `texts`. */
export function wrongWho({ form, read, lacking }) {
  if (read.pending) return "the list is being read";
  if (!read.rows.length) return read.faults.length ? "no line has a number" : "say who gets it";
  if (read.rows.length > PEOPLE_MAX) return `at most ${amount(PEOPLE_MAX)} people at once, these are ${amount(read.rows.length)}`;
  if (read.faults.length && !form.skip) return `mend ${many(read.faults.length, "line")}, or leave them out`;
  if (lacking.unknown.length && !read.columns?.variables.length) return `${lacking.unknown[0]} needs a CSV with a column of that name, or a default: {{${lacking.unknown[0]}|there}}`;
  if (lacking.unknown.length) return `there is no column ${lacking.unknown[0]}`;
  if (lacking.count && !form.skip) return `${many(lacking.count, "person has", "people have")} no ${lacking.name}: give it a default ({{${lacking.name}|there}}), or leave them out`;
  return lacking.count === read.rows.length ? `nobody has a ${lacking.name}` : null;
}

/** Who lacks a variable that has no default: {unknown: names of no column, count, name, first: lines}. */
export function lackingOf(read, texts) {
  const needed = placesOf(texts).filter((place) => place.default === null).map((place) => place.name);
  const columns = read.columns?.variables || [];
  const known = needed.filter((name) => columns.includes(name));
  const without = known.length ? read.rows.filter((row) => known.some((name) => !row.variables[name])) : [];
  return { unknown: needed.filter((name) => !columns.includes(name)), count: without.length, name: known.find((name) => without[0] && !without[0].variables[name]), lines: without.slice(0, FAULTS_SHOWN).map((row) => row.line) };
}

/** The recipients as the API takes them, with the variables that are used. */
export function numbersOf(read, texts) {
  const used = placesOf(texts).map((place) => place.name);
  const isPersonal = texts.some((text) => text.includes("{{"));
  return read.rows.map(({ number, reference, variables }) => {
    if (!reference && !isPersonal) return number;
    const own = Object.fromEntries(used.filter((name) => variables[name]).map((name) => [name, variables[name]]));
    return { number, ...(reference && { reference }), ...(isPersonal && { variables: own }) };
  });
}

/** The API names recipients by their place; here they have lines. */
export function named(problem, read) {
  const fields = (problem.fields || []).map((one) => {
    const place = /numbers?\[(\d+)\](.*)/.exec(one.field);
    const row = place && read.rows[Number(place[1])];
    return row ? { field: `line ${row.line}`, problem: `“${row.number}” ${one.problem}` } : one;
  });
  return { title: problem.title, message: fields.some((one) => one.field.startsWith("line")) ? "these lines can't be sent to" : problem.message, code: problem.code, fields };
}

export function From({ able, chosen, set }) {
  return html`<div class="field"><label for="from">From</label>
    <select id="from" value=${chosen?.token || ""} onChange=${(event) => set({ token: event.target.value })}>
      <option value="" disabled>Choose a number</option>
      ${able.map((one) => html`<option value=${one.token}>${one.token}${one.pushName ? ` (${one.pushName})` : ""}: ${standing(one)[0].toLowerCase()}</option>`)}</select>
    ${!able.length && html`<span class="hint">No number is linked yet. <a href="#/numbers/new">Add one</a></span>`}
    ${chosen && chosen.state !== "open" && html`<span class="hint">It does not send at this moment (${chosen.waiting?.detail || standing(chosen)[0].toLowerCase()}); what it is given waits until it does.</span>`}</div>`;
}

export function To({ form, set, read, lacking }) {
  const [over, setOver] = useState(false);
  const file = useRef();
  const take = async (files) => {
    setOver(false);
    if (files[0]) set({ people: await files[0].text() });
  };
  return html`<div class="field"><div class="row spread"><label for="people">To</label>
      <button type="button" class="button narrow" onClick=${() => file.current.click()}>Choose a CSV file</button></div>
    <input type="file" class="hidden" ref=${file} accept=".csv,.txt,text/csv,text/plain" tabindex="-1" aria-label="CSV file" onChange=${(event) => { take(event.target.files); event.target.value = ""; }} />
    <div class="drop ${over ? "over" : ""}" onDragOver=${(event) => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)}
      onDrop=${(event) => { event.preventDefault(); take(event.dataTransfer.files); }}>
      <textarea id="people" spellcheck="false" value=${form.people} placeholder=${"+55 11 90000-0001\n+55 11 90000-0002\n\nor a CSV whose first line names its columns: number,name"}
        onInput=${(event) => set({ people: event.target.value })}></textarea></div>
    <span class="hint">One per line, or a CSV file: paste it, drop it here, or choose it. Its columns are variables of the text.</span></div>
    <${Reading} read=${read} form=${form} set=${set} lacking=${lacking} />`;
}

function Reading({ read, form, set, lacking }) {
  if (!read.rows.length && !read.faults.length) return null;
  const { head, number, reference } = read.columns || {};
  const faults = [...read.faults, ...lacking.lines.map((line) => ({ line, problem: `has no ${lacking.name}` }))];
  const count = read.faults.length + lacking.count;
  return html`<div class="stack" role="status">
    <div class="legend"><span class="dot good"><b>${amount(read.rows.length - lacking.count)}</b> to send to</span>
      ${read.faults.length > 0 && html`<span class="dot bad"><b>${amount(read.faults.length)}</b> can't be read</span>`}
      ${lacking.count > 0 && html`<span class="dot bad"><b>${amount(lacking.count)}</b> without ${lacking.name}</span>`}
      ${read.twice.length > 0 && html`<span class="dot off"><b>${amount(read.twice.length)}</b> twice, ${form.keep ? "each is sent" : "once is sent"}</span>`}</div>
    ${head && html`<p class="small quiet">Numbers from the column <b>${head[number]}</b>${reference != null && html`, references from <b>${head[reference]}</b>`}.</p>`}
    ${faults.length > 0 && html`<ul class="faults" tabindex="0" aria-label="Lines that can't be read">
        ${faults.slice(0, FAULTS_SHOWN).map((one) => html`<li><b>Line ${amount(one.line)}</b> ${one.problem}</li>`)}
        ${count > FAULTS_SHOWN && html`<li>and ${amount(count - FAULTS_SHOWN)} more</li>`}</ul>`}
    ${read.twice.length > 0 && html`<details class="small"><summary class="quiet">Who is twice</summary><ul class="small">
      ${read.twice.slice(0, FAULTS_SHOWN).map((one) => html`<li>Line ${amount(one.line)}: ${one.number}, as in line ${amount(one.first)}</li>`)}</ul></details>`}
    ${(faults.length > 0 || form.skip) && html`<label class="tick"><input type="checkbox" checked=${form.skip} onChange=${(event) => set({ skip: event.target.checked })} />
      Leave out what can't be ${lacking.count ? "sent" : "read"}</label>`}
    ${(read.twice.length > 0 || form.keep) && html`<label class="tick"><input type="checkbox" checked=${form.keep} onChange=${(event) => set({ keep: event.target.checked })} />
      Send to those who are twice each time</label>`}</div>`;
}
