// Whom a broadcast goes to, read from what was pasted or from a CSV file: each with the line it stands on, so that what is
// wrong is named by its line. What is a possible phone number only the API knows; this finds what can't be one.

/** Digits of a phone number, by E.164, with room for national ones. */
const [DIGITS_MIN, DIGITS_MAX] = [5, 15];
const JID = /^[0-9]+(?::[0-9]+)?@(s\.whatsapp\.net|lid)$/;

/** Names of columns that hold the number, and the caller's own name for the person. */
const NUMBER_NAMES = ["number", "phone", "phonenumber", "mobile", "whatsapp", "tel", "telephone", "msisdn", "cell"];
const REFERENCE_NAMES = ["reference", "ref", "id", "customer", "customerid", "externalid"];

/** Longest reference, in characters. */
const REFERENCE_MAX = 128;

/** Digits from which on several cells of a line are taken for several people. */
const LIST_DIGITS = 8;

/**
 * Reads a text: `{rows: [{number, reference, variables, line}], faults: [{line, problem}], twice: [{line, first}], columns}`.
 * `rows` are those to be sent, each person once, unless all are to be kept. The columns that a first line names are variables.
 */
export function readRecipients(text, { keep = false } = {}) {
  const { records, faults } = readCsv(text);
  const read = { rows: [], faults, twice: [], columns: null, keep };
  if (!records.length) return read;
  const columns = columnsOf(records[0].cells);
  read.columns = columns;
  const seen = new Map();
  for (const record of columns.head ? records.slice(1) : records) take(record, columns, read, seen);
  faults.sort((one, other) => one.line - other.line);
  return read;
}

function take({ cells, line, broken }, columns, read, seen) {
  if (broken) return;
  // Numbers that were pasted in one line.
  if (!columns.head && cells.length > 1 && cells.every(isLong)) {
    cells.forEach((cell) => take({ cells: [cell], line }, { number: 0 }, read, seen));
    return;
  }
  if (columns.head && cells.length !== columns.head.length) {
    read.faults.push({ line, problem: `has ${cells.length} columns, the first line has ${columns.head.length}` });
    return;
  }
  const number = (cells[columns.number] || "").trim();
  const problem = wrongWith(number);
  if (problem) {
    read.faults.push({ line, problem });
    return;
  }
  const reference = columns.reference == null ? "" : (cells[columns.reference] || "").trim();
  const unusable = [...reference].length > REFERENCE_MAX ? `has more than ${REFERENCE_MAX} characters` : /[\r\n]/.test(reference) && "is on several lines";
  if (unusable) {
    read.faults.push({ line, problem: `its reference ${unusable}` });
    return;
  }
  const same = number.includes("@") ? number : number.replace(/\D/g, "").replace(/^00/, "");
  if (seen.has(same)) {
    read.twice.push({ line, first: seen.get(same), number });
    if (!read.keep) return;
  } else seen.set(same, line);
  read.rows.push({ number, reference, line, variables: variablesOf(cells, columns) });
}

const NONE = {};

function variablesOf(cells, { head, number }) {
  if (!head) return NONE;
  const own = {};
  head.forEach((name, index) => {
    const value = index === number ? "" : cells[index].trim();
    if (value) own[name] = value;
  });
  return own;
}

const isLong = (cell) => /^[+\d\s().-]+$/.test(cell) && cell.replace(/\D/g, "").length >= LIST_DIGITS;

/** Why a text can be no recipient; null if it may be one. */
function wrongWith(number) {
  if (!number) return "has no number";
  if (number.includes("@")) return JID.test(number) ? null : `“${cut(number)}” is no jid of a person`;
  if (/\p{L}/u.test(number.replace(/^tel:/i, ""))) return `“${cut(number)}” is no number`;
  const digits = number.replace(/\D/g, "").length;
  if (digits < DIGITS_MIN) return `“${cut(number)}” is too short`;
  if (digits > DIGITS_MAX + 2) return `“${cut(number)}” is too long`;
  return null;
}

const cut = (text) => (text.length > 30 ? `${text.slice(0, 30)}…` : text);

function columnsOf(first) {
  const names = first.map((cell) => cell.toLowerCase().replace(/[^\p{L}]/gu, ""));
  const number = names.findIndex((name) => NUMBER_NAMES.includes(name));
  if (number >= 0) {
    const reference = names.findIndex((name) => REFERENCE_NAMES.includes(name));
    const head = first.map((cell) => cell.trim());
    return { head, number, reference: reference < 0 ? null : reference, variables: head.filter((name, index) => name && index !== number) };
  }
  return { head: null, number: 0, reference: first.length > 1 ? 1 : null, variables: [] };
}

/** RFC 4180, with comma, semicolon or tab: records with the line each begins on, and what is broken by its line. */
export function readCsv(text) {
  const source = text.replace(/^\uFEFF/, "");
  const mark = separatorOf(source);
  const state = { records: [], faults: [], cells: [], cell: "", quoted: false, line: 1, began: 1, opened: 0, broken: false };
  for (let at = 0; at < source.length; at += 1) at += step(state, source, at, mark);
  if (state.quoted) {
    state.faults.push({ line: state.opened, problem: "a quote is opened and never closed" });
    state.broken = true;
  }
  endRecord(state);
  return { records: state.records, faults: state.faults };
}

/** Reads one character; answers how many more were read with it. */
function step(state, source, at, mark) {
  const char = source[at];
  if (state.quoted) {
    if (char === "\n") state.line += 1;
    if (char !== '"') state.cell += char;
    else if (source[at + 1] === '"') {
      state.cell += '"';
      return 1;
    } else {
      state.quoted = false;
      state.closed = true;
    }
  } else if (char === '"' && !state.cell.trim()) {
    Object.assign(state, { quoted: true, opened: state.line, cell: "" });
  } else if (char === mark) endCell(state);
  else if (char === "\n") {
    endRecord(state);
    state.line += 1;
    state.began = state.line;
  } else if (char !== "\r") {
    if (state.closed && char.trim() && !state.broken) {
      state.faults.push({ line: state.line, problem: "something stands behind a closing quote" });
      state.broken = true;
    }
    state.cell += char;
  }
  return 0;
}

function endCell(state) {
  state.cells.push(state.cell);
  Object.assign(state, { cell: "", closed: false });
}

function endRecord(state) {
  endCell(state);
  const empty = state.cells.every((cell) => !cell.trim());
  if (!empty || state.broken) state.records.push({ cells: state.cells, line: state.began, broken: state.broken });
  Object.assign(state, { cells: [], broken: false });
}

/** What parts the columns: what the first line has most of. */
function separatorOf(source) {
  const first = source.slice(0, source.search(/\n|$/));
  const count = (mark) => first.split(mark).length;
  return [",", ";", "\t"].reduce((best, mark) => (count(mark) > count(best) ? mark : best), ",");
}
