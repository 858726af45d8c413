// The one way to the API: a request with the key, a problem as an error, and a note of what was asked, so that each view can
// show it as a request. The key is held here, in memory, and nowhere else.

let key = null;
const listeners = new Set();
/** What was asked last, by view: {read, write}. */
const asked = new Map();
let view = "";

/** Why a request came to nothing. `code` is the API's; `offline` where there was no answer at all. */
export class Problem extends Error {
  constructor(body, status) {
    super(body.detail || body.title || `the API answered ${status}`);
    this.code = body.code || `http_${status}`;
    this.title = body.title || "The API did not do it";
    this.fields = body.errors || [];
    this.status = status;
    this.retryAfter = body.retryAfter;
  }
}

export const isSignedIn = () => key !== null;
export const currentKey = () => key;

/** Takes a key if the API does; an empty one where the API has none. */
export async function signIn(offered) {
  const before = key;
  key = offered;
  try {
    await request("GET", "/v1/sessions?limit=1");
  } catch (problem) {
    key = before;
    throw problem;
  }
  listeners.forEach((tell) => tell());
}

export function signOut() {
  key = null;
  asked.clear();
  listeners.forEach((tell) => tell());
}

/** Calls `tell` when somebody signs in or out, or something was asked; answers how to end that. */
export function onChange(tell) {
  listeners.add(tell);
  return () => listeners.delete(tell);
}

export function enter(name) {
  view = name;
}

export const askedIn = (name) => asked.get(name) || {};

export const get = (path, signal) => request("GET", path, undefined, { signal });
export const post = (path, body, more) => request("POST", path, body, more);
export const patch = (path, body) => request("PATCH", path, body);
export const remove = (path) => request("DELETE", path);

/** All pages of a list, up to `most` rows. */
export async function all(path, most = 500) {
  const rows = [];
  let cursor = "";
  do {
    const page = await get(`${path}${path.includes("?") ? "&" : "?"}limit=${Math.min(most, 500)}${cursor}`);
    rows.push(...page.items);
    cursor = page.next ? `&cursor=${encodeURIComponent(page.next)}` : "";
  } while (cursor && rows.length < most);
  return rows;
}

/** A file of the API, for the browser to save. */
export async function download(path, name) {
  const answer = await send("GET", path);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/**
 * Hands over a file of this computer, to be sent by its id; `tell` is called with the part that has gone. Not by fetch, which
 * says nothing of what goes up.
 */
export function upload(file, tell, signal) {
  return new Promise((done, fail) => {
    const way = new XMLHttpRequest();
    way.open("POST", "/v1/media");
    if (key) way.setRequestHeader("authorization", `Bearer ${key}`);
    way.setRequestHeader("content-type", file.type || "application/octet-stream");
    way.responseType = "json";
    way.upload.onprogress = ({ loaded, total }) => tell(total ? loaded / total : 0);
    way.onload = () => (way.status === 201 ? done(way.response) : fail(new Problem(way.response || {}, way.status)));
    way.onerror = () => fail(new Problem({ code: "offline", title: "No connection", detail: "the file did not arrive; is the API running?" }, 0));
    way.onabort = () => fail(new DOMException("given up", "AbortError"));
    signal.addEventListener("abort", () => way.abort());
    way.send(file);
  });
}

/** A file of the API, as a picture's address. */
export async function picture(path, signal) {
  const answer = await send("GET", path, undefined, { signal, quiet: true });
  const reader = new FileReader();
  const read = new Promise((done, fail) => Object.assign(reader, { onload: () => done(reader.result), onerror: () => fail(reader.error) }));
  reader.readAsDataURL(await answer.blob());
  return read;
}

async function request(method, path, body, more = {}) {
  const answer = await send(method, path, body, more);
  if (answer.status === 204) return null;
  const is = answer.headers.get("content-type") || "";
  return is.includes("json") ? answer.json() : answer.text();
}

async function send(method, path, body, { signal, once, quiet } = {}) {
  if (!quiet) note(method, path, body, once);
  // Without credentials of its own the browser neither asks for a password nor keeps one.
  const options = { method, signal, headers: {}, credentials: "omit", cache: "no-store" };
  if (key) options.headers.authorization = `Bearer ${key}`;
  if (once) options.headers["idempotency-key"] = once;
  if (body !== undefined) {
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ code: "offline", title: "No connection", detail: "the API does not answer; is it running?" }, 0);
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  // The key was changed meanwhile.
  if (answer.status === 401 && key) signOut();
  throw new Problem({ ...told, retryAfter: answer.headers.get("retry-after") }, answer.status);
}

function note(method, path, body, once) {
  const before = asked.get(view) || {};
  const what = { method, path, body, once, at: Date.now() };
  asked.set(view, method === "GET" ? { ...before, read: before.read || what } : { ...before, write: what });
  if (method !== "GET") listeners.forEach((tell) => tell());
}

/** A request as a line for a shell, in which AUTH holds the key. `lines` bounds the body that is shown. */
export function asCurl({ method, path, body, once }) {
  const parts = ['curl -u "$AUTH:"'];
  if (method !== "GET" && !(method === "POST" && body !== undefined)) parts.push(`-X ${method}`);
  if (once) parts.push(`-H 'Idempotency-Key: ${once}'`);
  if (body !== undefined) {
    parts.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`);
  }
  return `${parts.join(" ")} '${location.origin}${path}'`;
}

/** The same over AMQP, where there is the same: a message for the exchange fanfare.jobs. */
export function asJob({ method, path, body, once }) {
  const [, , family, token, part, id, verb] = path.split("?")[0].split("/");
  if (family !== "sessions" || !token || method === "GET") return null;
  const job = jobOf(method, part, id, verb, body);
  return job && { exchange: "fanfare.jobs", routing_key: token, ...(once && { message_id: once }), ...job };
}

function jobOf(method, part, id, verb, body) {
  const of = (type, rest = {}) => ({ type, body: rest });
  if (!part) return { DELETE: of("session.delete"), PATCH: of("session.update", body) }[method];
  if (part === "passkey") return id ? of(`session.passkey-${id}`) : of("session.passkey-answer", body);
  if (part === "pairing-code") return of("session.pairing-code", body);
  if (["start", "stop", "restart", "logout"].includes(part)) return of(`session.${part}`, body);
  if (part === "schedules") return id ? of("unschedule", { id: decodeURIComponent(id) }) : of("schedule", body);
  if (id === "dry-run") return of("dry-run", body);
  if (part === "chats" && method === "DELETE") return of("chat.forget", { chat: decodeURIComponent(id) });
  if (part === "people" && method === "DELETE") return of("person.forget", { person: decodeURIComponent(id) });
  if (!id) return ["queues", "messages"].includes(part) ? of("send", body) : undefined;
  if (part !== "queues") return undefined;
  if (method === "PATCH") return of("pace", { queueId: id, ...body });
  if (method === "DELETE") return of("delete", { queueId: id });
  return of(verb, { queueId: id, ...body });
}

/** An id for a request that must count once, however often it is sent. */
export function freshId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
