// Signing in and out, the keys that work everywhere, a lost connection, the document's page.
import { strict as assert } from "node:assert";

export async function signIn({ page, key }, offered = key) {
  await page.getByLabel("Key", { exact: true }).fill(offered);
  await page.getByRole("button", { name: "Sign in" }).click();
}

export const first = {
  async "a wrong key is refused in words"(it) {
    const { page, pictures } = it;
    await page.goto("/");
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await pictures.take("sign-in");
    await signIn(it, "not the key at all");
    await page.getByRole("alert").getByText("This is not the key").waitFor();
  },

  async "the key signs in"(it) {
    const { page } = it;
    await page.goto("/");
    await signIn(it);
    await page.getByRole("heading", { name: "Home", level: 1 }).waitFor();
    const kept = await page.evaluate(() => [document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)]);
    assert.deepEqual(kept, ["", "{}", "{}"], "nothing is kept outside of memory");
  },

  async "home says what to do first"({ page, pictures }) {
    await page.getByRole("heading", { name: "No number yet" }).waitFor();
    await pictures.take("home-empty", { axeOnly: true });
  },
};

export const last = {
  async "home tells what runs and what waits"({ page, pictures }) {
    await page.goto("/#/home");
    await page.getByText(/numbers? sends?/).first().waitFor();
    await page.getByText("people", { exact: true }).waitFor();
    await pictures.take("home");
  },

  async "settings tell the version"({ page, pictures }) {
    await page.goto("/#/settings");
    await page.getByText("Ready", { exact: true }).waitFor();
    await pictures.take("settings");
  },

  async "keys lead to the search and to help"({ page, pictures }) {
    await page.goto("/#/numbers");
    const search = page.getByLabel("Search numbers");
    await search.waitFor();
    await page.keyboard.press("/");
    await assert.doesNotReject(page.waitForFunction(() => document.activeElement?.matches("[data-search]")));
    await search.blur();
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys and help" }).waitFor();
    await pictures.take("help", { axeOnly: true });
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
  },

  async "everything of a view is reached by Tab, and its focus is seen"({ page }) {
    await page.goto("/#/numbers");
    await page.getByRole("link", { name: "Add a number" }).waitFor();
    await page.locator("body").click({ position: { x: 1, y: 1 } });
    const unseen = [];
    const reached = new Set();
    for (let step = 0; step < 40; step += 1) {
      await page.keyboard.press("Tab");
      const at = await page.evaluate(() => {
        const { activeElement: here } = document;
        const { outlineStyle, outlineWidth } = getComputedStyle(here);
        return { words: here.innerText || here.ariaLabel || here.placeholder || "", is: here.tagName, seen: outlineStyle !== "none" && outlineWidth !== "0px" };
      });
      if (at.is === "BODY") break;
      reached.add(at.words.trim());
      if (!at.seen) unseen.push(at.words);
    }
    assert.deepEqual(unseen, []);
    for (const words of ["Home", "Queues", "Sign out", "Add a number", "Send", "More"]) assert.ok(reached.has(words), `${words} among ${[...reached]}`);
  },

  async "a lost connection is said, and found again"({ page, browser }) {
    await page.goto("/#/queues");
    await page.getByRole("table").waitFor();
    await browser.context.setOffline(true);
    await page.getByText("Connection lost").waitFor();
    assert.equal(await page.getByRole("table").isVisible(), true, "what was there stays");
    await browser.context.setOffline(false);
    await page.getByText("Connection lost").waitFor({ state: "hidden" });
  },

  async "a reload asks for the key and comes back to the same view"(it) {
    const { page } = it;
    await page.goto("/#/queues?state=completed");
    await page.getByRole("heading", { name: "Queues" }).waitFor();
    await page.reload();
    await signIn(it);
    await page.getByRole("heading", { name: "Queues" }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Completed" }).getAttribute("aria-pressed"), "true");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
  },

  async "the document has a page"({ page, pictures }) {
    await page.goto("/docs");
    await page.getByRole("heading", { name: "queues" }).waitFor();
    const all = await page.locator(".operation").count();
    assert.ok(all > 30, `${all} operations`);
    await pictures.take("docs");
    await page.getByLabel("Search operations").fill("queues_create");
    await page.locator(".operation summary").first().click();
    await page.getByRole("heading", { name: "Answers" }).waitFor();
    await page.getByText("As a line").waitFor();
    await pictures.take("docs-operation");
  },

  async "jobs and events have a page"({ page, pictures }) {
    await page.goto("/docs/events");
    await page.getByRole("heading", { name: "jobs", exact: true }).waitFor();
    const all = await page.locator(".operation").count();
    assert.ok(all > 50, `${all} jobs and events`);
    await page.getByLabel("Search messages").fill("send.message:PROCESSING");
    await page.locator(".operation summary").first().click();
    await page.getByText("{token}.send.message.PROCESSING").waitFor();
    await page.getByRole("heading", { name: "Headers" }).waitFor();
    await page.getByText("queueTimestamp").waitFor();
    await pictures.take("docs-events");
    await page.getByLabel("Search messages").fill("job.pause");
    await page.getByRole("heading", { name: "Answer" }).waitFor({ state: "hidden" });
    await page.locator(".operation summary").first().click();
    await page.getByRole("heading", { name: "Answer" }).waitFor();
  },
};
