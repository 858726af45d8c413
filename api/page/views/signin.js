// Signing in with the key of the API. It goes nowhere but to the API, and is forgotten with the page.
import { html, useState } from "../html.js";
import { signIn } from "../api.js";
import { Wrong } from "../parts/basics.js";

export function SignIn() {
  const [key, setKey] = useState("");
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    const offered = event.target.elements.key.value.trim();
    if (!offered) return setProblem({ title: "No key", message: "type the key first" });
    setBusy(true);
    try {
      await signIn(offered);
    } catch (error) {
      setProblem(error.status === 401
        ? { title: "This is not the key", message: "it is what AUTH is set to where the API runs", code: error.code } : error);
      setBusy(false);
    }
  };
  return html`<main class="signin"><form class="sheet" onSubmit=${submit}>
    <div class="brand"><img src=${new URL("../icon.svg", import.meta.url)} alt="" />Fanfare</div>
    <h1>Sign in</h1>
    <div class="field">
      <label for="key">Key</label>
      <input id="key" name="key" type="password" autocomplete="current-password" autofocus spellcheck="false"
        value=${key} aria-invalid=${problem ? "true" : undefined} aria-describedby="key-hint"
        onInput=${(event) => { setKey(event.target.value); setProblem(null); }} />
      <span class="hint" id="key-hint">What <code>AUTH</code> is set to. It stays in this page's memory.</span>
    </div>
    <${Wrong} problem=${problem} />
    <button class="button first" aria-disabled=${busy}>${busy ? "Signing in…" : "Sign in"}</button>
  </form></main>`;
}
