// What is sent: the kind, the text with its variables, the file, and how it looks on the phone of each of the first people.
import { html, useEffect, useRef, useState } from "../html.js";
import { upload } from "../api.js";
import { KINDS, textsOf } from "../message.js";
import { filled, isName, isPersonal } from "../placeholders.js";
import { exact, many, size } from "../words.js";
import { Wrong } from "./basics.js";

/** People who are shown as examples. */
const EXAMPLES = 3;

export function What({ form, set, variables = [] }) {
  const { caption, file, name, voice } = KINDS[form.kind];
  return html`<div class="filters" role="group" aria-label="Kind">${Object.entries(KINDS).map(([kind, { word }]) => html`<button type="button" class="filter"
      aria-pressed=${form.kind === kind ? "true" : "false"} onClick=${() => set({ kind })}>${word}</button>`)}</div>
    ${file && html`<${File} key=${form.kind} form=${form} set=${set} />`}
    ${name && html`<div class="field"><label for="file-name">Name of the file <span class="quiet">(optional)</span></label>
      <input id="file-name" autocomplete="off" value=${form.fileName} placeholder="offer.pdf" onInput=${(event) => set({ fileName: event.target.value })} /></div>`}
    ${voice && html`<label class="tick"><input type="checkbox" checked=${form.voiceNote} onChange=${(event) => set({ voiceNote: event.target.checked })} /> As a voice note</label>`}
    ${caption && html`<${Text} form=${form} set=${set} label=${caption} optional=${file} variables=${variables} />`}`;
}

/** Where the file is: on this computer, from where it is handed over at once, or at an address. */
function File({ form, set }) {
  return html`<div class="filters" role="group" aria-label="Where the file is">${[["disk", "From this computer"], ["url", "From an address"]].map(([from, word]) => html`<button type="button" class="filter"
      aria-pressed=${form.from === from ? "true" : "false"} onClick=${() => set({ from })}>${word}</button>`)}</div>
    ${form.from === "disk" ? html`<${Chosen} form=${form} set=${set} />` : html`<div class="field"><label for="url">Address of the file</label>
      <input id="url" inputmode="url" autocomplete="off" spellcheck="false" value=${form.url} placeholder="https://example.com/offer.jpg" onInput=${(event) => set({ url: event.target.value })} />
      <span class="hint">Fetched once, when the broadcast begins, and sent to all.</span></div>`}`;
}

function Chosen({ form: { kind, upload: file }, set }) {
  const way = useRef(null);
  useEffect(() => () => way.current?.abort(), []);
  const choose = async ({ target }) => {
    const [chosen] = target.files;
    if (!chosen) return;
    way.current?.abort();
    const mine = (way.current = new AbortController());
    const of = { name: chosen.name, length: chosen.size };
    const tell = (change) => mine.signal.aborted || set({ upload: { ...of, ...change } });
    tell({ part: 0 });
    try {
      const { id, expiresAt } = await upload(chosen, (part) => tell({ part }), mine.signal);
      tell({ id, expiresAt });
    } catch (problem) {
      tell({ problem });
    }
  };
  return html`<div class="field"><label for="file">File</label>
      <input id="file" type="file" accept=${ACCEPT[kind]} onChange=${choose} />
      ${file && !file.id && !file.problem && html`<progress max="1" value=${file.part} aria-label="Handed over"></progress>`}
      <span class="hint" role="status">${!file ? "Handed over as soon as it is chosen, and sent to all." : file.problem ? "It was not taken." : file.id
        ? html`<b>${file.name}</b> (${size(file.length)}) is there, and kept until ${exact(file.expiresAt)}.` : `${Math.floor(100 * file.part)} % of ${size(file.length)} handed over…`}</span></div>
    <${Wrong} problem=${file?.problem} />`;
}

const ACCEPT = { image: "image/*", video: "video/*", audio: "audio/*" };

function Text({ form, set, label, optional, variables }) {
  const area = useRef();
  const insert = (name) => {
    const { selectionStart: from, selectionEnd: until } = area.current;
    const piece = `{{${name}}}`;
    set({ text: form.text.slice(0, from) + piece + form.text.slice(until) });
    // Behind it, when it is drawn.
    requestAnimationFrame(() => {
      area.current?.focus();
      area.current?.setSelectionRange(from + piece.length, from + piece.length);
    });
  };
  return html`<div class="field"><div class="row spread"><label for="text">${label}${optional ? html` <span class="quiet">(optional)</span>` : ""}</label><span class="small quiet figures">${many([...form.text].length, "character")}</span></div>
    <textarea id="text" rows="5" ref=${area} value=${form.text} onInput=${(event) => set({ text: event.target.value })}></textarea>
    ${variables.length > 0 && html`<div class="row small" role="group" aria-label="Variables"><span class="quiet">Insert</span>
      ${variables.map((name) => html`<button type="button" class="insert" disabled=${!isName(name)} title=${isName(name) ? `what stands in the column ${name}` : "a column of this name can be no variable"} onClick=${() => insert(name)}>${name}</button>`)}</div>
      <span class="hint">What stands there for those who have none: <code>{{${variables.find(isName) || "name"}|there}}</code></span>`}</div>`;
}

/** The message as the phones of the first people show it. */
export function Preview({ form, rows }) {
  const [at, setAt] = useState(0);
  const people = rows.slice(0, EXAMPLES);
  const row = people[Math.min(at, people.length - 1)];
  const { file, word, name } = KINDS[form.kind];
  const shown = form.text || file;
  return html`<div class="phone">${shown ? html`<div class="bubble">
      ${file && html`<div class="attached"><b>${word}</b><span class="small">${name && form.fileName ? html`<${Filled} text=${form.fileName} row=${row} />` : where(form)}</span></div>`}
      ${form.text && form.kind !== "audio" && html`<${Filled} text=${form.text} row=${row} />`}</div>` : html`<p class="quiet small">The message, as a phone shows it.</p>`}</div>
    ${people.length > 1 && textsOf(form).some(isPersonal) && html`<div class="row small" role="group" aria-label="Whose message">${people.map((one, index) => html`<button type="button" class="filter" key=${one.line}
      aria-pressed=${one === row ? "true" : "false"} onClick=${() => setAt(index)}>${one.number}</button>`)}</div>`}`;
}

const where = ({ from, upload: file, url }) => (from === "disk" ? file?.name || "no file yet" : url.replace(/^https?:\/\//i, "") || "no address yet");

const Filled = ({ text, row }) => filled(text, row?.variables).map(({ text: part, from }) => (from ? html`<span class="filled ${from}" title=${TITLES[from]}>${part}</span>` : part));
const TITLES = { variable: "from their column", default: "they have none: the default", missing: "they have none, and there is no default" };
