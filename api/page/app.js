// The frame: who is signed in, which view the address names, the keys that work everywhere.
import { html, render, useEffect, useState } from "./html.js";
import { enter, isSignedIn, onChange, signIn, signOut } from "./api.js";
import { useLost, useNow, useSilent } from "./live.js";
import { useRoute } from "./route.js";
import { lasting } from "./words.js";
import { Asked } from "./parts/asked.js";
import { Help } from "./views/help.js";
import { SignIn } from "./views/signin.js";
import { Home } from "./views/home.js";
import { Numbers } from "./views/numbers.js";
import { Broadcast } from "./views/broadcast.js";
import { Queues } from "./views/queues.js";
import { Queue } from "./views/queue.js";
import { Chats } from "./views/chats.js";
import { Events } from "./views/events.js";
import { Webhooks } from "./views/webhooks.js";
import { Webhook } from "./views/webhook.js";
import { NewSchedule } from "./views/schedule.js";
import { Schedules } from "./views/schedules.js";
import { Settings } from "./views/settings.js";

const NAV = [["home", "Home"], ["numbers", "Numbers"], ["broadcast", "New broadcast"], ["queues", "Queues"], ["chats", "Chats"], ["schedules", "Schedules"],
  ["webhooks", "Webhooks"], ["events", "Events"], ["settings", "Settings"]];

function viewOf({ path: [name = "home", first, second], query }) {
  switch (name) {
    case "home": return ["Home", html`<${Home} />`];
    case "numbers": return ["Numbers", html`<${Numbers} pairing=${first} query=${query} />`];
    case "broadcast": return ["New broadcast", html`<${Broadcast} token=${query.get("number") || ""} />`];
    case "queues":
      return second ? ["Queue", html`<${Queue} key=${second} token=${first} id=${second} query=${query} />`]
        : ["Queues", html`<${Queues} query=${query} />`];
    case "chats": return ["Chats", html`<${Chats} token=${first} chat=${second} query=${query} />`];
    case "schedules":
      return first === "new" ? ["New schedule", html`<${NewSchedule} token=${query.get("number") || ""} />`]
        : ["Schedules", html`<${Schedules} query=${query} />`];
    case "webhooks":
      return first ? ["Webhook", html`<${Webhook} key=${first} id=${first} query=${query} />`] : ["Webhooks", html`<${Webhooks} />`];
    case "events": return ["Events", html`<${Events} query=${query} />`];
    case "settings": return ["Settings", html`<${Settings} />`];
    default: return ["Not here", html`<div class="view"><h1>There is nothing here</h1><p><a href="#/home">Home</a></p></div>`];
  }
}

function App() {
  const [state, set] = useState("asking");
  const route = useRoute();
  useEffect(() => onChange(() => set(isSignedIn() ? "in" : "out")), []);
  // Where no key is set, the API asks for none.
  useEffect(() => { signIn("").catch(() => set("out")); }, []);
  if (state === "asking") return html`<main class="signin" aria-busy="true"></main>`;
  return state === "in" ? html`<${Frame} route=${route} />` : html`<${SignIn} />`;
}

function Frame({ route }) {
  const [help, setHelp] = useState(false);
  const name = route.path[0] || "home";
  const place = route.path.join("/") || "home";
  // Steps within a view that has its own scrolling keep the page where it is.
  const top = name === "chats" ? name : place;
  enter(place);
  const [title, view] = viewOf(route);
  useEffect(() => {
    document.title = `${title} · Fanfare`;
    scrollTo(0, 0);
    showPlace();
  }, [top, title]);
  useEffect(() => {
    addEventListener("resize", showPlace);
    return () => removeEventListener("resize", showPlace);
  }, []);
  useEffect(() => keys(() => setHelp(true)), []);
  return html`<div class="frame">
    <a class="hidden" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>To the content</a>
    <header class="side">
      <a class="brand" href="#/home"><img src=${new URL("./icon.svg", import.meta.url)} alt="" />Fanfare</a>
      <nav class="nav" aria-label="Views">
        ${NAV.map(([to, words]) => html`<a href="#/${to}" aria-current=${to === name ? "page" : undefined}>${words}</a>`)}
      </nav>
      <div class="foot"><${Liveness} />
        <button class="button plain narrow" onClick=${() => setHelp(true)} aria-label="Keys and help">?<span class="wideonly"> Help</span></button>
        <button class="button plain narrow" onClick=${signOut}>Sign out</button>
      </div>
    </header>
    <main class="main" id="main" tabindex="-1">${view}<div style=${{ marginTop: "32px" }}><${Asked} key=${place} view=${place} /></div></main>
    <${Lost} />
    ${help && html`<${Help} close=${() => setHelp(false)} />`}
  </div>`;
}

/** On a phone the navigation is wider than the window. */
const showPlace = () => document.querySelector(".nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

/** Says whether what is shown comes by itself, or is asked for again and again. */
function Liveness() {
  const at = useSilent();
  const now = useNow();
  if (at === undefined) return html`<span class="liveness"></span>`;
  return html`<span class="liveness small quiet" role="status" title=${at ? "Events do not come; what you see is asked for again each few seconds" : "What changes shows as it happens"}>
    <span class="dot ${at ? "wait" : "good"}">${at ? html`Asking, not live for ${lasting((now - at) / 1000)}` : "Live"}</span></span>`;
}

/** Says since when the API does not answer. */
function Lost() {
  const at = useLost();
  const now = useNow();
  if (!at) return null;
  return html`<div class="notice bad lost" role="status"><div>
    <b>Connection lost</b> ${lasting((now - at) / 1000)} ago. What you see is from then; it is tried again by itself.
  </div></div>`;
}

function keys(help) {
  const pressed = (event) => {
    const typing = event.target.closest?.("input, textarea, select, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "?") help();
    if (event.key === "/") {
      const search = document.querySelector("[data-search]");
      if (search) {
        event.preventDefault();
        search.focus();
      }
    }
  };
  addEventListener("keydown", pressed);
  return () => removeEventListener("keydown", pressed);
}

render(html`<${App} />`, document.getElementById("app"));
