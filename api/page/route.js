// Where the page is: the part of the address behind `#`, as path and query, so that reload, sharing and Back work.
import { useEffect, useState } from "./html.js";

export function read() {
  const [path, query = ""] = decodeHash().split("?");
  return { path: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

const decodeHash = () => location.hash.replace(/^#\/?/, "");

/** The address of a view: parts of its path, then what its query says; what is empty is left out. */
export function to(parts, query = {}) {
  const said = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  const search = said.length ? `?${new URLSearchParams(said)}` : "";
  return `#/${[].concat(parts).map(encodeURIComponent).join("/")}${search}`;
}

export function go(parts, query) {
  location.hash = to(parts, query);
}

/** Changes the query of where we are, without a step for Back. */
export function narrow(query) {
  const here = read();
  const merged = { ...Object.fromEntries(here.query), ...query };
  history.replaceState(null, "", to(here.path, merged));
  dispatchEvent(new HashChangeEvent("hashchange"));
}

export function useRoute() {
  const [route, set] = useState(read);
  useEffect(() => {
    const moved = () => set(read());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return route;
}
