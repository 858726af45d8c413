// Who wrote, and what did we answer? The chats of a number, what is found in them, and beside them the one that is read.
import { html, useEffect, useState } from "../html.js";
import { all, get } from "../api.js";
import { SESSIONS, useLive } from "../live.js";
import { go, narrow, to } from "../route.js";
import { amount, kindOf, many, phone } from "../words.js";
import { Ago, Empty, Loaded, Wrong } from "../parts/basics.js";
import { CHATS, nameOf, Ticks } from "../parts/chats.js";
import { Thread } from "./thread.js";

const ROWS = 50;
const FOUND = 20;
/** How long after the last key it is searched. */
const TYPED_MS = 250;

export function Chats({ token, chat, query }) {
  const live = useLive(() => all("/v1/sessions", 2000), [], { every: 5000, of: SESSIONS });
  return html`<div class="view wide"><${Loaded} live=${live}>${(sessions) => html`<${Of} sessions=${sessions} token=${token} chat=${chat} query=${query} />`}<//></div>`;
}

function Of({ sessions, token, chat, query }) {
  const linked = sessions.filter((one) => one.jid || one.token === token);
  const chosen = token || (linked.length === 1 ? linked[0].token : "");
  const text = query.get("text") || "";
  return html`<div class="head ${chat ? "notsmall" : ""}"><h1>Chats</h1><div class="row">
      <input class="search" type="search" data-search placeholder="Search  /" aria-label="Search chats and messages" disabled=${!chosen} ...${useSearch(text)} />
      <select class="search" aria-label="Number" value=${chosen} onChange=${(event) => go(["chats", event.target.value])}>
        <option value="" disabled>Choose a number</option>${linked.map((one) => html`<option value=${one.token}>${one.token}${one.pushName ? ` (${one.pushName})` : ""}</option>`)}</select></div></div>
    ${chosen ? html`<div class="chats ${chat ? "reads" : ""}">
        <div class="chatlist"><${List} key="${chosen} ${text}" token=${chosen} chat=${chat} text=${text} />${text && html`<${Found} token=${chosen} text=${text} />`}</div>
        ${chat ? html`<${Thread} key="${chosen} ${chat}" token=${chosen} chat=${chat} text=${text} session=${sessions.find((one) => one.token === chosen)} />`
          : html`<div class="thread nothing notsmall"><p class="quiet">Choose a chat to read it.</p></div>`}</div>`
      : html`<${Empty} title=${linked.length ? "Whose chats?" : "No number yet"}>${linked.length ? html`<p class="quiet">Choose the number above.</p>` : html`<a class="button first" href="#/numbers/new">Add a number</a>`}<//>`}`;
}

/** A field whose text stands in the address a moment after it was typed. */
function useSearch(text) {
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  useEffect(() => {
    const timer = setTimeout(() => typed !== text && narrow({ text: typed }), TYPED_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return { value: typed, onInput: (event) => setTyped(event.target.value) };
}

function List({ token, chat, text }) {
  const [rows, setRows] = useState(ROWS);
  const [only, setOnly] = useState(false);
  const asked = new URLSearchParams({ ...(text && { text }), ...(only && { only: "received" }) });
  const live = useLive((signal) => some(`/v1/sessions/${token}/chats?${asked}`, rows, signal), [token, String(asked), rows], { every: 1000, of: { ...CHATS, token } });
  return html`<div class="filters" role="group" aria-label="Which chats">${[[false, "All"], [true, "Who wrote"]].map(([which, word]) => html`<button class="filter"
      aria-pressed=${only === which ? "true" : "false"} onClick=${() => setOnly(which)}>${word}</button>`)}</div><${Loaded} live=${live} rows=${6}>${({ items, more }) => items.length ? html`<ul aria-label="Chats">${items.map((one) => html`<${Row} key=${one.id} token=${token} chat=${one} text=${text} isOpen=${one.id === chat} />`)}</ul>
      ${more && html`<button class="button narrow" onClick=${() => setRows(rows + ROWS)}>More chats</button>`}`
    : more ? html`<button class="button narrow" onClick=${() => setRows(rows + ROWS)}>Look further back</button>`
    : text ? html`<p class="quiet small">No chat is called so.</p>` : html`<${Empty} title=${only ? "Nobody has written yet" : "No chats yet"}><p class="quiet">Chats show here when somebody writes to this number${only ? "" : ", or it writes to them"}.</p><//>`}<//>`;
}

/** The first rows of a list, and whether there may be more: a page of it may be short. */
async function some(path, rows, signal) {
  const items = [];
  let cursor = "";
  for (let pages = Math.ceil(rows / ROWS); pages > 0 && items.length < rows; pages -= 1) {
    const page = await get(`${path}&limit=${Math.min(500, rows - items.length)}${cursor}`, signal);
    items.push(...page.items);
    if (!page.next) return { items, more: false };
    cursor = `&cursor=${encodeURIComponent(page.next)}`;
  }
  return { items, more: true };
}

function Row({ token, chat, text, isOpen }) {
  const { lastMessage: last, unread } = chat;
  return html`<li><a class="chat" href=${to(["chats", token, chat.id], { text })} aria-current=${isOpen ? "true" : undefined}>
    <span class="row spread"><b class="cut">${nameOf(chat)}</b><span class="small quiet"><${Ago} at=${last?.timestamp || chat.timestamp} /></span></span>
    <span class="row spread"><span class="small quiet cut">${last && html`${last.fromMe && html`<${Ticks} state=${last.state} /> `}${last.text || kindOf(last.type)}`}</span>
      ${unread > 0 && html`<span class="unread" title=${many(unread, "message") + " since somebody last answered"}>${amount(unread)}<span class="hidden"> unread</span></span>`}</span></a></li>`;
}

/** Messages in which all words are. */
function Found({ token, text }) {
  const live = useLive((signal) => get(`/v1/sessions/${token}/messages?limit=${FOUND}&text=${encodeURIComponent(text)}`, signal), [token, text], { every: 3000, of: { ...CHATS, token } });
  if (!live.data) return html`<${Wrong} problem=${live.problem} />`;
  return html`<h2>Messages</h2>${live.data.items.length ? html`<ul aria-label="Messages found">${live.data.items.map((one) => html`<li key=${one.id}><a class="chat" href=${to(["chats", token, one.chat], { text })}>
      <span class="row spread"><b class="cut">${one.fromMe ? "You" : one.pushName || phone(one.sender || one.chat)}</b><span class="small quiet"><${Ago} at=${one.timestamp} /></span></span>
      <span class="small quiet cut">${one.text}</span></a></li>`)}</ul>` : html`<p class="quiet small">No message has these words.</p>`}`;
}
