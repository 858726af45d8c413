// What happens shows by itself, over one connection, and the events of it are listed as they come.
import { strict as assert } from "node:assert";
import { signIn } from "./frame.mjs";

const PREFIX = "5511900002";
/** Less than any view waits before it asks by itself while events come. */
const BY_ITSELF_MS = 8_000;

/** A broadcast that begins then is there, and nothing happens to it by itself. */
const LATER = new Date(Date.now() + 86_400_000).toISOString();

/** A request of somebody else than the page. */
async function ask({ browser, key }, method, path, body) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const answer = await fetch(browser.origin + path, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}

const send = (it, body) => ask(it, "POST", "/v1/sessions/shop/queues", { message: { type: "text", text: "An event." }, ...body });

export const tasks = {
  async "what somebody else does shows by itself, and nothing is asked meanwhile"(it) {
    const { page, simulator } = it;
    await simulator.contacts(PREFIX, 20);
    const { queueId } = await send(it, { numbers: [`${PREFIX}00`, `${PREFIX}01`], startAt: LATER });
    const path = `/v1/sessions/shop/queues/${queueId}`;
    await page.goto(`/#/queues/shop/${queueId}`);
    await page.getByText("Live", { exact: true }).waitFor();
    await page.getByText(/^Waits:/).waitFor();
    let asked = 0;
    const count = (request) => (asked += request.url().endsWith(path) ? 1 : 0);
    page.on("request", count);
    // Nothing is to happen: there is no condition to wait for.
    await page.waitForTimeout(4_000);
    page.off("request", count);
    assert.ok(asked <= 1, `asked ${asked} times while nothing happened`);
    await ask(it, "POST", `${path}/pause`);
    await page.getByText("Paused", { exact: true }).waitFor({ timeout: BY_ITSELF_MS });
    await ask(it, "DELETE", path);
    await page.getByText("Deleted", { exact: true }).first().waitFor({ timeout: BY_ITSELF_MS });
  },

  async "events show as they come, are narrowed, held and copied"(it) {
    const { page, pictures } = it;
    await page.goto("/#/events");
    await page.getByRole("heading", { name: "Nothing has happened yet" }).waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    const rows = page.getByRole("list", { name: "Events, the newest first" }).getByRole("listitem");
    const { queueId } = await send(it, { numbers: [`${PREFIX}02`, `${PREFIX}03`], delay: { min: 0, max: 0 }, reference: "order 7" });
    await rows.filter({ hasText: "send.message:COMPLETED" }).waitFor();
    await rows.filter({ hasText: "READ" }).first().waitFor();
    await pictures.take("events");
    await page.getByRole("button", { name: "Sends" }).click();
    assert.ok(page.url().includes("kind=sends"), page.url());
    await page.getByRole("button", { name: "Pause" }).click();
    const held = await send(it, { numbers: [`${PREFIX}04`], delay: { min: 0, max: 0 } });
    await page.getByText("3 events came since").waitFor();
    assert.equal(await rows.count(), 0, "nothing moves while it is held");
    await page.getByRole("button", { name: "Go on" }).click();
    const done = rows.filter({ hasText: "send.message:COMPLETED" });
    await done.waitFor();
    assert.equal(await rows.filter({ hasText: "messages.update" }).count(), 0, "of the chosen kind alone");
    await done.getByRole("button", { name: "Copy" }).click();
    const copied = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
    assert.equal(copied.data.queue.queueId, held.queueId);
    await done.getByRole("link", { name: "Queue" }).click();
    await page.getByText(held.queueId).waitFor();
    assert.notEqual(queueId, held.queueId);
    await page.goto("/#/events?number=branch");
    await page.getByRole("heading", { name: "Nothing has happened yet" }).waitFor();
    await send(it, { numbers: [`${PREFIX}05`], delay: { min: 0, max: 0 } });
    await ask(it, "POST", "/v1/sessions/branch/restart");
    await rows.filter({ hasText: "connection.update" }).first().waitFor();
    assert.equal(await rows.filter({ hasText: "shop" }).count(), 0, "of the chosen number alone");
  },

  async "events that did not come are counted where they are missing"(it) {
    const { page, pictures } = it;
    await page.goto("/#/events");
    // As when the connection was away for a moment.
    await page.routeWebSocket(/\/socket\.io\//, (socket) => {
      const server = socket.connectToServer();
      server.onMessage((packet) => String(packet).includes('"send.message:START"') || socket.send(packet));
    });
    await page.reload();
    await signIn(it);
    await page.getByText("Live", { exact: true }).waitFor();
    const rows = page.getByRole("list", { name: "Events, the newest first" }).getByRole("listitem");
    await send(it, { numbers: [`${PREFIX}08`], delay: { min: 0, max: 0 } });
    await rows.filter({ hasText: "send.message:COMPLETED" }).waitFor();
    await send(it, { numbers: [`${PREFIX}09`], delay: { min: 0, max: 0 } });
    await rows.filter({ hasText: /^1 event of shop did not come here/ }).first().waitFor();
    await pictures.take("missed");
    // Events of other kinds come, though none of them shows.
    await page.getByRole("button", { name: "Sends" }).click();
    await rows.filter({ hasText: "messages.update" }).first().waitFor({ state: "detached" });
    const { queueId } = await send(it, { numbers: [`${PREFIX}08`], startAt: LATER });
    await ask(it, "DELETE", `/v1/sessions/shop/queues/${queueId}`);
    await rows.filter({ hasText: "deleted.queue" }).waitFor();
    assert.equal(await rows.filter({ hasText: "did not come" }).count(), 0, "what is of another kind is none that is missing");
  },

  async "where events can't come it is asked for, and that is said"(it) {
    const { page } = it;
    // As behind a proxy that passes no WebSockets on.
    await page.goto("/#/events");
    let passes = false;
    await page.routeWebSocket(/\/socket\.io\//, (socket) => (passes ? socket.connectToServer() : socket.close()));
    await page.reload();
    await signIn(it);
    await page.getByText(/Asking, not live/).waitFor();
    await page.getByText("Events do not come").waitFor();
    const { queueId } = await send(it, { numbers: [`${PREFIX}06`, `${PREFIX}07`], startAt: LATER });
    await page.goto(`/#/queues/shop/${queueId}`);
    await ask(it, "POST", `/v1/sessions/shop/queues/${queueId}/pause`);
    await page.getByText("Paused", { exact: true }).waitFor({ timeout: BY_ITSELF_MS });
    await ask(it, "DELETE", `/v1/sessions/shop/queues/${queueId}`);
    passes = true;
    await page.getByText("Live", { exact: true }).waitFor();
  },
};
