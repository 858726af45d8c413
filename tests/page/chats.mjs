// Chats through the page: somebody writes, it shows by itself, is answered, and is found again.
import { strict as assert } from "node:assert";

const SHOP = "5511900000001";
const PREFIX = "5511900004";
/** So many that their numbers have two digits behind it. */
const PEOPLE = 20;

export const tasks = {
  async "who writes shows at once, and is answered"(it) {
    const { page, simulator, pictures } = it;
    await simulator.contacts(PREFIX, PEOPLE, { deliver_ms: 50, read_ms: 400 });
    await page.goto("/#/chats/shop");
    await page.getByLabel("Number").waitFor();
    const says = (to, text) => simulator.ask("POST", `/contacts/${to}/messages`, { to: SHOP, text });
    const first = `${PREFIX}00`;
    const second = `${PREFIX}01`;
    await says(first, "Do you have red roses?");
    await says(second, "When do you open on Sunday?");
    const chats = page.getByRole("list", { name: "Chats" }).getByRole("listitem");
    await chats.filter({ hasText: "red roses" }).waitFor();
    await chats.filter({ hasText: "Sunday" }).getByRole("link").click();
    const messages = page.getByRole("log", { name: "Messages" });
    await messages.getByText("When do you open on Sunday?").waitFor();
    assert.ok(page.url().includes(second), page.url());
    await page.getByLabel("Reply").fill("At nine,\nas on each day.");
    await page.getByLabel("Reply").press("Enter");
    const ours = messages.locator(".ours").filter({ hasText: "At nine" });
    await ours.locator(".ticks.read").waitFor();
    assert.equal(await ours.count(), 1, "handed over and sent are one");
    await says(second, "Thank you!");
    await messages.getByText("Thank you!").waitFor();
    await chats.filter({ hasText: "Thank you!" }).waitFor();
    await pictures.take("chats");
    await ours.getByRole("link", { name: "queue" }).click();
    await page.getByText("Completed", { exact: true }).first().waitFor();
    await page.goBack();
    await messages.getByText("Thank you!").waitFor();
  },

  async "chats and messages are found by their words"(it) {
    const { page } = it;
    await page.getByLabel("Search chats and messages").fill("roses");
    const found = page.getByRole("list", { name: "Messages found" }).getByRole("listitem");
    await found.filter({ hasText: "Do you have red roses?" }).waitFor();
    assert.equal(await found.count(), 1);
    await found.getByRole("link").click();
    await page.getByRole("log", { name: "Messages" }).getByText("red roses").waitFor();
    await page.getByLabel("Search chats and messages").fill("nobody is called so");
    await page.getByText("No chat is called so.").waitFor();
    await page.getByText("No message has these words.").waitFor();
  },
};
