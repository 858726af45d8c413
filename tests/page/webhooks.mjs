// Webhooks through the page: made, tested, looked at, sent again, given another secret.
import { strict as assert } from "node:assert";
import { createServer } from "node:http";

/** An endpoint that takes everything. */
async function endpoint() {
  const posts = [];
  const server = createServer((request, answer) => {
    let body = "";
    request.on("data", (piece) => (body += piece));
    request.on("end", () => {
      posts.push({ headers: request.headers, body: JSON.parse(body) });
      answer.writeHead(200).end("taken");
    });
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return { posts, server, url: `http://127.0.0.1:${server.address().port}/hook` };
}

export const tasks = {
  async "a webhook is made, and its secret shown once"(it) {
    const { page, pictures } = it;
    it.endpoint = await endpoint();
    await page.goto("/#/webhooks");
    await page.getByRole("heading", { name: "No webhook yet" }).waitFor();
    await page.getByRole("button", { name: "Add a webhook" }).first().click();
    await page.getByLabel("URL").fill("no address");
    await page.getByRole("dialog").getByRole("button", { name: "Add" }).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel("URL").fill(it.endpoint.url);
    await page.getByLabel("Events").fill("send.message:*, paused.queue");
    await page.getByRole("dialog").getByRole("button", { name: "Add" }).click();
    await page.getByText(/whsec_/).waitFor();
    await pictures.take("webhook-secret", { axeOnly: true });
    await page.getByRole("link", { name: "To the webhook" }).click();
  },

  async "a test says what the endpoint answered"(it) {
    const { page, endpoint } = it;
    await page.getByRole("button", { name: "Send a test" }).click();
    await page.getByText("Test: delivered.").waitFor();
    await page.getByText("taken", { exact: true }).waitFor();
    assert.equal(endpoint.posts[0].body.event, "webhook.test");
    assert.ok(endpoint.posts[0].headers["webhook-signature"]);
  },

  async "a delivery is sent again from the list"(it) {
    const { page, endpoint, pictures } = it;
    await page.getByRole("table").getByText("webhook.test").waitFor();
    await page.getByRole("table").getByText(/1 attempt/).click();
    await pictures.take("webhook");
    await page.getByRole("button", { name: "Send again" }).click();
    const again = async () => endpoint.posts.length > 1;
    for (let tries = 0; !(await again()) && tries < 200; tries += 1) await new Promise((wait) => setTimeout(wait, 50));
    assert.equal(endpoint.posts[1].headers["webhook-id"], endpoint.posts[0].headers["webhook-id"]);
  },

  async "its secret is changed, and it is disabled"(it) {
    const { page } = it;
    const more = async (words) => {
      await page.getByLabel("More for this webhook").click();
      await page.getByRole("button", { name: words }).click();
    };
    await more("Another secret…");
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByText(/whsec_/).waitFor();
    await page.keyboard.press("Escape");
    await more("Disable");
    await page.getByText("It gets nothing").waitFor();
    await more("Enable");
    await page.getByText("Enabled", { exact: true }).waitFor();
    await page.goto("/#/webhooks");
    await page.getByRole("link", { name: it.endpoint.url }).waitFor();
    await it.pictures.take("webhooks");
    it.endpoint.server.close();
    it.endpoint.server.closeAllConnections();
  },
};
