// Chats through the page: somebody writes, it shows by itself, is answered, and is found again.
import { strict as assert } from "node:assert";
import { readFile } from "node:fs/promises";
import { crc32, deflateSync } from "node:zlib";

const SHOP = "5511900000001";
const PREFIX = "5511900004";
/** So many that their numbers have two digits behind it. */
const PEOPLE = 20;
/** Those whom broadcasts before went to. */
const WRITTEN_TO = "5511900005";
/** A picture that a browser shows: a PNG of a rose, as far as a circle is one. */
const PICTURE = png(240, 160, (x, y) => (Math.hypot(x - 120, y - 80) < 40 + 8 * Math.sin(6 * Math.atan2(y - 80, x - 120)) ? [190, 30, 60] : [225, 235, 220]));

function png(width, height, colour) {
  const chunk = (name, data) => {
    const body = Buffer.concat([Buffer.from(name), data]);
    const numbers = Buffer.alloc(8);
    numbers.writeUInt32BE(data.length, 0);
    numbers.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([numbers.subarray(0, 4), body, numbers.subarray(4)]);
  };
  const head = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  const lines = Array.from({ length: height }, (_, y) => [0, ...Array.from({ length: width }, (_, x) => colour(x, y)).flat()]);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", head), chunk("IDAT", deflateSync(Buffer.from(lines.flat()))), chunk("IEND", Buffer.alloc(0))]);
}

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
    await page.getByLabel("Search chats and messages").fill("nine");
    await found.filter({ hasText: "At nine" }).getByText("You", { exact: true }).first().waitFor();
  },

  async "who was only written to is listed, and can be left out"(it) {
    const { page } = it;
    await page.goto("/#/chats/shop");
    const chats = page.getByRole("list", { name: "Chats" }).getByRole("listitem");
    await chats.filter({ hasText: WRITTEN_TO }).first().waitFor();
    await page.getByRole("button", { name: "Who wrote" }).click();
    await chats.filter({ hasText: WRITTEN_TO }).first().waitFor({ state: "detached" });
    await chats.filter({ hasText: "red roses" }).waitFor();
    await chats.nth(1).waitFor();
    assert.equal(await chats.count(), 2);
    await page.getByRole("button", { name: "All", exact: true }).click();
    await chats.filter({ hasText: WRITTEN_TO }).first().waitFor();
  },

  async "a picture that came in is shown and saved"(it) {
    const { page, simulator, pictures } = it;
    const path = `/contacts/${PREFIX}01/files?to=${SHOP}&name=roses.png&mimetype=image/png`;
    const sent = await fetch(simulator.base + path, { method: "POST", body: PICTURE });
    assert.equal(sent.status, 201, await sent.text());
    await page.goto(`/#/chats/shop/${PREFIX}01@s.whatsapp.net`);
    const messages = page.getByRole("log", { name: "Messages" });
    const shown = messages.getByRole("img");
    await shown.waitFor();
    assert.ok(await shown.evaluate((picture) => picture.decode().then(() => picture.naturalWidth > 0)));
    const saved = page.waitForEvent("download");
    await messages.getByRole("button", { name: "Save" }).click();
    const file = await saved;
    assert.equal(file.suggestedFilename(), "roses.png");
    assert.deepEqual(await readFile(await file.path()), PICTURE);
    await pictures.take("received");
  },

  async "a chat, and all of a person, is deleted after a question"(it) {
    const { page } = it;
    const chats = page.getByRole("list", { name: "Chats" }).getByRole("listitem");
    await page.getByRole("button", { name: "Delete chat" }).click();
    const asks = page.getByRole("dialog", { name: "Delete the chat?" });
    await asks.getByRole("button", { name: "Keep it" }).click();
    await page.getByRole("log", { name: "Messages" }).getByText("Thank you!").waitFor();
    await page.getByRole("button", { name: "Delete chat" }).click();
    await asks.getByRole("button", { name: "Delete chat" }).click();
    await chats.filter({ hasText: "red roses" }).waitFor();
    await chats.filter({ hasText: `${PREFIX}01` }).waitFor({ state: "detached" });
    await chats.filter({ hasText: "red roses" }).getByRole("link").click();
    await page.getByRole("button", { name: "Delete person" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete person" }).click();
    await chats.filter({ hasText: "red roses" }).waitFor({ state: "detached" });
    await page.getByText("Choose a chat to read it.").waitFor();
  },
};
