// A schema of the document in words: types, fields, choices; what it names is opened on demand.
import { html, useState } from "../html.js";

const named = (reference) => reference.split("/").pop();

/** What a schema is, on one line. */
function words(schema, document) {
  if (!schema) return "anything";
  if (schema.$ref) return named(schema.$ref);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  const choices = schema.oneOf || schema.anyOf;
  if (choices) return choices.map((one) => words(one, document)).join(" or ");
  if (schema.type === "array") return `list of ${words(schema.items, document)}`;
  const type = Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type || "anything";
  const bounds = [["minLength", "at least", "characters"], ["maxLength", "at most", "characters"], ["minimum", "from", ""], ["maximum", "to", ""], ["maxItems", "at most", "items"]];
  const said = bounds.filter(([name]) => schema[name] !== undefined).map(([name, before, after]) => `${before} ${schema[name]} ${after}`.trim());
  return [schema.format ? `${type} (${schema.format})` : type, ...said].join(", ");
}

/** Names that a schema leads to at once. */
function leads(schema) {
  if (!schema) return [];
  if (schema.$ref) return [schema.$ref];
  return [...(schema.oneOf || []), ...(schema.anyOf || []), ...(schema.items ? [schema.items] : [])].flatMap(leads);
}

export function Schema({ of, document, flat }) {
  if (!of) return null;
  const schema = of.$ref ? document.components.schemas[named(of.$ref)] || {} : of;
  if (flat) return html`${words(of.$ref && !schema.properties ? schema : of, document)}`;
  return html`<div class="schema">${schema.description && of.$ref && html`<p class="small quiet"><${Words} text=${schema.description} /></p>`}<${Fields} schema=${schema} document=${document} /></div>`;
}

function Fields({ schema, document }) {
  const choices = schema.oneOf || schema.anyOf;
  if (choices && !schema.properties) {
    return html`<ul class="choices">${choices.map((one) => html`<li><${Choice} of=${one} document=${document} /></li>`)}</ul>`;
  }
  if (!schema.properties) return html`<span class="small">${words(schema, document)}</span>`;
  const required = new Set(schema.required || []);
  return html`<dl class="fields">${Object.entries(schema.properties).map(([name, field]) => html`<dt><code>${name}</code>${required.has(name) ? html`<span class="small quiet"> required</span>` : ""}</dt>
    <dd><span class="small">${words(field, document)}</span> <span class="small quiet"><${Words} text=${field.description} /></span><${Opened} of=${field} document=${document} /></dd>`)}</dl>`;
}

function Choice({ of, document }) {
  if (of.$ref) return html`<span class="small">${named(of.$ref)}</span><${Opened} of=${of} document=${document} />`;
  return html`${of.description && html`<p class="small quiet"><${Words} text=${of.description} /></p>`}<${Fields} schema=${of} document=${document} />`;
}

/** A text in which what stands in backticks is code. */
export const Words = ({ text }) => (text || "").split("`").map((part, index) => (index % 2 ? html`<code>${part}</code>` : part));

/** Schemas that a field names; opened by a click, so that circles end. */
function Opened({ of, document }) {
  const [open, setOpen] = useState("");
  const known = [...new Set(leads(of))].filter((reference) => document.components.schemas[named(reference)]);
  return known.map((reference) => html`<div key=${reference}><button type="button" class="copy small" aria-expanded=${open === reference ? "true" : "false"} onClick=${() => setOpen(open === reference ? "" : reference)}>${open === reference ? "−" : "+"} ${named(reference)}</button>
    ${open === reference && html`<${Schema} of=${{ $ref: reference }} document=${document} />`}</div>`);
}
