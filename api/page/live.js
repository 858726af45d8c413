// What is shown stays true: each view names what it shows, and this asks again until the view is left. Where it comes from
// (asking, or a stream) is known here alone.
import { useEffect, useRef, useState } from "./html.js";

/** How long after a failure the first further try comes; it doubles up to the longest. */
const RETRY_MS = 1000;
const RETRY_MAX_MS = 15000;

/** Since when the API does not answer; null while it does. */
let lostAt = null;
const watchers = new Set();
/** Those who show something, to be asked again at once when something was changed. */
const shown = new Set();

function connection(is) {
  const before = lostAt;
  lostAt = is ? null : (lostAt ?? Date.now());
  if (before !== lostAt) watchers.forEach((tell) => tell(lostAt));
}

/** Since when the connection is lost, or null. */
export function useLost() {
  const [at, set] = useState(lostAt);
  useEffect(() => {
    watchers.add(set);
    set(lostAt);
    return () => watchers.delete(set);
  }, []);
  return at;
}

/** Asks for all that is shown again, now: something was changed. */
export function refresh() {
  shown.forEach((again) => again());
}

/**
 * What `load` answers, asked for again each `every` milliseconds while the page is looked at: {data, problem, again}.
 * `names` are what it depends on; another one begins anew. What was there stays while the API is away.
 */
export function useLive(load, names, every = 2000) {
  const [state, set] = useState({ data: undefined, problem: null });
  const latest = useRef(load);
  latest.current = load;
  const again = useRef(() => {});
  useEffect(() => {
    set({ data: undefined, problem: null });
    const watch = new Watch(latest, set, every);
    again.current = () => watch.now();
    shown.add(again.current);
    const own = again.current;
    const looked = () => document.hidden || watch.now();
    document.addEventListener("visibilitychange", looked);
    watch.now();
    return () => {
      watch.end();
      shown.delete(own);
      document.removeEventListener("visibilitychange", looked);
    };
  }, names);
  return { ...state, again: () => again.current() };
}

class Watch {
  constructor(latest, set, every) {
    Object.assign(this, { latest, set, every, wait: RETRY_MS, timer: null, aborter: null });
  }

  now() {
    clearTimeout(this.timer);
    this.aborter?.abort();
    this.aborter = new AbortController();
    this.ask(this.aborter.signal);
  }

  async ask(signal) {
    let next = this.every;
    try {
      const data = await this.latest.current(signal);
      if (signal.aborted) return;
      connection(true);
      this.wait = RETRY_MS;
      this.set({ data, problem: null });
    } catch (problem) {
      if (signal.aborted || problem.name === "AbortError") return;
      if (problem.code === "offline") connection(false);
      else connection(true);
      this.set((before) => ({ data: before.data, problem }));
      next = Math.max(this.wait, Number(problem.retryAfter || 0) * 1000);
      this.wait = Math.min(this.wait * 2, RETRY_MAX_MS);
    }
    // Nobody looks: asked again when somebody does.
    if (!document.hidden && next) this.timer = setTimeout(() => this.now(), next);
  }

  end() {
    clearTimeout(this.timer);
    this.aborter?.abort();
    this.aborter = null;
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
