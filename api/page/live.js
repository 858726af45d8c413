// What is shown stays true: each view names what it shows and what happens to it; when that happens, it is asked for again. Where
// events do not come, it is asked for again and again. How the page learns of what happens is known here alone.
import { useEffect, useRef, useState } from "./html.js";
import { currentKey, isSignedIn, onChange } from "./api.js";
import { Stream } from "./stream.js";

/** How long after a failure the first further try comes; it doubles up to the longest. */
const RETRY_MS = 1000;
const RETRY_MAX_MS = 15000;
/** How often what is shown is asked for while events come: not all that changes is told by one. */
const SELDOM_MS = 10000;
/** How long events may be away before it is said. */
const PATIENCE_MS = 3000;
/** How long events are gathered before what they change is asked for. */
const GATHER_MS = 100;

/** A value that parts of the page follow. */
class Followed {
  constructor(value) {
    Object.assign(this, { value, followers: new Set() });
  }

  set(value) {
    if (value === this.value) return;
    this.value = value;
    this.followers.forEach((tell) => tell(value));
  }

  use() {
    const [value, set] = useState(this.value);
    useEffect(() => {
      this.followers.add(set);
      set(this.value);
      return () => this.followers.delete(set);
    }, []);
    return value;
  }
}

/** Since when the API does not answer; null while it does. */
const lost = new Followed(null);
/** Since when events do not come; null while they do. */
const silent = new Followed(Date.now());
/** Those who show something, to be asked again when something was changed. */
const shown = new Set();
/** Those who are told of events: {token, names, queue, tell}. */
const listeners = new Set();
let stream = null;

const since = (followed, is) => followed.set(is ? null : (followed.value ?? Date.now()));

/** Since when the connection is lost, or null. */
export const useLost = () => lost.use();
/** Since when events do not come; null while they do, undefined while they may yet begin to. */
export function useSilent() {
  const at = silent.use();
  const now = useNow();
  return at && now - at < PATIENCE_MS ? undefined : at;
}

onChange(() => {
  if (isSignedIn() === Boolean(stream)) return;
  stream?.close();
  stream = isSignedIn() ? new Stream({ key: currentKey(), onEvent, onState }) : null;
  since(silent, false);
  if (stream) want();
});

function onState(live) {
  const before = silent.value;
  since(silent, live);
  // What happened meanwhile was told to nobody.
  if (live || before === null) refresh();
}

function onEvent(envelope) {
  listeners.forEach((listener) => concerns(listener, envelope) && listener.tell(envelope));
}

function concerns({ token, names, queue }, { event, instance, data }) {
  if (token && instance.name !== token) return false;
  if (names && !names.some((name) => event.startsWith(name))) return false;
  const of = data?.queue?.queueId || data?.queueId;
  return !queue || !of || of === queue;
}

let wanting = null;

/** Has the events come that somebody listens for, and no others; when one view has made room for the next. */
function want() {
  clearTimeout(wanting);
  wanting = setTimeout(() => {
    const tokens = [...listeners].map(({ token }) => token || "*");
    stream?.want(tokens.includes("*") ? ["*"] : [...new Set(tokens)]);
  }, GATHER_MS);
}

function listen(listener) {
  listeners.add(listener);
  want();
  return () => {
    listeners.delete(listener);
    want();
  };
}

/**
 * Calls `tell` with the envelope of each event of a token (of all without one), whose name begins as one of `names` (any
 * without), and that is not of another queue than `queue`.
 */
export function useEvents({ token, names, queue }, tell) {
  const latest = useRef(tell);
  latest.current = tell;
  useEffect(() => listen({ token, names, queue, tell: (envelope) => latest.current(envelope) }), [token, String(names), queue]);
}

/** Asks for all that is shown again, now: something was changed. */
export function refresh() {
  shown.forEach((watch) => watch.now());
}

/**
 * What `load` answers, kept true while the page is looked at: {data, problem, again}. `names` are what it depends on; another
 * one begins anew. It is asked for again when an event of those in `of` ({token, names, queue}, as for `useEvents`) says that it
 * changed, at most each `every` milliseconds; each `every` where events do not come or none tells of it. What was there stays
 * while the API is away.
 */
export function useLive(load, names, { every = 2000, of } = {}) {
  const [state, set] = useState({ data: undefined, problem: null });
  const latest = useRef(load);
  latest.current = load;
  const current = useRef(null);
  useEffect(() => {
    set({ data: undefined, problem: null });
    const watch = new Watch(latest, set, { every, isTold: Boolean(of) });
    current.current = watch;
    shown.add(watch);
    const deaf = of && listen({ ...of, tell: () => watch.changed() });
    const looked = () => document.hidden || watch.now();
    document.addEventListener("visibilitychange", looked);
    watch.now();
    return () => {
      watch.end();
      deaf?.();
      shown.delete(watch);
      document.removeEventListener("visibilitychange", looked);
    };
  }, names);
  return { ...state, again: () => current.current?.now() };
}

class Watch {
  constructor(latest, set, { every, isTold }) {
    Object.assign(this, { latest, set, every, isTold, wait: RETRY_MS, timer: null, due: Infinity, asked: 0, aborter: null, stale: false });
  }

  /** Asks, whatever is under way. */
  now() {
    this.end();
    this.aborter = new AbortController();
    Object.assign(this, { due: Infinity, asked: Date.now(), stale: false });
    this.ask(this.aborter.signal);
  }

  /** An event says that it is otherwise now. */
  changed() {
    // What is under way may have been answered before.
    if (this.aborter) this.stale = true;
    else this.plan(Math.max(GATHER_MS, this.asked + this.every - Date.now()));
  }

  /** Asks after a while, or before if that is planned. */
  plan(wait) {
    const due = Date.now() + wait;
    if (due >= this.due) return;
    clearTimeout(this.timer);
    this.due = due;
    // Nobody looks: asked again when somebody does.
    this.timer = setTimeout(() => document.hidden || this.now(), wait);
  }

  async ask(signal) {
    const isTold = this.isTold && silent.value === null;
    let next = isTold ? Math.max(SELDOM_MS, this.every) : this.every;
    try {
      const data = await this.latest.current(signal);
      if (signal.aborted) return;
      since(lost, true);
      this.wait = RETRY_MS;
      this.set({ data, problem: null });
    } catch (problem) {
      if (signal.aborted || problem.name === "AbortError") return;
      since(lost, problem.code !== "offline");
      this.set((before) => ({ data: before.data, problem }));
      next = Math.max(this.wait, Number(problem.retryAfter || 0) * 1000);
      this.wait = Math.min(this.wait * 2, RETRY_MAX_MS);
    }
    this.aborter = null;
    this.plan(next);
    if (this.stale) this.changed();
  }

  end() {
    clearTimeout(this.timer);
    this.aborter?.abort();
  }
}

/** The time, each `every` milliseconds. */
export function useNow(every = 1000) {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

/** What happens to sessions, and to queues and their recipients, by the names of its events. */
export const SESSIONS = { names: ["connection.", "session."] };
export const QUEUES = { names: ["send.message:", "paused.", "resumed.", "deleted.", "job.", "messages.update", "connection.", "session."] };
