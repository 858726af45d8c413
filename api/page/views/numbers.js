// Which number is in which state, and why? Linking, starting, stopping and letting go of numbers.
import { html, useState } from "../html.js";
import { all, post, remove } from "../api.js";
import { refresh, SESSIONS, useLive } from "../live.js";
import { go, to } from "../route.js";
import { many, phone, standing } from "../words.js";
import { Chip, Copy, Empty, Loaded, Menu, Since, Until, Wrong } from "../parts/basics.js";
import { Confirm, Dialog } from "../parts/dialog.js";
import { Pairing } from "./pairing.js";

export function Numbers({ pairing }) {
  const live = useLive(() => all("/v1/sessions", 2000), [], { of: SESSIONS });
  const [search, setSearch] = useState("");
  const [asks, setAsks] = useState(null);
  const [problem, setProblem] = useState(null);
  const done = () => go("numbers");
  const act = async (work) => {
    setProblem(null);
    await work().catch(setProblem);
    refresh();
  };
  return html`<div class="view">
    <div class="head"><h1>Numbers</h1><div class="row">
      <input class="search" type="search" data-search placeholder="Search  /" aria-label="Search numbers" value=${search}
        onInput=${(event) => setSearch(event.target.value)} />
      <a class="button first" href="#/numbers/new">Add a number</a></div></div>
    <${Wrong} problem=${problem} />
    <${Loaded} live=${live}>${(sessions) => html`<${List} sessions=${sessions} search=${search} act=${act} ask=${setAsks} />`}<//>
    ${pairing === "new" && html`<${Add} close=${done} />`}
    ${pairing && pairing !== "new" && html`<${Pairing} key=${pairing} token=${pairing} close=${done} />`}
    ${asks && html`<${Confirm} ...${asks} close=${() => { setAsks(null); refresh(); }} />`}
  </div>`;
}

function List({ sessions, search, act, ask }) {
  if (!sessions.length) {
    return html`<${Empty} title="No number yet"><p class="quiet">Link the phone that is to send.</p>
      <a class="button first" href="#/numbers/new">Add a number</a><//>`;
  }
  const wanted = search.toLowerCase().replace(/^\+/, "");
  const found = sessions.filter((one) => [one.token, one.jid, one.pushName].some((text) => text?.toLowerCase().includes(wanted)));
  return html`<p class="quiet small" aria-live="polite">${many(found.length, "number")}</p>
    ${found.length > 0 && html`<ul class="numbers">${found.map((one) => html`<${Row} key=${one.token} session=${one} act=${act} ask=${ask} />`)}</ul>`}`;
}

function Row({ session, act, ask }) {
  const path = `/v1/sessions/${session.token}`;
  const can = abilities(session);
  const command = (verb, body) => act(() => post(`${path}/${verb}`, body));
  const start = { name: "Start", act: () => command("start") };
  return html`<li class="number">
    <div><div class="name"><${Copy} text=${session.token} label="Copy the token" /></div>
      <div class="quiet small">${[session.pushName, phone(session.jid)].filter(Boolean).join(" · ") || "no account yet"}</div></div>
    <${Why} session=${session} />
    <div class="does">
      ${can.link && html`<a class="button narrow first" href=${to(["numbers", session.token])}>Link</a>`}
      ${!can.link && can.start && html`<button class="button narrow first" onClick=${start.act}>Start</button>`}
      ${can.send && html`<a class="button narrow" href=${to("broadcast", { number: session.token })}>Send</a>`}
      <${Menu} label="More for ${session.token}" items=${[
        can.link && can.start && start,
        can.stop && { name: "Stop", act: () => command("stop") },
        can.stop && { name: "Restart", act: () => command("restart") },
        session.jid && { name: "Log out…", act: () => ask(logout(session, path)) },
        { name: "Delete…", grave: true, act: () => ask(deletion(session, path)) },
      ]} />
    </div></li>`;
}

function abilities({ state, waiting, wanted, deleting, jid }) {
  if (deleting) return {};
  const on = ["open", "connecting", "pairing", "passkey", "new"].includes(state);
  const refused = waiting?.reason === "refused";
  return {
    link: !jid && wanted && waiting?.reason !== "no-worker" && ["pairing", "passkey", "new", "connecting"].includes(state),
    start: !wanted || refused || state === "logged-out" || (!on && !jid),
    stop: wanted && state !== "logged-out",
    send: state === "open",
  };
}

/** The state with its reason, since when, and what to do. */
export function Why({ session }) {
  const { restriction, waiting, closeDetail } = session;
  const [first, then] = [waiting?.detail, closeDetail];
  return html`<div class="stack tight"><div class="row"><${Chip} of=${standing(session)} />
      <span class="small quiet"><${Since} at=${session.updatedAt} /></span></div>
    ${first && html`<div class="small">${capital(first)}.</div>`}
    ${then && then !== first && session.state !== "open" && html`<div class="small quiet">Last closed: ${then} (${session.closeReason}).</div>`}
    ${restriction && html`<div class="small">${RESTRICTED[restriction.kind]} New contacts go on <${Until} at=${restriction.until} />, by themselves; those who wrote before get theirs now.</div>`}
    ${session.proxy && html`<div class="small quiet">Leaves by ${session.proxy}.</div>`}</div>`;
}

const RESTRICTED = {
  "time-lock": "WhatsApp lets it write to nobody who has not written to it.",
  refused: "WhatsApp refused a message to a new contact.",
  cap: "It has begun as many new chats as it may.",
};
const capital = (text) => text[0].toUpperCase() + text.slice(1);

function logout({ token }, path) {
  return {
    title: `Log ${token} out?`, verb: "Log out", act: () => post(`${path}/logout`, { queues: "keep" }),
    words: "The phone drops this device. Its broadcasts are kept, and go on when the same account is linked again.",
  };
}

function deletion({ token }, path) {
  return {
    title: `Delete ${token}?`, verb: "Delete", act: () => remove(path),
    words: "It is logged out at WhatsApp and deleted with its broadcasts. This can't be undone.",
  };
}

/** A new number: its name, then linking. */
function Add({ close }) {
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const field = problem?.fields?.find((one) => one.field === "token");
  const submit = async (event) => {
    event.preventDefault();
    if (busy || !token) return;
    setBusy(true);
    try {
      await post("/v1/sessions", { token });
      refresh();
      go(["numbers", token]);
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return html`<${Dialog} title="Add a number" close=${close}><form class="stack" onSubmit=${submit}>
    <div class="field"><label for="token">Its name here</label>
      <input id="token" autofocus autocomplete="off" spellcheck="false" maxlength="64" value=${token} placeholder="shop"
        aria-invalid=${field ? "true" : undefined} aria-describedby="token-hint" onInput=${(event) => setToken(event.target.value.trim())} />
      ${field ? html`<span class="wrong" role="alert">${field.problem}</span>` : html`<span class="hint" id="token-hint">Letters, digits, _ and -. Programs call it by this name, too.</span>`}</div>
    ${!field && html`<${Wrong} problem=${problem} />`}
    <footer><button class="button first" aria-disabled=${busy || !token} title=${token ? undefined : "give it a name first"}>${busy ? "Making it…" : "Next: link the phone"}</button></footer>
  </form><//>`;
}
