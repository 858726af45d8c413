// Schedules through the page: made, seen with their next firings, fired, deleted.
import { strict as assert } from "node:assert";

const PREFIX = "5511900003";
/** So many that their numbers have two digits behind it. */
const PEOPLE = 20;

async function begin({ page }, name) {
  await page.goto("/#/schedules/new");
  await page.getByLabel("From", { exact: true }).selectOption("shop");
  await page.getByLabel("To", { exact: true }).fill(`+${PREFIX}00\n+${PREFIX}01`);
  await page.getByLabel("Text").fill("We are open.");
  await page.getByLabel("Name").fill(name);
}

export const tasks = {
  async "a schedule is made, and shows its next five firings in its zone"(it) {
    const { page, simulator, pictures } = it;
    await simulator.contacts(PREFIX, PEOPLE);
    await page.goto("/#/schedules");
    await page.getByRole("heading", { name: "No schedule yet" }).waitFor();
    await begin(it, "daily");
    await page.getByLabel("Times, as cron says them").fill("0 9 31 2 *");
    await page.getByLabel("Time zone").selectOption("America/Sao_Paulo");
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByRole("alert").getByText("never fires").first().waitFor();
    await page.getByRole("button", { name: "Monday to Friday" }).click();
    await pictures.take("schedule");
    await page.getByRole("button", { name: "Make it" }).click();
    const row = page.getByRole("listitem").filter({ hasText: "0 9 * * 1-5" });
    await row.getByText("has not fired yet").waitFor();
    await row.getByText("in America/Sao_Paulo").waitFor();
    assert.equal(await row.getByRole("list", { name: "Then" }).getByRole("listitem").count(), 4);
    const times = await row.getByRole("list", { name: "Then" }).getByRole("listitem").allInnerTexts();
    assert.ok(times.every((time) => time.includes("09:00")), `${times}`);
  },

  async "it fires once, and says what became of that"(it) {
    const { page, pictures } = it;
    await begin(it, "soon");
    await page.getByRole("button", { name: "Once" }).click();
    const soon = Date.now() + 4_000;
    const local = await page.evaluate((at) => {
      const date = new Date(at);
      return new Date(at - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
    }, soon);
    await page.getByLabel("At", { exact: true }).fill(local);
    await page.getByLabel("At least, in seconds").fill("0");
    await page.getByLabel("At most, in seconds").fill("0.1");
    await page.getByRole("button", { name: "Make it" }).click();
    const row = page.getByRole("listitem").filter({ has: page.getByText("soon", { exact: true }) });
    await row.waitFor();
    await row.getByText("fired once").waitFor();
    await row.getByText("Completed", { exact: true }).waitFor();
    await row.getByText("2 of 2").waitFor();
    await pictures.take("schedules");
    await row.getByRole("link", { name: "Its queue" }).click();
    await page.getByRole("heading", { name: "soon" }).waitFor();
  },

  async "it is deleted"(it) {
    const { page } = it;
    await page.goto("/#/schedules?number=shop");
    const row = page.getByRole("listitem").filter({ hasText: "0 9 * * 1-5" });
    await row.getByLabel("More for daily").click();
    await row.getByRole("button", { name: "Delete…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await row.waitFor({ state: "detached" });
    await page.getByText("As a request").click();
    await page.getByText('"type": "unschedule"').waitFor();
    await page.getByText("As a request").click();
  },
};
