// Linking a phone: the code to scan with the time it has left, the code to type, and the step with a passkey.
import { html, useEffect, useState } from "../html.js";
import { get, post } from "../api.js";
import { refresh, SESSIONS, useLive, useNow } from "../live.js";
import { phone } from "../words.js";
import { Bones, Copy, Notice, Wrong } from "../parts/basics.js";
import { Dialog } from "../parts/dialog.js";
import { Passkey } from "./passkey.js";

/** The code is another one. */
const CODES = ["qrcode.", "connection."];

export function Pairing({ token, close }) {
  const path = `/v1/sessions/${token}`;
  const live = useLive((signal) => get(path, signal), [token], { every: 1000, of: { token, names: SESSIONS.names } });
  const [way, setWay] = useState("scan");
  return html`<${Dialog} title="Link ${token}" close=${close} wide>
    ${live.data === undefined ? (live.problem ? html`<${Wrong} problem=${live.problem} />` : html`<${Bones} rows=${3} />`)
      : html`<${Step} session=${live.data} path=${path} way=${way} setWay=${setWay} close=${close} />`}
  <//>`;
}

function Step({ session, path, way, setWay, close }) {
  if (session.state === "open") {
    return html`<div class="notice good" role="status"><div><b>Linked.</b> ${session.pushName || phone(session.jid)} sends from now on.</div></div>
      <footer><a class="button" href="#/broadcast?number=${session.token}">New broadcast</a>
        <button class="button first" onClick=${close} autofocus>Done</button></footer>`;
  }
  if (session.jid && session.state === "connecting") return html`<${Notice} hue="busy"><b>Scanned.</b> The phone is being linked…<//>`;
  if (session.passkey && (session.state === "passkey" || session.passkey.stage === "confirmed")) {
    return html`<${Passkey} passkey=${session.passkey} path=${path} />`;
  }
  const failed = session.passkey?.stage === "failed" && html`<${Notice} hue="bad"><b>The passkey came to nothing:</b> ${session.passkey.reason}. Begin anew with this code.<//>`;
  return html`${failed}
    <div class="steps" role="tablist" aria-label="How to link">
      ${[["scan", "Scan a code"], ["type", "Type a code"]].map(([name, words]) => html`<button role="tab" id="tab-${name}"
        aria-selected=${way === name ? "true" : "false"} onClick=${() => setWay(name)}>${words}</button>`)}</div>
    <div role="tabpanel" aria-labelledby="tab-${way}">
      ${way === "scan" ? html`<${Scan} session=${session} path=${path} />` : html`<${Type} session=${session} path=${path} />`}</div>`;
}

/** How long codes are shown that say nothing of their beginning, in seconds. */
const QR_SECONDS = 20;

function Scan({ session, path }) {
  const live = useLive((signal) => get(`${path}/qr?format=json`, signal), [path], { every: 1000, of: { token: session.token, names: CODES } });
  const { data, problem } = live;
  const now = useNow(500);
  const left = data ? (new Date(data.expiresAt).getTime() - now) / 1000 : 0;
  const fresh = data && left > 0;
  const stands = !fresh && problem && !["qr_not_ready", "offline"].includes(problem.code);
  return html`<div class="stack">
    <div class="qr">
      <figure>${fresh ? html`<img src=${data.base64} alt="QR code to scan with the phone" data-code=${data.code} />`
        : html`<span class="quiet small" role="status">${stands ? "No code" : "The next code comes…"}</span>`}</figure>
      <div class="stack"><ol><li>Open WhatsApp on the phone.</li><li>Settings, then <b>Linked devices</b>.</li>
        <li><b>Link a device</b>, and point it at this code.</li></ol>
        ${fresh && html`<${Ring} left=${left} of=${data.code} />`}</div>
    </div>
    ${stands && html`<${Wrong} problem=${problem}><${Restart} session=${session} path=${path} /><//>`}</div>`;
}

/** Where no code comes any more, the session is to be started again. */
function Restart({ session, path }) {
  if (session.waiting?.reason === "no-worker") return null;
  const start = () => post(`${path}/start`).then(refresh, refresh);
  return html`<div><button class="button narrow first" onClick=${start}>Show codes again</button></div>`;
}

function Ring({ left, of }) {
  const [whole, setWhole] = useState(QR_SECONDS);
  useEffect(() => setWhole(Math.max(left, 1)), [of]);
  const around = 2 * Math.PI * 9;
  return html`<span class="ring"><svg viewBox="0 0 22 22" aria-hidden="true"><circle cx="11" cy="11" r="9" />
    <circle class="left" cx="11" cy="11" r="9" stroke-dasharray=${around} stroke-dashoffset=${around * (1 - Math.min(1, left / whole))} /></svg>
    another code in ${Math.ceil(left)} s</span>`;
}

function Type({ session, path }) {
  const [number, setNumber] = useState("");
  const [code, setCode] = useState(null);
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    if (busy || !number) return;
    setBusy(true);
    setProblem(null);
    setCode(null);
    try {
      setCode((await post(`${path}/pairing-code`, { phone: number })).code);
    } catch (error) {
      setProblem(error);
    }
    setBusy(false);
  };
  const shown = code && `${code.slice(0, 4)}-${code.slice(4)}`;
  return html`<div class="stack"><form class="stack" onSubmit=${submit}>
    <div class="field"><label for="phone">The phone's number</label>
      <input id="phone" type="tel" autocomplete="off" autofocus placeholder="+55 11 90000-0001" value=${number} onInput=${(event) => setNumber(event.target.value)} />
      <span class="hint">With its country code.</span></div>
    <div><button class="button ${code ? "" : "first"}" aria-disabled=${busy || !number}>${busy ? "Asking WhatsApp…" : code ? "Another code" : "Show a code"}</button></div></form>
    <${Wrong} problem=${problem}><${Restart} session=${session} path=${path} /><//>
    ${code && html`<div class="stack" role="status"><div class="row"><span class="paircode" data-code=${code}>${shown}</span><${Copy} text=${code} shown="Copy" button /></div>
      <p class="small">On the phone: WhatsApp, Settings, Linked devices, Link a device, <b>Link with phone number instead</b>.</p></div>`}</div>`;
}
