// Is it well, and does anything wait for me?
import { html } from "../html.js";
import { all, get } from "../api.js";
import { useLive } from "../live.js";
import { to } from "../route.js";
import { Empty, Loaded } from "../parts/basics.js";
import { QueueRows } from "../parts/queuerows.js";
import { amount, many } from "../words.js";

/** What only a person can end. */
const FOR_PEOPLE = ["not-paired", "refused", "client-outdated", "proxy", "no-worker"];

export function Home() {
  const live = useLive(async (signal) => {
    const [sessions, queues, hooks] = await Promise.all([
      all("/v1/sessions", 2000), get("/v1/queues?limit=500", signal), all("/v1/webhooks"),
    ]);
    return { sessions, queues: queues.items, hooks };
  }, [], { every: 3000, of: {} });
  return html`<div class="view"><h1>Home</h1><${Loaded} live=${live} rows=${3}>${(data) => html`<${Shown} ...${data} />`}<//></div>`;
}

function Shown({ sessions, queues, hooks }) {
  if (!sessions.length) {
    return html`<${Empty} title="No number yet"><p class="quiet">Link the phone that is to send.</p>
      <a class="button first" href="#/numbers/new">Add a number</a><//>`;
  }
  const wants = [...sessions.map(ofSession), ...hooks.map(ofHook), ...queues.map(ofQueue)].filter(Boolean);
  const today = queues.filter((queue) => new Date(queue.createdAt).toDateString() === new Date().toDateString());
  const sum = (name) => today.reduce((total, queue) => total + queue[name], 0);
  const running = queues.filter((queue) => ["running", "queued"].includes(queue.state)).slice(0, 5);
  return html`
    <p class="answer">${sentence(sessions, wants, queues)}</p>
    ${wants.length > 0 && html`<section class="stack"><h2>Waits for you</h2>
      <div class="wants">${wants.slice(0, 12).map((want) => html`<div class="notice ${want.hue}"><div class="row spread">
        <span><b>${want.who}</b> ${want.what}</span><a class="button narrow" href=${want.href}>${want.verb}</a>
      </div></div>`)}</div></section>`}
    <section class="stack"><h2>Begun today</h2><div class="tiles">
      <div class="tile"><b>${amount(today.length)}</b><span>broadcasts and messages</span></div>
      <div class="tile"><b>${amount(sum("total"))}</b><span>people</span></div>
      <div class="tile"><b>${amount(sum("settled") - sum("failed"))}</b><span>sent to</span></div>
      <div class="tile"><b>${amount(sum("failed"))}</b><span>failed</span></div>
    </div></section>
    ${running.length > 0 && html`<section class="stack"><h2>Under way</h2><${QueueRows} queues=${running} /></section>`}`;
}

function sentence(sessions, wants, queues) {
  const sends = sessions.filter((session) => session.state === "open").length;
  const held = wants.filter((want) => want.of === "session").length;
  const rest = sessions.length - sends - held;
  const parts = [sends ? `${many(sends, "number")} ${sends === 1 ? "sends" : "send"}` : "No number sends"];
  if (held) parts.push(`${amount(held)} ${held === 1 ? "waits" : "wait"} for you`);
  if (rest > 0) parts.push(`${amount(rest)} ${rest === 1 ? "is" : "are"} stopped or connecting`);
  const paused = queues.filter((queue) => queue.state === "paused").length;
  if (paused) parts.push(`${many(paused, "broadcast")} ${paused === 1 ? "is" : "are"} paused`);
  return `${parts.join(", ")}. ${wants.length ? "" : "Nothing waits for you."}`;
}

function ofSession(session) {
  const reason = session.waiting?.reason;
  const of = "session";
  if (session.state === "open" && session.restriction) {
    return { of: "restriction", hue: "wait", who: session.token, what: "may not write to new contacts for now", verb: "Look", href: "#/numbers" };
  }
  if (!session.wanted || !FOR_PEOPLE.includes(reason)) return null;
  const verb = reason === "not-paired" ? "Link" : "Look";
  const href = reason === "not-paired" ? to(["numbers", session.token]) : "#/numbers";
  return { of, hue: reason === "not-paired" ? "wait" : "bad", who: session.token, what: session.waiting.detail, verb, href };
}

function ofHook(hook) {
  if (hook.enabled) return null;
  return { hue: "bad", who: hook.url, what: `gets no events: ${hook.disabledWhy}`, verb: "Look", href: to(["webhooks", hook.id]) };
}

function ofQueue(queue) {
  if (queue.state !== "paused") return null;
  const name = queue.label || queue.reference || `of ${queue.token}`;
  return { hue: "wait", who: `Broadcast ${name}`, what: `is paused at ${queue.progress}\u00a0%`, verb: "Look", href: to(["queues", queue.token, queue.queueId]) };
}
