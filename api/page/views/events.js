// What just happened? The events as they come, narrowed by number and kind, held still to be read.
import { html, useEffect, useRef, useState } from "../html.js";
import { all } from "../api.js";
import { SESSIONS, useEvents, useLive, useSilent } from "../live.js";
import { narrow, to } from "../route.js";
import { amount, exact, many, momentary } from "../words.js";
import { Copy, Empty, Notice, Since } from "../parts/basics.js";

/** Events that are kept, and how often those that came are shown. */
const KEPT = 500;
const SHOW_MS = 250;

/** Kinds of events by the beginnings of their names. */
const KINDS = {
  sends: ["Sends", ["send.message:", "paused.queue", "resumed.queue", "deleted.queue"]],
  messages: ["Messages", ["new.message", "status.broadcast", "messages.update", "messages.delete", "message.reaction", "poll.vote", "message.link_click"]],
  connections: ["Connections", ["connection.", "qrcode.", "session."]],
  jobs: ["Jobs", ["job."]],
};

export function Events({ query }) {
  const [number, kind] = ["number", "kind"].map((name) => query.get(name) || "");
  const [paused, setPaused] = useState(false);
  const tail = useTail({ token: number || undefined, names: KINDS[kind]?.[1] }, paused);
  return html`<div class="view"><div class="head"><h1>Events</h1><div class="row">
      <${Numbers} number=${number} />
      <button class="button ${paused ? "first" : ""}" aria-pressed=${paused ? "true" : "false"} onClick=${() => setPaused(!paused)}>${paused ? "Go on" : "Pause"}</button>
      <button class="button" aria-disabled=${!tail.rows.length} onClick=${tail.clear}>Clear</button></div></div>
    <div class="filters" role="group" aria-label="Kind">
      ${[["", ["All"]], ...Object.entries(KINDS)].map(([name, [word]]) => html`<button class="filter" aria-pressed=${kind === name ? "true" : "false"} onClick=${() => narrow({ kind: name })}>${word}</button>`)}</div>
    <${Standing} tail=${tail} paused=${paused} />
    ${tail.rows.length ? html`<ol class="events" aria-label="Events, the newest first">${tail.rows.map((row) => (row.missing ? html`<${Gap} key=${row.key} row=${row} />` : html`<${Row} key=${row.key} row=${row} />`))}</ol>`
      : html`<${Empty} title="Nothing has happened yet"><p class="quiet">What happens from now on shows here, as it happens.${number || kind ? " What is of another number or kind does not." : ""}</p><//>`}</div>`;
}

function Numbers({ number }) {
  const live = useLive(() => all("/v1/sessions", 2000), [], { every: 5000, of: SESSIONS });
  const tokens = [...new Set([...(live.data || []).map((one) => one.token), ...(number ? [number] : [])])];
  return html`<select class="search" aria-label="Number" value=${number} onChange=${(event) => narrow({ number: event.target.value })}>
    <option value="">All numbers</option>${tokens.map((token) => html`<option value=${token}>${token}</option>`)}</select>`;
}

