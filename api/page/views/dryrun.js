// What a broadcast would do: who would get what, who is left out, and when it would end. Nothing is sent.
import { html } from "../html.js";
import { useNow } from "../live.js";
import { amount, gist, lasting, many, moment, phone } from "../words.js";

export function DryRun({ tried, rows }) {
  const { recipients, invalid, invalidCount, duplicates, duplicatesCount, first } = tried;
  const line = (place) => rows[place]?.line ?? place + 1;
  return html`<section class="sheet stack" role="status" aria-label="What it would do"><h2>What it would do</h2>
    <div class="legend"><span class="dot good"><b>${amount(recipients)}</b> would get it</span>
      ${invalid.length > 0 && html`<span class="dot bad"><b>${amount(invalidCount)}</b> can't</span>`}
      ${duplicates.length > 0 && html`<span class="dot off"><b>${amount(duplicatesCount)}</b> twice</span>`}</div>
    <${Ends} tried=${tried} />
    ${invalid.length > 0 && html`<ul class="faults" tabindex="0" aria-label="Who can't get it">${invalid.map((one) => html`<li><b>Line ${amount(line(one.place))}</b> ${one.value ? `“${one.value}” ` : ""}${one.problem}</li>`)}
      ${invalidCount > invalid.length && html`<li>and ${amount(invalidCount - invalid.length)} more</li>`}</ul>`}
    ${duplicates.length > 0 && html`<details class="small"><summary class="quiet">Who is twice</summary><ul>${duplicates.map((one) => html`<li>Line ${amount(line(one.place))}: ${one.number}, as in line ${amount(line(one.of))}</li>`)}</ul></details>`}
    ${first.length > 0 && html`<div class="stack"><h3>The first ${first.length === 1 ? "one" : amount(first.length)}</h3><div class="scroll"><table class="table cards"><thead><tr><th>Number</th><th>Gets</th></tr></thead>
      <tbody>${first.map((one) => html`<tr><td><span class="nowrap">${phone(String(one.number))}</span></td><td class="wide message">${gist(one.message)}</td></tr>`)}</tbody></table></div></div>`}</section>`;
}

function Ends({ tried: { endsAt, takesSeconds, recipients, assumptions } }) {
  const now = useNow(10000);
  if (!endsAt) return null;
  const { earliest, latest } = endsAt;
  const same = moment(earliest, now) === moment(latest, now);
  return html`<div class="stack tight"><p>It would end <b>${same ? moment(latest, now) : `between ${moment(earliest, now)} and ${moment(latest, now)}`}</b>,
    <span class="quiet"> ${lasting(takesSeconds.most)} from now at most, for ${many(recipients, "person", "people")}.</span></p>
    ${assumptions.length > 0 && html`<details class="small"><summary class="quiet">If all of this holds</summary><ul class="told">${assumptions.map((one) => html`<li>${one}</li>`)}</ul></details>`}</div>`;
}
