// Linking numbers through the page: by the code it draws, by the code to type, with a passkey; then the commands.
import { strict as assert } from "node:assert";

const SHOP = "5511900000001";
const BRANCH = "5511900000002";
const GUARDED = "5511900000003";

/** Adds a number up to the dialog that links it. */
async function add({ page }, token) {
  await page.goto("/#/numbers/new");
  await page.getByLabel("Its name here").fill(token);
  await page.getByRole("button", { name: "Next: link the phone" }).click();
  await page.getByRole("dialog", { name: `Link ${token}` }).waitFor();
}

const shownCode = async (page) => page.locator("img[data-code]").getAttribute("data-code");

async function linked({ page }) {
  await page.getByText("Linked.", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("dialog").waitFor({ state: "hidden" });
}

export const tasks = {
  async "a bad name is refused by its field"({ page }) {
    await page.goto("/#/numbers/new");
    await page.getByLabel("Its name here").fill("not a name!");
    await page.getByRole("button", { name: "Next: link the phone" }).click();
    await page.locator("[aria-invalid=true]").waitFor();
    await page.keyboard.press("Escape");
  },

  async "a number is linked by the code that the page draws"(it) {
    const { page, simulator, pictures } = it;
    await simulator.phone(SHOP, "Flower Shop");
    await add(it, "shop");
    await page.getByText(/another code in \d+ s/).waitFor();
    await pictures.take("pairing");
    // A picture takes a while: the code is the one shown now.
    await simulator.scan(SHOP, await shownCode(page));
    await linked(it);
    await page.getByRole("listitem").filter({ hasText: "Flower Shop" }).getByText("Sends").waitFor();
  },

  async "a number is linked by a code to type"(it) {
    const { page, simulator } = it;
    await simulator.phone(BRANCH, "Branch");
    await add(it, "branch");
    await page.getByRole("tab", { name: "Type a code" }).click();
    await page.getByLabel("The phone's number").fill(`+${BRANCH}`);
    await page.getByRole("button", { name: "Show a code" }).click();
    const code = await page.locator(".paircode").getAttribute("data-code");
    assert.equal(code.length, 8);
    await simulator.typeCode(BRANCH, code);
    await linked(it);
  },

  async "a number with a passkey is linked in its steps"(it) {
    const { page, simulator, pictures } = it;
    await simulator.phone(GUARDED, "Guarded");
    await simulator.ask("POST", `/phones/${GUARDED}/passkey`, {});
    await add(it, "guarded");
    await simulator.scan(GUARDED, await shownCode(page));
    await page.getByText("The account wants its passkey.").waitFor();
    await pictures.take("passkey");
    await page.getByLabel("The line from the console").fill("this is no JSON");
    await page.getByRole("button", { name: "Hand it over" }).click();
    await page.getByText("This is not the line").waitFor();
    const { passkey } = await (await fetch(`${it.browser.origin}/v1/sessions/guarded`, { headers: { authorization: `Bearer ${it.key}` } })).json();
    const signed = await simulator.ask("POST", `/phones/${GUARDED}/passkey/sign`, { options: passkey.options });
    await page.getByLabel("The line from the console").fill(JSON.stringify(signed));
    await page.getByRole("button", { name: "Hand it over" }).click();
    await page.getByText("Does the phone show the same code?").waitFor();
    const { code } = await simulator.ask("GET", `/phones/${GUARDED}/passkey`);
    const shown = await page.locator(".paircode").innerText();
    assert.equal(shown.replace(/\W/g, ""), code.replace(/\W/g, ""));
    await page.getByRole("button", { name: "It is the same" }).click();
    await linked(it);
  },

  async "a number is stopped, started, logged out and deleted"(it) {
    const { page } = it;
    await page.goto("/#/numbers");
    const row = page.getByRole("listitem").filter({ hasText: "guarded" });
    const more = async (words) => {
      await row.getByLabel("More for guarded").click();
      await row.getByRole("button", { name: words }).click();
    };
    await more("Stop");
    await row.getByText("Stopped", { exact: true }).waitFor();
    await row.getByRole("button", { name: "Start" }).click();
    await row.getByText("Sends", { exact: true }).waitFor();
    await more("Log out…");
    await page.getByRole("button", { name: "Log out", exact: true }).click();
    await row.getByText("Logged out", { exact: true }).waitFor();
    await it.pictures.take("numbers");
    await more("Delete…");
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await row.waitFor({ state: "detached" });
  },
};
