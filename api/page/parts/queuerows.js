// Queues as rows of a table, the same wherever they are listed.
import { html } from "../html.js";
import { to } from "../route.js";
import { amount, gist, QUEUE } from "../words.js";
import { Ago, Chip } from "./basics.js";

export const QueueRows = ({ queues }) => html`<div class="scroll"><table class="table cards">
  <thead><tr><th>Broadcast</th><th>Number</th><th>State</th><th>Progress</th><th class="right">Failed</th><th>Taken</th></tr></thead>
  <tbody>${queues.map((queue) => html`<tr key=${queue.queueId}>
    <td class="wide"><a href=${to(["queues", queue.token, queue.queueId])}>${name(queue)}</a>
      ${queue.label && html`<div class="small quiet">${short(gist(queue.message))}</div>`}</td>
    <td><span class="nowrap">${queue.token}</span></td>
    <td><${Chip} of=${QUEUE[queue.state]} /></td>
    <td class="figures wide"><${Progress} queue=${queue} /></td>
    <td class="right figures">${queue.failed ? html`${amount(queue.failed)}<span class="small quiet onlycards"> failed</span>` : ""}</td>
    <td><${Ago} at=${queue.createdAt} /></td>
  </tr>`)}</tbody></table></div>`;

const name = (queue) => queue.label || short(gist(queue.message)) || queue.queueId;
const short = (text) => (text.length > 60 ? `${text.slice(0, 60)}…` : text);

function Progress({ queue }) {
  const { settled, failed, total } = queue;
  return html`<div class="row"><span class="nowrap">${amount(settled)} of ${amount(total)}</span>
    <div class="bar thin" aria-hidden="true">
      <i class="good" style=${{ flexGrow: settled - failed }}></i><i class="bad" style=${{ flexGrow: failed }}></i>
      <i class="unsent" style=${{ flexGrow: total - settled }}></i></div></div>`;
}
