// What lists of chats and single ones have in common: names, and how far a message of ours came.
import { html } from "../html.js";
import { phone } from "../words.js";

/** What changes chats, by the names of its events. */
export const CHATS = { names: ["new.message", "messages.update", "messages.delete", "message.reaction", "send.message:"] };

export const nameOf = ({ name, number, id }) => name || (number ? `+${number}` : phone(id));

/** How far a message of ours came: sign, word. */
const TICKS = {
  sending: ["◷", "being sent"], queued: ["◷", "waits"], sent: ["✓", "sent"], delivered: ["✓✓", "delivered"], read: ["✓✓", "read"], played: ["✓✓", "played"],
  failed: ["!", "failed"], unknown: ["?", "nobody knows whether it was sent"],
};

export function Ticks({ state }) {
  const [sign, word] = TICKS[state] || [];
  return sign ? html`<span class="ticks ${state}" title=${word}><span aria-hidden="true">${sign}</span><span class="hidden">${word}</span></span>` : "";
}
