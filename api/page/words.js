// Words and figures for people: times, amounts, numbers, states.

const LOCALE = "en";
const amounts = new Intl.NumberFormat(LOCALE);
const exactly = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const toTheSecond = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(LOCALE, { weekday: "short", day: "numeric", month: "short" });

export const amount = (number) => amounts.format(number);
export const many = (number, one, more = `${one}s`) => `${amount(number)} ${number === 1 ? one : more}`;
/** A moment of today, to the second. */
export const momentary = (at) => toTheSecond.format(new Date(at));
export const exact = (at) => exactly.format(new Date(at));

/** A length of time in words; two units at most. */
export function lasting(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => whole >= size);
  if (first < 0) return "0 s";
  const [name, size] = units[first];
  const rest = units[first + 1];
  const count = Math.floor(whole / size);
  const left = rest ? Math.floor((whole % size) / rest[1]) : 0;
  return left && count < 10 ? `${count} ${name} ${left} ${rest[0]}` : `${count} ${name}`;
}

/** How far a moment lies back, or ahead. */
export function relative(at, now) {
  const seconds = (now - new Date(at).getTime()) / 1000;
  if (Math.abs(seconds) < 5) return "now";
  return seconds > 0 ? `${lasting(seconds)} ago` : `in ${lasting(-seconds)}`;
}

/** A moment to come, by the viewer's clock. */
export function moment(at, now) {
  const date = new Date(at);
  const isToday = date.toDateString() === new Date(now).toDateString();
  return isToday ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}

/** A moment by the clock of a time zone, in which a schedule is read. */
const clocks = new Map();
function clockIn(zone, options) {
  const name = `${zone} ${Object.keys(options)}`;
  if (!clocks.has(name)) clocks.set(name, new Intl.DateTimeFormat(LOCALE, { timeZone: zone, ...options }));
  return clocks.get(name);
}
export const momentIn = (at, zone) => clockIn(zone, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false }).format(new Date(at));
export const exactIn = (at, zone) => `${clockIn(zone, { dateStyle: "medium", timeStyle: "long" }).format(new Date(at))} in ${zone}, ${exact(at)} here`;

/** The day of a moment, and its time of the day, by the viewer's clock. */
const days = new Intl.DateTimeFormat(LOCALE, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
export const dayOf = (at) => days.format(new Date(at));
export const momentOfDay = (at) => clock.format(new Date(at));

/** Kinds of messages that came in, by the protocol's names. */
const RECEIVED = {
  conversation: "text", extendedTextMessage: "text", imageMessage: "picture", videoMessage: "video", ptvMessage: "video", audioMessage: "audio",
  documentMessage: "document", documentWithCaptionMessage: "document", stickerMessage: "sticker", locationMessage: "location",
  liveLocationMessage: "live location", contactMessage: "contact", contactsArrayMessage: "contacts", eventMessage: "event", reactionMessage: "reaction",
  pollCreationMessage: "poll", pollCreationMessageV3: "poll", listMessage: "list", buttonsMessage: "buttons", interactiveMessage: "buttons", templateMessage: "template",
};
export const kindOf = (type) => RECEIVED[type] || String(type).replace(/Message(V\d+)?$/, "").replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

/** The number in a jid, as people write it. */
/** So many bytes. */
export const size = (bytes) => {
  const units = ["bytes", "KB", "MB", "GB"];
  const at = Math.min(3, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** at).toFixed(at && bytes < 10 * 1000 ** at ? 1 : 0)} ${units[at]}`;
};

export const phone = (jid) => (jid ? `+${jid.split(/[:@]/)[0]}` : "");

/** What is sent, in a line. */
export function gist(message) {
  if (!message) return "";
  return message.text || message.caption || message.name || message.type;
}

/** Each state with its word, its colour's name, and its shape. */
export const SESSION = {
  open: ["Sends", "good"], connecting: ["Connecting", "busy"], new: ["New", "busy"], pairing: ["Waits for a phone", "wait"],
  passkey: ["Waits for a passkey", "wait"], closed: ["Not connected", "bad"], "logged-out": ["Logged out", "bad"],
};
export const QUEUE = {
  queued: ["Queued", "busy"], running: ["Running", "good"], paused: ["Paused", "wait"], completed: ["Completed", "done"],
  deleted: ["Deleted", "off"], accepted: ["Accepted", "busy"], rejected: ["Rejected", "bad"],
};
export const RECIPIENT = {
  read: ["Read", "good"], delivered: ["Delivered", "fine"], sent: ["Sent", "busy"], sending: ["Sending", "busy"],
  queued: ["Waiting", "off"], failed: ["Failed", "bad"], unknown: ["Unknown", "wait"], duplicate: ["Twice", "off"],
  skipped: ["Skipped", "off"],
};
export const DELIVERY = {
  delivered: ["Delivered", "good"], pending: ["Waiting", "wait"], dead: ["Given up", "bad"], cancelled: ["Cancelled", "off"],
};

/** What the status of a failed recipient means, and what to do. */
export const FAILED = {
  400: "This kind of message can't be sent to them", 403: "The account blocks them", 404: "Not on WhatsApp",
  410: "The account has no devices any more", 500: "WhatsApp took the message for malformed", 502: "WhatsApp refused it",
  503: "It failed on our side; trying again may help", 504: "WhatsApp did not answer",
};

/** How a session stands, for a list: refused, restricted and stopped are not merely closed. */
export function standing(session) {
  if (session.deleting) return ["Being deleted", "off"];
  const reason = session.waiting?.reason;
  if (reason === "refused") return ["Refused", "bad"];
  if (reason === "stopped") return ["Stopped", "off"];
  if (reason === "no-worker") return ["No worker", "bad"];
  if (session.state === "open" && session.restriction) return ["Restricted", "wait"];
  return SESSION[session.state] || [session.state, "off"];
}
