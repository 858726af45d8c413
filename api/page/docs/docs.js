// The OpenAPI document as a page: operations by family, what each takes and answers, with its examples as lines for a shell.
import { html, render, useEffect, useMemo, useState } from "../html.js";
import { Copy } from "../parts/basics.js";
import { Schema, Words } from "./schema.js";

const VERBS = ["get", "post", "patch", "put", "delete"];
const HUES = { get: "busy", post: "good", patch: "wait", put: "wait", delete: "bad" };

function Docs() {
  const [document, setDocument] = useState(null);
  const [problem, setProblem] = useState(null);
  const [search, setSearch] = useState("");
  useEffect(() => {
    fetch("/v1/openapi.json", { credentials: "omit" }).then((answer) => answer.json()).then(setDocument, setProblem);
  }, []);
  const families = useMemo(() => (document ? grouped(document, search) : []), [document, search]);
  useEffect(() => {
    if (document) window.document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }, [document]);
  if (problem) return html`<main class="main"><div class="notice bad"><div>The document can't be read: ${problem.message}.</div></div></main>`;
  return html`<div class="frame"><header class="side">
      <a class="brand" href="/"><img src=${new URL("../icon.svg", import.meta.url)} alt="" />Fanfare</a>
      <nav class="nav docsnav" aria-label="Families">${families.map(([name, list]) => html`<a href="#${name}">${name}<span class="small quiet count">${list.length}</span></a>`)}</nav>
    </header>
    <main class="main" id="main"><div class="view">
      <div class="head"><div><h1>API</h1><p class="quiet">${document ? html`${document.info.description} Version ${document.info.version}.` : "…"}</p></div>
        <input class="search" type="search" data-search placeholder="Search  /" aria-label="Search operations" value=${search} onInput=${(event) => setSearch(event.target.value)} /></div>
      <p class="small">Each request brings the key as Basic user name (<code>curl -u "$AUTH:"</code>) or as Bearer. The document itself: <a href="/v1/openapi.json">openapi.json</a>. <a href="/docs/events">Jobs and events over AMQP and webhooks</a>. <a href="/">The page for people</a>.</p>
      ${families.map(([name, list]) => html`<section class="stack" key=${name}><h2 id=${name} class="family">${name}</h2>
        ${list.map((one) => html`<${Operation} key=${one.id} ...${one} document=${document} />`)}</section>`)}
      ${document && !families.length && html`<p>Nothing of this name.</p>`}
    </div></main></div>`;
}

function grouped(document, search) {
  const families = new Map();
  const wanted = search.toLowerCase();
  for (const [path, item] of Object.entries(document.paths)) {
    for (const verb of VERBS.filter((one) => item[one])) {
      const operation = item[verb];
      const name = operation.tags?.[0] || "other";
      const text = `${verb} ${path} ${operation.summary || ""} ${operation.description || ""} ${operation.operationId}`.toLowerCase();
      if (!text.includes(wanted)) continue;
      families.set(name, [...(families.get(name) || []), { id: operation.operationId, path, verb, operation }]);
    }
  }
  return [...families];
}

function Operation({ id, path, verb, operation, document }) {
  const [open, setOpen] = useState(location.hash === `#${id}`);
  const words = [operation.summary, operation.description].filter(Boolean).join(" ");
  return html`<details class="operation" id=${id} open=${open} onToggle=${(event) => setOpen(event.target.open)}>
    <summary><span class="verb ${HUES[verb]}">${verb.toUpperCase()}</span><code>${path}</code><span class="quiet small brief"><${Words} text=${words.split(". ")[0]} /></span></summary>
    ${open && html`<div class="stack inside"><p><${Words} text=${words} /></p>
      <${Parameters} list=${operation.parameters} document=${document} />
      <${Body} operation=${operation} document=${document} />
      <${Line} path=${path} verb=${verb} operation=${operation} />
      <${Answers} operation=${operation} document=${document} /></div>`}</details>`;
}

function Parameters({ list, document }) {
  if (!list?.length) return null;
  return html`<h3>Parameters</h3><dl class="facts">${list.map((one) => html`<dt><code>${one.name}</code> <span class="small">${one.in}${one.required ? "" : ", optional"}</span></dt>
    <dd>${one.description || ""} <span class="quiet small"><${Schema} of=${one.schema} document=${document} flat /></span></dd>`)}</dl>`;
}

function Body({ operation, document }) {
  const content = operation.requestBody?.content;
  if (!content) return null;
  return Object.entries(content).map(([type, { schema }]) => html`<h3>Body <span class="quiet small">${type}</span></h3><${Schema} of=${schema} document=${document} />`);
}

/** The request as a line, with the first example of its body. */
function Line({ path, verb, operation }) {
  const content = operation.requestBody?.content?.["application/json"];
  const [example] = examplesOf(content);
  const parts = ['curl -u "$AUTH:"', verb === "get" || (verb === "post" && example) ? "" : `-X ${verb.toUpperCase()}`,
    example && "-H 'Content-Type: application/json'", example && `-d '${JSON.stringify(example.value).replaceAll("'", "'\\''")}'`, `'${location.origin}${path}'`];
  const line = parts.filter(Boolean).join(" ");
  return html`<div><div class="row spread small quiet"><span>As a line</span><${Copy} text=${line} shown="Copy" button /></div><pre class="code" tabindex="0">${line}</pre></div>`;
}

function examplesOf(content) {
  if (!content) return [];
  if (content.example !== undefined) return [{ name: "", value: content.example }];
  return Object.entries(content.examples || {}).map(([name, one]) => ({ name: one.summary || name, value: one.value }));
}

function Answers({ operation, document }) {
  return html`<h3>Answers</h3>${Object.entries(operation.responses).map(([status, answer]) => html`<details class="answer" key=${status}>
    <summary><b class="figures">${status}</b> <${Words} text=${answer.description} /></summary><div class="stack inside">
    ${Object.entries(answer.content || {}).map(([type, content]) => html`<div class="stack"><span class="small quiet">${type}</span>
      ${examplesOf(content).map((one) => html`<div>${one.name && html`<span class="small">${one.name}</span>`}<pre class="code" tabindex="0">${typeof one.value === "string" ? one.value : JSON.stringify(one.value, null, 2)}</pre></div>`)}
      <${Schema} of=${content.schema} document=${document} /></div>`)}
    ${!answer.content && html`<p class="small quiet">Without a body.</p>`}</div></details>`)}`;
}

addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest?.("input")) return;
  event.preventDefault();
  document.querySelector("[data-search]")?.focus();
});

render(html`<${Docs} />`, document.getElementById("app"));
