// One chat: its messages, how far ours came, which queue they are of, and a reply.
import { html, useLayoutEffect, useRef, useState } from "../html.js";
import { freshId, get, post, remove } from "../api.js";
import { refresh, useLive } from "../live.js";
import { go, to } from "../route.js";
import { exact, dayOf, kindOf, momentOfDay, phone, standing } from "../words.js";
import { Bones, Copy, Wrong } from "../parts/basics.js";
import { CHATS, nameOf, Ticks } from "../parts/chats.js";
import { Confirm } from "../parts/dialog.js";
import { hasFile, Received } from "../parts/received.js";

const ROWS = 50;
/** So near to its end a thread is kept there when something comes. */
const NEAR_PX = 80;

export function Thread({ token, chat, session, text }) {
  const path = `/v1/sessions/${token}/chats/${encodeURIComponent(chat)}`;
  const of = { ...CHATS, token };
  const about = useLive((signal) => get(path, signal).catch(unlessUnknown), [path], { every: 5000, of });
  const newest = useLive((signal) => get(`${path}/messages?limit=${ROWS}`, signal), [path], { every: 500, of });
  const [older, setOlder] = useState({ items: [], next: undefined });
  const [sent, setSent] = useState([]);
  const messages = merged(newest.data?.items || [], older.items);
  const known = new Set(messages.map((one) => one.id));
  const waiting = sent.filter((one) => !known.has(one.id));
  const next = older.next === undefined ? newest.data?.next : older.next;
  const earlier = async () => {
    const page = await get(`${path}/messages?limit=${ROWS}&cursor=${encodeURIComponent(next)}`);
    setOlder((before) => ({ items: [...before.items, ...page.items], next: page.next }));
  };
  return html`<section class="thread" aria-label="Chat">
    <header class="row spread"><div><a class="small onlysmall" href=${to(["chats", token], { text })}>Chats</a><h2>${nameOf(about.data || { id: chat })}</h2>
      <span class="small quiet"><${Copy} text=${chat} label="Copy the jid" /></span></div><${Delete} token=${token} chat=${chat} name=${nameOf(about.data || { id: chat })} /></header>
    ${newest.data ? html`<${Messages} token=${token} messages=${messages} waiting=${waiting} next=${next} earlier=${earlier} />`
      : newest.problem ? html`<${Wrong} problem=${newest.problem} again=${newest.again} />` : html`<${Bones} />`}
    <${Reply} token=${token} chat=${chat} session=${session} sent=${(one) => setSent((before) => [...before, one])} /></section>`;
}

/** Deletes the chat, or all that is kept of the person; which of them is asked first. */
function Delete({ token, chat, name }) {
  const [asks, setAsks] = useState(null);
  const gone = (path) => async () => {
    await remove(`/v1/sessions/${token}/${path}/${encodeURIComponent(chat)}`);
    refresh();
    go(["chats", token]);
  };
  const ask = {
    chat: { title: "Delete the chat?", verb: "Delete chat", act: gone("chats"), words: `What ${name} wrote here, and that the chat is listed, is removed from Fanfare. Their phone keeps it, and what was sent stays with its queues.` },
    person: { title: "Delete all of this person?", verb: "Delete person", act: gone("people"), words: `All that is kept of ${name} is removed: the chat, what they wrote in groups, their name, their number in finished queues, and the keys that their devices share with this number, which connects anew. A queue that still has them has to end first.` },
  };
  return html`<div class="row"><button class="button narrow" onClick=${() => setAsks(ask.chat)}>Delete chat</button>
    ${!chat.includes("@g.us") && html`<button class="button narrow" onClick=${() => setAsks(ask.person)}>Delete person</button>`}
    ${asks && html`<${Confirm} ...${asks} close=${() => setAsks(null)} />`}</div>`;
}

/** One that is not listed is no fault. */
function unlessUnknown(problem) {
  if (problem.status === 404) return null;
  throw problem;
}

/** Both pages, the newest last; what is in both is shown as the newer one has it. */
function merged(newest, older) {
  const seen = new Set();
  return [...newest, ...older].filter(({ id, fromMe }) => !seen.has(`${fromMe} ${id}`) && seen.add(`${fromMe} ${id}`)).reverse();
}

