// Broadcasts through the page: from a CSV file with faults, paused and resumed, deleted, to 10,000 at once.
import { strict as assert } from "node:assert";
import { readFile } from "node:fs/promises";

const PEOPLE = 40;
const PREFIX = "5511900001";
const MANY = 10_000;
const MANY_PREFIX = "55119200";
const HUGE = 100_000;
const HUGE_PREFIX = "551193";
/** Seconds in which 10,000 pasted numbers are to be accepted. */
const ACCEPTED_SECONDS = 10;
/** Most milliseconds between two frames at the 95th hundredth, with room for a machine that does other things. */
const FRAME_MS = 50;

const contact = (index) => `+${PREFIX}${String(index).padStart(2, "0")}`;

/** A file with one line of too many columns, one without a number, one person twice, and one who is not on WhatsApp. */
function sheet() {
  const lines = ["number,reference", ...Array.from({ length: PEOPLE }, (_, index) => `${contact(index)},customer ${index}`)];
  return [...lines, "+5511900000011,too,many", "nobody,x", `${contact(0)},again`, "+5511900009999,away", "+99912345678,nowhere"].join("\n");
}

async function begin({ page }, { text, min, max }) {
  await page.getByLabel("From", { exact: true }).selectOption("shop");
  await page.getByLabel("Text").fill(text);
  await page.getByLabel("At least, in seconds").fill(String(min));
  await page.getByLabel("At most, in seconds").fill(String(max));
}

/** While a queue is sent, its progress moves by itself, and frames come in time. */
async function staysSmooth({ page }) {
  await page.waitForFunction(() => Number(document.querySelector("[data-settled]")?.dataset.settled) > 20);
  const before = await settled(page);
  const gaps = await page.evaluate(() => new Promise((done) => {
    const found = [];
    let last = performance.now();
    const frame = (now) => {
      found.push(now - last);
      last = now;
      if (found.length < 180) requestAnimationFrame(frame);
      else done(found.sort((one, other) => one - other));
    };
    requestAnimationFrame(frame);
  }));
  const slow = gaps[Math.floor(gaps.length * 0.95)];
  console.log(`     frames: half of them within ${gaps[90].toFixed(1)} ms, 95 of 100 within ${slow.toFixed(1)} ms`);
  assert.ok(slow < FRAME_MS, `${slow} ms`);
  assert.ok((await settled(page)) > before, "progress moves without a reload");
}

const settled = async (page) => Number(await page.locator("[data-settled]").getAttribute("data-settled"));

