// Broadcasts that say something else to each: columns as variables, a preview, a dry run, a file by its address.
import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const PREFIX = "5511900005";
/** So many that their numbers have two digits behind it. */
const PEOPLE = 20;
const contact = (index) => `${PREFIX}${String(index).padStart(2, "0")}`;

/** People with what stands in their columns; one has no city, one no name. */
const SHEET = ["number;First name;city", `+${contact(0)};Ana;São Paulo`, `+${contact(1)};"Bob; the ""second""";`, `+${contact(2)};;Rio`, `+${contact(0)};Ana again;Santos`].join("\n");

/** A JPEG. */
const picture = () => readFileSync(new URL("../files/turned.jpg", import.meta.url));

/** What a contact was shown, by text. */
async function shown({ simulator }, index) {
  const messages = await simulator.ask("GET", `/contacts/${contact(index)}/messages`);
  return messages.map((message) => message.text);
}

export const tasks = {
  async "each person's text is seen before it is sent"(it) {
    const { page, simulator, pictures } = it;
    await simulator.contacts(PREFIX, PEOPLE);
    await page.goto("/#/broadcast?number=shop");
    await page.getByLabel("CSV file").setInputFiles({ name: "people.csv", mimeType: "text/csv", buffer: Buffer.from(SHEET) });
    const text = page.getByLabel("Text", { exact: true });
    await text.fill("Hi , see you in ");
    await text.evaluate((area) => area.setSelectionRange(3, 3));
    await page.getByRole("group", { name: "Variables" }).getByRole("button", { name: "First name" }).click();
    assert.equal(await text.inputValue(), "Hi {{First name}}, see you in ");
    await text.press("Control+End");
    await text.pressSequentially("{{city|town}}! {{zip}}");
    const whyNot = page.locator("#why-not");
    await whyNot.getByText("there is no column zip").waitFor();
    for (let back = 0; back < " {{zip}}".length; back += 1) await text.press("Backspace");
    await whyNot.getByText("1 person has no First name").waitFor();
    await page.getByText("Line 4").waitFor();
    const bubble = page.locator(".bubble");
    await bubble.getByText("Hi Ana, see you in São Paulo!").waitFor();
    const examples = page.getByRole("group", { name: "Whose message" });
    await examples.getByRole("button", { name: contact(1) }).click();
    await bubble.getByText('Hi Bob; the "second", see you in town!').waitFor();
    await page.getByRole("button", { name: "Try it without sending" }).click();
    const would = page.getByRole("status", { name: "What it would do" });
    await would.getByText(/First name|has no/).first().waitFor();
    await page.getByLabel("Leave out what can't be sent").check();
    await would.waitFor({ state: "detached" });
    await page.getByLabel("Send to those who are twice each time").check();
    await page.getByLabel("At least, in seconds").fill("0");
    await page.getByLabel("At most, in seconds").fill("0.2");
    await page.getByRole("button", { name: "Send to 3" }).waitFor();
    await page.getByRole("button", { name: "Try it without sending" }).click();
    await would.getByText("3 would get it").waitFor();
    await would.getByText(/It would end/).waitFor();
    await would.getByText("Hi Ana again, see you in Santos!").waitFor();
    await pictures.take("personal");
  },

  async "they get it so"(it) {
    const { page } = it;
    await page.getByRole("button", { name: "Send to 3" }).click();
    await page.getByText("Completed", { exact: true }).first().waitFor();
    assert.deepEqual((await shown(it, 0)).sort(), ["Hi Ana again, see you in Santos!", "Hi Ana, see you in São Paulo!"]);
    assert.deepEqual(await shown(it, 1), ['Hi Bob; the "second", see you in town!']);
    assert.deepEqual(await shown(it, 2), []);
  },

  async "a picture is sent by its address, with a caption of its own to each"(it) {
    const { page, simulator } = it;
    let fetched = 0;
    const server = createServer((request, answer) => {
      fetched += 1;
      answer.writeHead(200, { "content-type": "image/jpeg" }).end(picture());
    });
    await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
    await page.goto("/#/home");
    await page.goto("/#/broadcast?number=shop");
    await page.getByLabel("To", { exact: true }).fill(`number,name\n+${contact(1)},Bob\n+${contact(2)},Cleo`);
    await page.getByRole("button", { name: "Picture" }).click();
    await page.getByRole("button", { name: "From an address" }).click();
    await page.locator("#why-not").getByText("say where the file is").waitFor();
    await page.getByLabel("Address of the file").fill(`http://127.0.0.1:${server.address().port}/offer.jpg`);
    await page.getByLabel("Caption (optional)").fill("For {{name}}");
    await page.locator(".bubble").getByText("For Bob").waitFor();
    await page.getByLabel("At least, in seconds").fill("0");
    await page.getByLabel("At most, in seconds").fill("0.2");
    await page.getByRole("button", { name: "Send to 2" }).click();
    await page.getByText("Completed", { exact: true }).first().waitFor();
    server.close();
    assert.equal(fetched, 1, "fetched once for all");
    const [last] = (await simulator.ask("GET", `/contacts/${contact(2)}/messages`)).slice(-1);
    assert.ok(JSON.stringify(last).includes("For Cleo"), JSON.stringify(last));
  },

  async "a file of this computer is handed over and sent"(it) {
    const { page, simulator, pictures } = it;
    await page.goto("/#/home");
    await page.goto("/#/broadcast?number=shop");
    await page.getByLabel("To", { exact: true }).fill(`+${contact(3)}`);
    await page.getByRole("button", { name: "Picture" }).click();
    await page.locator("#why-not").getByText("choose the file").waitFor();
    let goes;
    const held = new Promise((go) => (goes = go));
    await page.route("**/v1/media", async (route) => {
      await held;
      await route.continue();
    });
    const file = { name: "offer.jpg", mimeType: "image/jpeg", buffer: picture() };
    await page.getByLabel("File", { exact: true }).setInputFiles(file);
    await page.getByRole("progressbar", { name: "Handed over" }).waitFor();
    await page.locator("#why-not").getByText("the file is still on its way").waitFor();
    goes();
    await page.getByText("is there, and kept until").waitFor();
    await page.unroute("**/v1/media");
    await page.getByLabel("Caption (optional)").fill("From this computer");
    await pictures.take("upload");
    await page.getByLabel("At least, in seconds").fill("0");
    await page.getByLabel("At most, in seconds").fill("0.2");
    await page.getByRole("button", { name: "Send to 1" }).click();
    await page.getByText("Completed", { exact: true }).first().waitFor();
    const [last] = (await simulator.ask("GET", `/contacts/${contact(3)}/messages`)).slice(-1);
    assert.ok(JSON.stringify(last).includes("From this computer"), JSON.stringify(last));
  },
};
