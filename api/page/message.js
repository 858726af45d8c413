// The message that a form describes: its kinds, its texts, and what the API is given of it.

/** Kinds by what the API calls them, and what each has beside its file. */
export const KINDS = {
  text: { word: "Text", caption: "Text" },
  image: { word: "Picture", caption: "Caption", file: true },
  video: { word: "Video", caption: "Caption", file: true },
  audio: { word: "Audio", file: true, voice: true },
  document: { word: "Document", caption: "Caption", file: true, name: true },
};

/** Most bytes of a text, as the API has it. */
const TEXT_MAX = 65536;

export const EMPTY_MESSAGE = { kind: "text", text: "", from: "disk", upload: null, url: "", fileName: "", voiceNote: false };

/** The texts of a message in which placeholders may stand. */
export function textsOf({ kind, text, fileName }) {
  const { caption, name } = KINDS[kind];
  return [caption ? text : "", name ? fileName : ""];
}

/** What is missing or wrong; null if nothing is. */
export function wrongMessage(form) {
  const { file, caption } = KINDS[form.kind];
  if (file && form.from === "disk") {
    if (!form.upload) return "choose the file";
    if (form.upload.problem) return "the file could not be handed over";
    if (!form.upload.id) return "the file is still on its way";
  } else if (file && !form.url.trim()) return "say where the file is";
  else if (file && !/^https?:\/\/\S+$/i.test(form.url.trim())) return "the file's address begins with https://";
  if (!file && !form.text.trim()) return "write the text";
  if (caption && new TextEncoder().encode(form.text).length > TEXT_MAX) return `the ${caption.toLowerCase()} has more than ${TEXT_MAX.toLocaleString("en")} bytes`;
  return null;
}

/** The message as the API takes it. */
export function messageOf(form) {
  const { file, caption, name, voice } = KINDS[form.kind];
  if (!file) return { type: "text", text: form.text };
  return {
    type: form.kind,
    media: form.from === "disk" ? { id: form.upload.id } : { url: form.url.trim() },
    ...(caption && form.text.trim() && { caption: form.text }),
    ...(name && form.fileName.trim() && { fileName: form.fileName.trim() }),
    ...(voice && form.voiceNote && { voiceNote: true }),
  };
}
