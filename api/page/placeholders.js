// What a text becomes for one person: `{{name}}`, and `{{name|there}}` with what stands there for those who have no such
// variable. The same rules as the API's, so that the preview shows what is sent; the API checks it all once more.

const NAME_MAX = 64;

/** The parts of a text: texts, and {name, default}; `{problem}` last where one can't be read. `{{{{` is a literal `{{`. */
export function pieces(text) {
  const parts = [];
  let rest = text;
  while (rest) {
    const opens = rest.indexOf("{{");
    if (opens < 0) return [...parts, rest];
    if (opens > 0) parts.push(rest.slice(0, opens));
    rest = rest.slice(opens);
    if (rest.startsWith("{{{{")) {
      parts.push("{{");
      rest = rest.slice(4);
      continue;
    }
    const closes = rest.indexOf("}}", 2);
    if (closes < 0) return [...parts, { problem: "a placeholder is not closed by }}" }];
    const part = place(rest.slice(2, closes));
    parts.push(part);
    if (part.problem) return parts;
    rest = rest.slice(closes + 2);
  }
  return parts;
}

function place(inner) {
  const bar = inner.indexOf("|");
  const name = (bar < 0 ? inner : inner.slice(0, bar)).trim();
  if (!isName(name)) return { problem: `“{{${inner}}}” names what can be no variable` };
  return { name, default: bar < 0 ? null : inner.slice(bar + 1).trim() };
}

/** Whether a variable may be called so, as most heads of columns may. */
export const isName = (name) => name.length > 0 && name.length <= NAME_MAX && name.trim() === name && !/[{}|\p{Cc}]/u.test(name);

/** Whether a text has what the API would read as a placeholder. */
export const isPersonal = (text) => text.includes("{{");

/** The placeholders of texts, each name once: {name, default}, without a default where one of them has none. */
export function placesOf(texts) {
  const found = new Map();
  for (const part of texts.flatMap(pieces)) {
    if (!part.name) continue;
    const before = found.get(part.name);
    if (!before || part.default === null) found.set(part.name, part);
  }
  return [...found.values()];
}

/** What is wrong with texts; null if nothing is. */
export const wrongWith = (texts) => texts.flatMap(pieces).find((part) => part.problem)?.problem || null;

/** A text for one person, in parts: {text, from} where `from` is variable, default, or missing, else null. */
export const filled = (text, variables) => pieces(text).map((part) => {
  if (typeof part === "string") return { text: part, from: null };
  if (part.problem) return { text: "{{", from: "missing" };
  if (variables?.[part.name]) return { text: variables[part.name], from: "variable" };
  return part.default === null ? { text: `{{${part.name}}}`, from: "missing" } : { text: part.default, from: "default" };
});
