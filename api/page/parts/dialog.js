// Dialogs: the browser's own, which keeps the focus inside, gives it back, and closes by Esc.
import { html, useEffect, useRef, useState } from "../html.js";
import { amount } from "../words.js";
import { Wrong } from "./basics.js";

let count = 0;

export function Dialog({ title, close, wide, children }) {
  const box = useRef();
  const [id] = useState(() => `dialog-${(count += 1)}`);
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  return html`<dialog class="dialog ${wide ? "wide" : ""}" ref=${box} aria-labelledby=${id}
    onCancel=${(event) => { event.preventDefault(); close(); }}
    onClick=${(event) => event.target === box.current && close()}>
    <header><h2 id=${id}>${title}</h2>
      <button class="button plain" onClick=${close} aria-label="Close">✕</button></header>
    <div class="inside">${children}</div>
  </dialog>`;
}

/** Asks before something that can't be undone; beyond `typed` people the number is to be typed. */
export function Confirm({ title, words, verb, typed, act, close }) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const holds = typed != null && text.replace(/[\s,.]/g, "") !== String(typed);
  const go = async (event) => {
    event.preventDefault();
    if (holds || busy) return;
    setBusy(true);
    try {
      await act();
      close();
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} close=${close}>
    <form class="stack" onSubmit=${go}>
      <p>${words}</p>
      ${typed != null && html`<div class="field">
        <label for="confirm">Type <b>${amount(typed)}</b> to confirm</label>
        <input id="confirm" inputmode="numeric" autocomplete="off" autofocus value=${text} onInput=${(event) => setText(event.target.value)} />
      </div>`}
      <${Wrong} problem=${problem} />
      <footer>
        <button type="button" class="button" onClick=${close}>Keep it</button>
        <button class="button grave" aria-disabled=${holds || busy} title=${holds ? "type the number first" : undefined}>${busy ? "Working…" : verb}</button>
      </footer>
    </form>
  <//>`;
}
