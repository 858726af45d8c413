// Which keys work, and where more is written.
import { html } from "../html.js";
import { Dialog } from "../parts/dialog.js";

const KEYS = [["/", "to the search of the view"], ["?", "this help"], ["Esc", "closes what is open"], ["Tab", "to the next thing, Shift Tab back"]];

export const Help = ({ close }) => html`<${Dialog} title="Keys and help" close=${close}>
  <dl class="keys">${KEYS.map(([key, words]) => html`<dt><kbd>${key}</kbd></dt><dd>${words}</dd>`)}</dl>
  <p>Everything here goes over the public API: <a href="/docs">its document</a>. Each view shows what it asked under
    “As a request”. The key is kept in this page's memory alone, so a reload asks for it again.</p>
<//>`;
