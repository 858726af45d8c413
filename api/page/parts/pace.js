// The pace of what is sent: seconds between two messages.
import { html } from "../html.js";

const USUAL = [[10, 20], [20, 40], [60, 120]];

export function wrongPace({ min, max }) {
  if (!min && !max) return null;
  const [from, to] = [Number(min), Number(max)];
  if (!min || !max || !(from >= 0) || !(to >= 0)) return "the pace needs both its ends, in seconds";
  return from > to ? "the pace's first number is the smaller one" : null;
}

/** The pace as the API takes it; nothing where it is the deployment's. */
export const paceOf = ({ min, max }) => (min && max ? { delay: { min: Number(min), max: Number(max) } } : {});

export const Pace = ({ form, set }) => html`<fieldset class="field"><legend class="label">Pace: seconds between two messages, drawn at random</legend>
  <div class="pair"><input aria-label="At least, in seconds" inputmode="decimal" placeholder="at least, as the deployment" value=${form.min} onInput=${(event) => set({ min: event.target.value.replace(",", ".") })} />
    <input aria-label="At most, in seconds" inputmode="decimal" placeholder="at most, as the deployment" value=${form.max} onInput=${(event) => set({ max: event.target.value.replace(",", ".") })} /></div>
  <div class="row">${USUAL.map(([min, max]) => html`<button type="button" class="button narrow" onClick=${() => set({ min: String(min), max: String(max) })}>${min} to ${max} s</button>`)}
    ${(form.min || form.max) && html`<button type="button" class="button plain narrow" onClick=${() => set({ min: "", max: "" })}>As the deployment</button>`}</div></fieldset>`;
