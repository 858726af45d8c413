// The file of a message that came in: a picture is shown when it comes into sight, any other is saved by a click.
import { html, useEffect, useRef, useState } from "../html.js";
import { download, picture } from "../api.js";
import { size } from "../words.js";
import { Wrong } from "./basics.js";

/** Kinds that have a file, and how one is called that came without a name. */
const NAMES = { imageMessage: "picture.jpg", videoMessage: "video.mp4", audioMessage: "audio.ogg", documentMessage: "document", stickerMessage: "sticker.webp" };
/** Pictures that are shown as they are, and up to which length by themselves. */
const SHOWN = ["image/jpeg", "image/png", "image/webp", "image/gif"];
const BY_ITSELF = 8_000_000;

export const hasFile = ({ type, state, message }) => Boolean(NAMES[type] && !state && message);

export function Received({ token, message: { id, type, message } }) {
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const path = `/v1/sessions/${token}/messages/${encodeURIComponent(id)}/media`;
  const length = Number(message.fileLength) || 0;
  const save = async () => {
    setBusy(true);
    setProblem(null);
    await download(path, message.fileName || NAMES[type]).catch(setProblem);
    setBusy(false);
  };
  const isShown = SHOWN.includes(String(message.mimetype).split(";")[0]) && length <= BY_ITSELF;
  return html`<div class="received">${isShown && html`<${Picture} path=${path} message=${message} />`}
    <div class="row small"><button type="button" class="button narrow" aria-disabled=${busy} onClick=${() => busy || save()}>${busy ? "Fetching…" : "Save"}</button>
      <span class="quiet cut">${[message.fileName, length > 0 && size(length)].filter(Boolean).join(", ")}</span></div>
    <${Wrong} problem=${problem} /></div>`;
}

/** Asked for when it comes into sight. */
function Picture({ path, message: { width, height, caption } }) {
  const box = useRef();
  const [shown, setShown] = useState({});
  useEffect(() => {
    const ends = new AbortController();
    const seen = new IntersectionObserver(async ([{ isIntersecting }]) => {
      if (!isIntersecting) return;
      seen.disconnect();
      const found = await picture(path, ends.signal).then((address) => ({ address }), (problem) => ({ problem }));
      if (!ends.signal.aborted) setShown(found);
    });
    seen.observe(box.current);
    return () => {
      seen.disconnect();
      ends.abort();
    };
  }, [path]);
  return html`<div class="picture" ref=${box}>${shown.address ? html`<img src=${shown.address} alt=${caption || "picture"} width=${width || undefined} height=${height || undefined} />`
    : shown.problem ? html`<${Wrong} problem=${shown.problem} />` : html`<span class="quiet small">Fetching the picture…</span>`}</div>`;
}
