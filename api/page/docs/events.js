// The AsyncAPI document as a page: jobs by AMQP, events by AMQP, webhooks and socket.io; what each is made of, with its examples.
import { html, render, useEffect, useMemo, useState } from "../html.js";
import { Copy } from "../parts/basics.js";
import { Schema, Words } from "./schema.js";

const last = (reference) => reference.split("/").pop();

/** Whether it goes by socket.io. */
const isSocket = (id) => id.startsWith("socket.");

/** What Fanfare receives, clients publish; and the other way round. */
const KINDS = { receive: ["JOB", "busy"], send: ["EVENT", "good"] };

function Docs() {
  const [document, setDocument] = useState(null);
  const [problem, setProblem] = useState(null);
  const [search, setSearch] = useState("");
  useEffect(() => {
    fetch("/v1/asyncapi.json", { credentials: "omit" }).then((answer) => answer.json()).then(setDocument, setProblem);
  }, []);
  const families = useMemo(() => (document ? grouped(document, search) : []), [document, search]);
  useEffect(() => {
    if (document) window.document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
  }, [document]);
  if (problem) return html`<main class="main"><div class="notice bad"><div>The document can't be read: ${problem.message}.</div></div></main>`;
  return html`<div class="frame"><header class="side">
      <a class="brand" href="/"><img src=${new URL("../icon.svg", import.meta.url)} alt="" />Fanfare</a>
      <nav class="nav docsnav" aria-label="Families">${families.map(([name, list]) => html`<a href="#${name}">${name}<span class="small quiet count">${list.length}</span></a>`)}</nav>
    </header>
    <main class="main" id="main"><div class="view">
      <div class="head"><div><h1>Jobs and events</h1><p class="quiet">${document ? html`<${Words} text=${document.info.description} /> Version ${document.info.version}.` : "…"}</p></div>
        <input class="search" type="search" data-search placeholder="Search  /" aria-label="Search messages" value=${search} onInput=${(event) => setSearch(event.target.value)} /></div>
      <p class="small">The document itself: <a href="/v1/asyncapi.json">asyncapi.json</a>. <a href="/docs">The HTTP API</a>. <a href="/">The page for people</a>.</p>
      ${families.map(([name, list]) => html`<section class="stack" key=${name}><h2 id=${name} class="family">${name}</h2>
        ${list.map((one) => html`<${Operation} key=${one.id} ...${one} document=${document} />`)}</section>`)}
      ${document && !families.length && html`<p>Nothing of this name.</p>`}
    </div></main></div>`;
}

/** Jobs together, then events by the first word of their names (those of queues by theirs), then what webhooks and clients of
 * socket.io get, and what those ask. */
function grouped(document, search) {
  const families = new Map();
  const wanted = search.toLowerCase();
  const all = Object.entries(document.operations).map(([id, operation]) => ({ id, operation }));
  const order = ({ id, operation }) => (isSocket(id) ? 3 : operation.action === "receive" ? 0 : id === "webhook" ? 2 : 1);
  for (const one of all.sort((left, right) => order(left) - order(right))) {
    const { id, operation } = one;
    const words = id.split(".");
    const name = operation.action === "receive" && !isSocket(id) ? "jobs" : words[words.at(-1) === "queue" ? 1 : 0];
    if (!`${id} ${operation.title} ${operation.summary}`.toLowerCase().includes(wanted)) continue;
    families.set(name, [...(families.get(name) || []), one]);
  }
  return [...families];
}

function Operation({ id, operation, document }) {
  const [open, setOpen] = useState(decodeURIComponent(location.hash) === `#${id}`);
  const [word, hue] = id === "webhook" || isSocket(id) ? [id === "webhook" ? "POST" : "EMIT", "wait"] : KINDS[operation.action];
  const channel = document.channels[last(operation.channel.$ref)];
  const message = document.components.messages[last(operation.messages[0].$ref)];
  return html`<details class="operation" id=${id} open=${open} onToggle=${(event) => setOpen(event.target.open)}>
    <summary><span class="verb ${hue}">${word}</span><code>${operation.title}</code><span class="quiet small brief"><${Words} text=${operation.summary} /></span></summary>
    ${open && html`<div class="stack inside"><p><${Words} text=${operation.summary} /></p>
      <${Way} channel=${channel} message=${message} />
      <${Beside} message=${message} document=${document} />
      <h3>Body <span class="quiet small">${message.contentType}</span></h3><${Schema} of=${message.payload} document=${document} />
      <${Examples} message=${message} />
      ${operation.reply && html`<${Reply} document=${document} reply=${operation.reply} />`}</div>`}</details>`;
}

/** Where it goes: exchange and routing key. */
function Way({ channel, message }) {
  const { exchange } = channel.bindings?.amqp || {};
  if (!exchange) return html`<p class="small"><${Words} text=${channel.description} /></p>`;
  return html`<h3>Way</h3><dl class="facts"><dt>Exchange</dt><dd><code>${exchange.name}</code> <span class="small quiet">${exchange.type}</span></dd>
    <dt>Routing key</dt><dd><code>${channel.address}</code></dd><dt><code>type</code></dt><dd><code>${message.bindings.amqp.messageType}</code></dd></dl>`;
}

/** What goes beside the body: headers, or the properties of AMQP. */
function Beside({ message, document }) {
  const properties = message["x-amqp-properties"];
  if (!properties && !message.headers) return null;
  return html`<h3>${properties ? "Properties" : "Headers"}</h3><${Schema} of=${properties || message.headers} document=${document} />`;
}

function Examples({ message }) {
  if (!message.examples?.length) return null;
  return html`<h3>Examples</h3>${message.examples.map(({ payload }) => {
    const text = JSON.stringify(payload, null, 2);
    return html`<div><div class="row spread small quiet"><span>JSON</span><${Copy} text=${text} shown="Copy" button /></div><pre class="code" tabindex="0">${text}</pre></div>`;
  })}`;
}

function Reply({ reply, document }) {
  const message = document.components.messages[last(reply.messages[0].$ref)];
  return html`<h3>Answer</h3><p class="small"><${Words} text=${message.summary} /></p><${Schema} of=${message.payload} document=${document} />`;
}

addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest?.("input")) return;
  event.preventDefault();
  document.querySelector("[data-search]")?.focus();
});

render(html`<${Docs} />`, document.getElementById("app"));