function Messages({ token, messages, waiting, next, earlier }) {
  const box = useRef();
  const near = useRef(true);
  const from = useRef(0);
  const [problem, setProblem] = useState(null);
  const last = `${messages.length} ${waiting.length} ${messages[messages.length - 1]?.id}`;
  // At its end it stays there; elsewhere what is read does not move when earlier ones come before it.
  useLayoutEffect(() => {
    const { scrollHeight } = box.current;
    if (near.current) box.current.scrollTop = scrollHeight;
    else if (from.current) box.current.scrollTop += scrollHeight - from.current;
    from.current = 0;
  }, [last]);
  const scrolled = ({ target }) => (near.current = target.scrollHeight - target.scrollTop - target.clientHeight < NEAR_PX);
  const more = () => {
    near.current = false;
    from.current = box.current.scrollHeight;
    earlier().catch(setProblem);
  };
  let day = "";
  return html`<div class="messages" ref=${box} onScroll=${scrolled} tabindex="0" role="log" aria-label="Messages">
    <${Wrong} problem=${problem} />
    ${next && html`<button class="button narrow earlier" onClick=${more}>Earlier ones</button>`}
    ${!messages.length && !waiting.length && html`<p class="quiet small">Nothing was written here yet.</p>`}
    ${messages.map((one) => {
      const begins = dayOf(one.timestamp) !== day;
      day = dayOf(one.timestamp);
      return html`${begins && html`<p class="day small quiet" key=${day}>${day}</p>`}<${Message} key="${one.fromMe} ${one.id}" token=${token} message=${one} />`;
    })}
    ${waiting.map((one) => html`<div class="said ours" key=${one.id}><div class="words">${one.text}</div><div class="small quiet">handed over <${Ticks} state="sending" /></div></div>`)}</div>`;
}

function Message({ token, message }) {
  const { fromMe, type, text, timestamp, deletedAt, editedAt, reactions = [], state, queueId, pushName, sender, chat } = message;
  const kind = kindOf(type);
  // It stands beside the file already.
  const isFileName = hasFile(message) && text === message.message.fileName;
  return html`<div class="said ${fromMe ? "ours" : ""}" data-id=${message.id}>
    ${!fromMe && chat.endsWith("@g.us") && html`<b class="small">${pushName || phone(sender)}</b>`}
    ${deletedAt ? html`<i class="quiet">deleted</i>` : html`${(kind !== "text" || !text) && html`<span class="kind small">${kind}</span>`}${hasFile(message) && html`<${Received} token=${token} message=${message} />`}${text && !isFileName && html`<div class="words">${text}</div>`}`}
    ${reactions.length > 0 && html`<div class="small reactions">${reactions.map((one) => html`<span title=${one.fromMe ? "you" : phone(one.sender)}>${one.text}</span>`)}</div>`}
    <div class="small quiet row foot">${queueId && html`<a href=${to(["queues", token, queueId])}>queue</a>`}
      ${editedAt && html`<span title=${exact(editedAt)}>edited</span>`}<time datetime=${timestamp} title=${exact(timestamp)}>${momentOfDay(timestamp)}</time>${fromMe && html`<${Ticks} state=${state} />`}</div></div>`;
}

function Reply({ token, chat, session, sent }) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  // The same press twice is one message.
  const once = useRef(freshId());
  const send = async () => {
    if (busy || !text.trim()) return;
    setBusy(true);
    setProblem(null);
    try {
      const taken = await post(`/v1/sessions/${token}/messages`, { numbers: chat, message: { type: "text", text } }, { once: once.current });
      once.current = freshId();
      sent({ id: taken.messageId, text });
      setText("");
      refresh();
    } catch (error) {
      setProblem(error);
    }
    setBusy(false);
  };
  const typed = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  return html`<form class="reply" onSubmit=${(event) => { event.preventDefault(); send(); }}><${Wrong} problem=${problem} />
    ${session && session.state !== "open" && html`<p class="small quiet">${token}: ${standing(session)[0].toLowerCase()}. What you write waits until it sends again.</p>`}
    <div class="row"><textarea aria-label="Reply" rows="2" placeholder="Reply" value=${text} onInput=${(event) => { once.current = freshId(); setText(event.target.value); }} onKeyDown=${typed}></textarea>
      <button class="button first" aria-disabled=${busy || !text.trim()} title=${text.trim() ? "Enter; Shift Enter begins a line" : "write something first"}>Send</button></div></form>`;
}
