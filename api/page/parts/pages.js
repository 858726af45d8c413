// Steps through a list that the API pages: on, and back to the first page; Back goes one page back.
import { html } from "../html.js";
import { go, read } from "../route.js";

export function Pages({ next, cursor, name = "cursor" }) {
  if (!next && !cursor) return null;
  const turn = (value) => {
    const here = read();
    go(here.path, { ...Object.fromEntries(here.query), [name]: value });
  };
  return html`<nav class="row" aria-label="Pages">
    <button class="button narrow" aria-disabled=${!cursor} onClick=${() => cursor && turn("")}>First page</button>
    <button class="button narrow" aria-disabled=${!next} onClick=${() => next && turn(next)}>Next page</button>
  </nav>`;
}
