// Small parts that several views use: chips, ids that copy, times, notices, tables' ends, bars.
import { html, useEffect, useRef, useState } from "../html.js";
import { useNow } from "../live.js";
import { amount, exact, lasting, moment, relative, RECIPIENT } from "../words.js";

/** A state as word, colour and shape. */
export const Chip = ({ of: [word, hue], title }) => html`<span class="chip ${hue}" title=${title}>${word}</span>`;

/** A text that a click copies. */
export function Copy({ text, shown = text, label = "Copy", button = false }) {
  const [done, set] = useState(false);
  const copy = async () => {
    await write(text);
    set(true);
    setTimeout(() => set(false), 1500);
  };
  return html`<button type="button" class=${button ? "button narrow" : "copy"} title=${button ? label : `${label}: ${text}`} onClick=${copy}>
    ${done ? "Copied" : shown}<span class="hidden" aria-live="polite">${done ? "copied" : ""}</span>
  </button>`;
}

// Only pages behind https and on this machine may write to the clipboard the newer way.
async function write(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  (document.querySelector("dialog[open]") || document.body).append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** How long ago, with the exact time on hover. */
export function Ago({ at }) {
  const now = useNow(5000);
  if (!at) return html`<span class="quiet">never</span>`;
  return html`<time class="nowrap" datetime=${at} title=${exact(at)}>${relative(at, now)}</time>`;
}

/** How long something has been so, with its beginning on hover. */
export function Since({ at }) {
  const now = useNow(5000);
  const seconds = (now - new Date(at).getTime()) / 1000;
  return html`<time class="nowrap" datetime=${at} title="since ${exact(at)}">${seconds < 5 ? "just now" : `for ${lasting(seconds)}`}</time>`;
}

/** A moment to come, and how long it is until then. */
export function Until({ at }) {
  const now = useNow();
  const left = (new Date(at).getTime() - now) / 1000;
  if (left <= 0) return html`<span class="figures">any moment</span>`;
  return html`<time class="figures" datetime=${at} title=${exact(at)}>
    ${left < 3600 ? `in ${lasting(left)}` : `${moment(at, now)}, in ${lasting(left)}`}
  </time>`;
}

/** What went wrong: what, why, and the code, which copies. */
export function Wrong({ problem, again, children }) {
  if (!problem) return null;
  const [fields, more] = [problem.fields?.slice(0, 8) || [], (problem.fields?.length || 0) - 8];
  return html`<div class="notice bad" role="alert">
    <div class="stack">
      <div><b>${problem.title || "It was not done"}.</b> ${sentence(problem.message)}</div>
      ${fields.length > 0 && html`<ul class="small">
        ${fields.map((one) => html`<li><code>${one.field}</code> ${one.problem}</li>`)}
        ${more > 0 && html`<li>and ${amount(more)} more</li>`}
      </ul>`}
      ${children}
      <div class="row small">
        ${problem.code && html`<span class="quiet">Code <${Copy} text=${problem.code} /></span>`}
        ${again && html`<button class="button narrow" onClick=${again}>Try again</button>`}
      </div>
    </div>
  </div>`;
}

const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".") : "");

/** Says something for people, in the colour of its kind. */
export const Notice = ({ hue = "wait", children }) => html`<div class="notice ${hue}"><div>${children}</div></div>`;

/** What is there while something is fetched, in the shape of what comes. */
export const Bones = ({ rows = 4 }) => html`<div class="bones" aria-label="Loading" role="status">
  ${Array.from({ length: rows }, () => html`<i></i>`)}
</div>`;

/** Nothing yet, and the one thing to do. */
export const Empty = ({ title, children }) => html`<div class="sheet empty"><h2>${title}</h2>${children}</div>`;

/** A view's state around its data: bones at first, the problem if there is none to show, else what is drawn of it. */
export function Loaded({ live, rows, children }) {
  if (live.data !== undefined) {
    const stale = live.problem && live.problem.code !== "offline";
    return html`${stale && html`<${Wrong} problem=${live.problem} again=${live.again} />`}${children(live.data)}`;
  }
  return live.problem ? html`<${Wrong} problem=${live.problem} again=${live.again} />` : html`<${Bones} rows=${rows} />`;
}

/** How many recipients are in each state, as a bar and in words. */
export const ORDER = ["read", "delivered", "sent", "failed", "unknown", "duplicate", "skipped", "sending", "queued"];

export function CountsBar({ counts, total, thin }) {
  const parts = ORDER.filter((state) => counts[state] > 0);
  const words = parts.map((state) => `${amount(counts[state])} ${RECIPIENT[state][0].toLowerCase()}`).join(", ");
  return html`<div class="bar ${thin ? "thin" : ""}" role="img" aria-label="${words || "nobody"} of ${amount(total)}">
    ${parts.map((state) => html`<i key=${state} class=${state === "queued" ? "unsent" : RECIPIENT[state][1]}
      style=${{ flexGrow: counts[state] }}></i>`)}
  </div>`;
}

/** A menu of further things to do. */
export function Menu({ label, items, size = "narrow" }) {
  const root = useRef();
  useEffect(() => {
    const close = (event) => {
      const outside = event.type === "click" ? !root.current?.contains(event.target) : event.key === "Escape";
      if (outside && root.current) root.current.open = false;
    };
    addEventListener("click", close);
    addEventListener("keydown", close);
    return () => {
      removeEventListener("click", close);
      removeEventListener("keydown", close);
    };
  }, []);
  const pick = (item) => {
    root.current.open = false;
    item.act();
  };
  const shown = items.filter(Boolean);
  return html`<details class="menu" ref=${root}>
    <summary class="button ${size}" aria-label=${label}>More</summary>
    <div>${shown.map((item) => html`<button class=${item.grave ? "grave" : ""} onClick=${() => pick(item)}>${item.name}</button>`)}</div>
  </details>`;
}
