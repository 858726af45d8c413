// What a view did, as a request that a script can make: a line for a shell, and the message for the broker.
import { html, useEffect, useState } from "../html.js";
import { asCurl, asJob, askedIn, onChange } from "../api.js";
import { Copy } from "./basics.js";

const SHOWN = 4000;

export function Asked({ view }) {
  const [, tick] = useState(0);
  const [open, setOpen] = useState(false);
  useEffect(() => onChange(() => tick((before) => before + 1)), []);
  const { read, write } = open ? askedIn(view) : {};
  return html`<details class="asked" onToggle=${(event) => setOpen(event.target.open)}>
    <summary>As a request</summary>
    ${open && html`<div class="lines">
      ${write && html`<${Lines} title="What you did last here" request=${write} />`}
      ${read && html`<${Lines} title="What this view shows" request=${read} />`}
    </div>`}
  </details>`;
}

function Lines({ title, request }) {
  const curl = asCurl(request);
  const job = asJob(request);
  const message = job && JSON.stringify(job, null, 2);
  return html`<div class="stack">
    <h3>${title}</h3>
    <${Block} name="curl (the key in AUTH)" text=${curl} />
    ${message && html`<${Block} name="AMQP" text=${message} />`}
    ${!message && request.method !== "GET" && html`<p class="small quiet">Over HTTP alone.</p>`}
  </div>`;
}

function Block({ name, text }) {
  const cut = text.length > SHOWN ? `${text.slice(0, SHOWN)} …` : text;
  return html`<div><div class="row spread small quiet"><span>${name}</span><${Copy} text=${text} shown="Copy" button /></div>
    <pre tabindex="0">${cut}</pre></div>`;
}
