// The step with a passkey: what is to be pasted where, the answer, and the code to compare. docs/PASSKEY.md says why.
import { html, useState } from "../html.js";
import { post } from "../api.js";
import { refresh } from "../live.js";
import { Copy, Notice, Until, Wrong } from "../parts/basics.js";

export function Passkey({ passkey, path }) {
  switch (passkey.stage) {
    case "requested": return html`<${Sign} passkey=${passkey} path=${path} />`;
    case "code": return html`<${Compare} passkey=${passkey} path=${path} />`;
    case "answered": return html`<${Notice} hue="busy"><b>Taken.</b> The phone goes on; keep WhatsApp open there.<//><${Cancel} path=${path} />`;
    case "confirmed": return html`<${Notice} hue="busy"><b>Confirmed.</b> The phone is being linked…<//>`;
    default: return html`<${Notice} hue="bad"><b>It came to nothing:</b> ${passkey.reason}. Scan the next code.<//>`;
  }
}

function Sign({ passkey, path }) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState(null);
  const send = async (event) => {
    event.preventDefault();
    setProblem(null);
    try {
      await post(`${path}/passkey`, JSON.parse(text));
      refresh();
    } catch (error) {
      setProblem(error instanceof SyntaxError ? { title: "This is not the line", message: "paste the whole line of JSON that the console printed" } : error);
    }
  };
  const script = SCRIPT.replace("OPTIONS", () => JSON.stringify(passkey.options));
  return html`<div class="stack">
    <${Notice}><b>The account wants its passkey.</b> Browsers sign for WhatsApp on its own page alone, so one step is there. It lapses <${Until} at=${passkey.expiresAt} />.<//>
    <ol class="told">
      <li>Open <a href="https://web.whatsapp.com" target="_blank" rel="noreferrer">web.whatsapp.com</a> in a browser that reaches the passkey, and there its console (F12).</li>
      <li>Paste this, and click the button that appears. What is pasted there can do all that you can on that page: read it first. <${Copy} text=${script} shown="Copy the lines" label="Copy the lines" button />
        <details><summary class="small">Read the lines</summary><pre class="code" tabindex="0">${script}</pre></details></li>
      <li>Confirm on the phone, then paste here the line that the console prints.</li></ol>
    <form class="stack" onSubmit=${send}>
      <div class="field"><label for="signed">The line from the console</label>
        <textarea id="signed" rows="3" spellcheck="false" value=${text} onInput=${(event) => setText(event.target.value)}></textarea></div>
      <${Wrong} problem=${problem} />
      <footer class="row"><button class="button first" aria-disabled=${!text.trim()}>Hand it over</button><${Cancel} path=${path} /></footer></form></div>`;
}

function Compare({ passkey, path }) {
  const [problem, setProblem] = useState(null);
  const confirm = () => post(`${path}/passkey/confirm`).then(refresh, setProblem);
  return html`<div class="stack"><p>Does the phone show the same code?</p><div class="paircode">${passkey.code}</div>
    ${passkey.comparisonNeeded === false && html`<p class="small quiet">The phone has had a proof already and may show none; confirm all the same.</p>`}
    <p class="small quiet">It lapses <${Until} at=${passkey.expiresAt} />.</p><${Wrong} problem=${problem} />
    <footer class="row"><button class="button first" onClick=${confirm}>It is the same</button><${Cancel} path=${path} words="It is another one" /></footer></div>`;
}

function Cancel({ path, words = "Give up" }) {
  const [problem, setProblem] = useState(null);
  const cancel = () => post(`${path}/passkey/cancel`).then(refresh, setProblem);
  return html`<button type="button" class="button" onClick=${cancel}>${words}</button><${Wrong} problem=${problem} />`;
}

const SCRIPT = `(() => {
  const options = OPTIONS;
  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\\+/g, "-").replace(/\\//g, "_").replace(/=+$/, "");
  const button = document.createElement("button");
  button.textContent = "Sign with the passkey";
  button.style.cssText = "position:fixed;top:1em;left:1em;z-index:99999;padding:1em;color:#000;background:#fff";
  button.onclick = async () => {
    try {
      const credential = await navigator.credentials.get({
        publicKey: {
          ...options,
          challenge: bytes(options.challenge),
          allowCredentials: (options.allowCredentials ?? []).map((one) => ({ ...one, id: bytes(one.id) })),
        },
      });
      const signed = credential.response;
      console.log(JSON.stringify({
        id: credential.id,
        rawId: text(credential.rawId),
        type: credential.type,
        response: {
          clientDataJSON: text(signed.clientDataJSON),
          authenticatorData: text(signed.authenticatorData),
          signature: text(signed.signature),
          userHandle: signed.userHandle ? text(signed.userHandle) : null,
        },
      }));
      button.remove();
    } catch (error) {
      button.textContent = \`\${error}: click to try again\`;
    }
  };
  document.body.append(button);
})();`;