export const tasks = {
  async "a broadcast is sent from a CSV file whose bad lines are named"(it) {
    const { page, simulator, pictures } = it;
    await simulator.contacts(PREFIX, PEOPLE);
    await page.goto("/#/broadcast");
    await page.getByText("Not yet: choose the number that sends.").waitFor();
    await page.getByLabel("CSV file").setInputFiles({ name: "people.csv", mimeType: "text/csv", buffer: Buffer.from(sheet()) });
    await begin(it, { text: "We open at nine. Bring a friend!", min: 0.3, max: 0.5 });
    await page.getByText(`Line ${PEOPLE + 2}`).waitFor();
    await page.getByText("has 3 columns, the first line has 2").waitFor();
    await page.getByText("“nobody” is no number").waitFor();
    await page.getByText("Not yet: mend 2 lines, or leave them out.").waitFor();
    await page.getByLabel("Label").fill("spring");
    await page.getByText(/if the number stays connected/).waitFor();
    await pictures.take("broadcast");
    await page.getByLabel("Leave out what can't be read").check();
    await page.getByRole("button", { name: `Send to ${PEOPLE + 2}` }).click();
    await page.getByRole("heading", { name: "spring" }).waitFor();
    // There are no such numbers, which the API knows alone.
    await page.getByText("1 that can't be a phone number").waitFor();
    await page.getByText("Who", { exact: true }).click();
    await page.getByText(`Line ${PEOPLE + 6}`).waitFor();
  },

  async "what only the API finds wrong is named by its line"({ page }) {
    const sent = page.url();
    await page.goto("/#/broadcast?number=shop");
    await page.getByLabel("To", { exact: true }).fill(`${contact(0)}\n+99912345678`);
    await page.getByLabel("Text").fill("Not to be sent.");
    await page.getByRole("button", { name: "Send to 2" }).click();
    await page.getByRole("alert").getByText("line 2").waitFor();
    await page.goto(sent);
  },

  async "it is paused and resumed"(it) {
    const { page } = it;
    await page.waitForFunction(() => Number(document.querySelector("[data-settled]")?.dataset.settled) > 2);
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("Paused", { exact: true }).waitFor();
    await page.getByText("the queue is paused; resume it").waitFor();
    const before = await settled(page);
    await page.getByText("As a request").click();
    await page.getByText(/-X POST .*\/pause/).waitFor();
    await page.getByText('"type": "pause"').waitFor();
    await page.getByText("As a request").click();
    assert.ok((await settled(page)) <= before + 1, "nobody is sent to while it is paused");
    await it.pictures.take("queue");
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByText("Running", { exact: true }).waitFor();
    // It need not take as long as it would have.
    const queue = page.url().split("/").pop().split("?")[0];
    const faster = await fetch(`${it.browser.origin}/v1/sessions/shop/queues/${queue}`, {
      method: "PATCH", body: JSON.stringify({ delay: { min: 0.05, max: 0.1 } }),
      headers: { authorization: `Bearer ${it.key}`, "content-type": "application/json" },
    });
    assert.ok(faster.ok, await faster.text());
  },

  async "it ends, and says who got it and who failed"(it) {
    const { page } = it;
    await page.getByText("Completed", { exact: true }).first().waitFor({ timeout: 60_000 });
    await page.getByText("Not on WhatsApp").first().waitFor();
    await page.getByRole("button", { name: `Read ${PEOPLE}` }).waitFor();
    await page.getByRole("button", { name: "Failed 1" }).click();
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
    assert.ok(page.url().includes("state=failed"), page.url());
    await it.pictures.take("queue-completed");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download them" }).click()]);
    const rows = (await readFile(await download.path(), "utf8")).trim().split("\r\n");
    assert.equal(rows.length, 2);
    assert.ok(rows[1].includes("5511900009999,failed") && rows[1].includes(",away"), rows[1]);
    await page.getByRole("button", { name: "Send again" }).click();
    await page.waitForFunction(() => document.querySelector("[data-settled]")?.parentElement.innerText.includes("of 1"));
  },

  async "10,000 pasted numbers are accepted in seconds"(it) {
    const { page, simulator } = it;
    await simulator.contacts(MANY_PREFIX, MANY, { read_ms: null });
    const numbers = Array.from({ length: MANY }, (_, index) => `+${MANY_PREFIX}${String(index).padStart(4, "0")}`);
    await page.goto("/#/broadcast");
    await begin(it, { text: "To all of you.", min: 0, max: 0.01 });
    await page.evaluate((text) => navigator.clipboard.writeText(text), numbers.join("\n"));
    await page.getByLabel("To", { exact: true }).focus();
    const began = Date.now();
    await page.keyboard.press("Control+V");
    await page.getByRole("button", { name: "Send to 10,000" }).click();
    await page.locator("[data-settled]").waitFor();
    const seconds = (Date.now() - began) / 1000;
    console.log(`     10,000 pasted numbers were accepted in ${seconds.toFixed(1)} s`);
    assert.ok(seconds < ACCEPTED_SECONDS, `${seconds} s`);
  },

  async "the page stays smooth while they are sent"(it) {
    await staysSmooth(it);
  },

  async "deleting many asks for their number"(it) {
    const { page } = it;
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("Paused", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Delete…" }).click();
    const dialog = page.getByRole("dialog");
    const field = dialog.getByLabel(/^Type .* to confirm$/);
    await field.waitFor();
    await it.pictures.take("delete", { axeOnly: true });
    await field.fill("12");
    await field.press("Enter");
    assert.equal(await dialog.isVisible(), true, "the wrong number deletes nothing");
    const wanted = await dialog.locator("label b").innerText();
    await field.fill(wanted);
    await dialog.getByRole("button", { name: "Delete" }).click();
    await page.getByText("Deleted", { exact: true }).first().waitFor();
  },

  async "a file of 100,000 is read and taken, and the page stays smooth while they are sent"(it) {
    const { page, simulator } = it;
    await simulator.contacts(HUGE_PREFIX, HUGE, { read_ms: null });
    const lines = Array.from({ length: HUGE }, (_, index) => `+${HUGE_PREFIX}${String(index).padStart(5, "0")};customer ${index}`);
    await page.goto("/#/home");
    await page.goto("/#/broadcast");
    await begin(it, { text: "To each of you.", min: 0, max: 0.01 });
    const began = Date.now();
    await page.getByLabel("CSV file").setInputFiles({ name: "all.csv", mimeType: "text/csv", buffer: Buffer.from(`number;reference\n${lines.join("\n")}`) });
    await page.getByRole("button", { name: "Send to 100,000" }).click();
    await page.locator("[data-settled]").waitFor();
    console.log(`     100,000 of a file were read and taken in ${((Date.now() - began) / 1000).toFixed(1)} s`);
    await staysSmooth(it);
    await page.getByRole("button", { name: "Delete…" }).click();
    // It goes on meanwhile, so that their number is another each moment.
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel(/^Type .* to confirm$/).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("Paused", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Delete…" }).click();
    await dialog.getByLabel(/^Type .* to confirm$/).fill(await dialog.locator("label b").innerText());
    await dialog.getByRole("button", { name: "Delete" }).click();
    await page.getByText("Deleted", { exact: true }).first().waitFor();
  },

  async "queues are listed and narrowed"({ page, pictures }) {
    await page.goto("/#/queues");
    await page.getByRole("link", { name: "spring" }).first().waitFor();
    await pictures.take("queues");
    await page.getByRole("button", { name: "Deleted" }).click();
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 2);
    await page.goBack().catch(() => {});
  },

  async "nobody was shown anything twice"({ simulator }) {
    const audit = await simulator.audit();
    assert.equal(audit.shown_twice + audit.repeated_texts + audit.lost + audit.violations, 0, JSON.stringify(audit));
  },
};