function Standing({ tail, paused }) {
  const silent = useSilent();
  return html`${silent && html`<${Notice}><b>Events do not come</b> <${Since} at=${silent} />; it is tried again by itself. What happens meanwhile does not come later: queues and numbers tell how they are.<//>`}
    <p class="small quiet figures" role="status">${paused ? html`<b>Held.</b> ${many(tail.held, "event")} came since${tail.held > KEPT ? `, of which the last ${amount(KEPT)} are kept` : ""}.`
      : html`${many(tail.count, "event")} since this view was opened${tail.count > KEPT ? `, the last ${amount(KEPT)} are shown` : ""}.`}</p>`;
}

/** The newest events of a kind, the newest first; while `paused` they wait to be shown. */
function useTail(of, paused) {
  const [shown, show] = useState({ rows: [], count: 0, held: 0 });
  const box = useRef(null);
  box.current ??= new Tail();
  const tail = box.current;
  const name = `${of.token} ${of.names}`;
  useEffect(() => tail.clear(), [name]);
  // All kinds are taken, so that one that is missing is missed; only those of the kind are shown.
  const isShown = ({ event }) => !of.names || of.names.some((begin) => event.startsWith(begin));
  useEvents({ token: of.token }, (envelope) => tail.take(envelope, isShown(envelope)));
  useEffect(() => {
    tail.paused = paused;
    tail.dirty = true;
    const timer = setInterval(() => tail.dirty && show(tail.state()), SHOW_MS);
    return () => clearInterval(timer);
  }, [paused]);
  const clear = () => {
    tail.clear();
    show(tail.state());
  };
  return { ...shown, clear };
}

class Tail {
  constructor() {
    this.paused = false;
    this.came = 0;
    this.clear();
  }

  clear() {
    Object.assign(this, { rows: [], waiting: [], count: 0, held: 0, dirty: true, last: new Map() });
  }

  take(envelope, isShown) {
    this.miss(envelope);
    if (!isShown) return;
    this.came += 1;
    this.count += 1;
    this.held += this.paused ? 1 : 0;
    this.waiting.push({ key: this.came, envelope });
    if (this.waiting.length > 2 * KEPT) this.waiting = this.waiting.slice(-KEPT);
    this.dirty = true;
  }

  /** Notes how many events of a number lie between this one and the last. */
  miss({ instance: { name }, sequence }) {
    const after = this.last.get(name) ?? sequence;
    this.last.set(name, sequence);
    const missing = sequence - after - 1;
    // A session that was made anew counts from the beginning.
    if (missing < 1) return;
    this.came += 1;
    this.waiting.push({ key: this.came, missing, name, after });
    this.dirty = true;
  }

  state() {
    if (!this.paused) {
      this.rows = [...this.waiting.reverse(), ...this.rows].slice(0, KEPT);
      Object.assign(this, { waiting: [], held: 0 });
    }
    this.dirty = false;
    return { rows: this.rows, count: this.count, held: this.held };
  }
}

/** Events count up by number: some did not come. */
const Gap = ({ row: { missing, name, after } }) => html`<li class="event missed"><span role="note"><b>${many(missing, "event")} of ${name} did not come here</b>
  <span class="quiet"> behind number ${after}: the connection was away, or this page was too slow for them. Webhooks and the broker have them.</span></span></li>`;

function Row({ row: { envelope } }) {
  const { event, instance, data, timestamp } = envelope;
  const [open, setOpen] = useState(false);
  const link = linkOf(envelope);
  return html`<li class="event"><details onToggle=${(toggled) => setOpen(toggled.target.open)}>
      <summary><time class="figures quiet" datetime=${new Date(timestamp).toISOString()} title=${exact(timestamp)}>${momentary(timestamp)}</time> <b>${event}</b> <span class="of">${instance.name}</span> <span class="quiet gist">${gist(event, data)}</span></summary>
      ${open && html`<pre class="code" tabindex="0">${JSON.stringify(envelope, null, 2)}</pre>`}</details>
    <div class="row">${link && html`<a class="button narrow" href=${link[1]}>${link[0]}</a>`}
      <${Copy} text=${JSON.stringify(envelope)} shown="Copy" label="Copy as JSON" button /></div></li>`;
}

/** What an event is about, to be opened. */
function linkOf({ event, instance: { name }, data }) {
  const queue = data.queue?.queueId || data.queueId;
  if (queue) return ["Queue", to(["queues", name, queue])];
  const chat = data.header?.wuid || data.update?.header?.wuid;
  if (chat) return ["Chat", to(["chats", name, chat])];
  if (/^(connection|qrcode|session)\./.test(event)) return ["Number", "#/numbers"];
  return null;
}

/** What happened, in a few words. */
function gist(event, data) {
  if (event.startsWith("send.message:")) return sending(data);
  if (event === "new.message") return `${data.header.pushName || data.header.wuid.split("@")[0]}: ${wordsOf(data.body)}`;
  if (event === "message.reaction") return `${data.header.pushName || data.header.wuid.split("@")[0]}: ${data.reaction.text ?? "–"}`;
  if (event === "poll.vote") return `${data.poll.name}: ${data.vote.selectedOptions.join(", ") || "–"}`;
  if (event === "messages.update") return `${data.update?.status ?? ""} ${data.update?.header?.messageId ?? ""}`;
  if (event === "connection.update") return `${data.state} (${data.statusReason})`;
  return data.code || data.kind || data.passkey?.stage || data.state || (data.queue ? `${data.queue.progress} %` : "");
}

function sending({ queue, number, message }) {
  if (!queue) return [number?.split("@")[0], message].filter(Boolean).join(": ");
  const who = queue.recipient ? `${queue.recipient.number.split("@")[0]} ${queue.recipient.state}, ` : "";
  return `${who}${queue.progress} %`;
}

const wordsOf = ({ messageType, message }) => (typeof message === "string" ? message : message?.text || message?.caption || messageType);
