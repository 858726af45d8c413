// Does the tasks of each view through the page, as a person would, and says which it could not.
//   PAGE_URL, PAGE_KEY, SIMULATOR_CONTROL   what runs
//   FROM                                    a part of the name of the task to begin with, over what the ones before left
//   PICTURES                                a folder for pictures of each view; none are taken without it
import { strict as assert } from "node:assert";
import { Browser } from "./browser.mjs";
import { Pictures } from "./pictures.mjs";
import * as personal from "./personal.mjs";
import * as schedules from "./schedules.mjs";
import { Simulator } from "./simulator.mjs";
import * as broadcasts from "./broadcasts.mjs";
import * as chats from "./chats.mjs";
import * as events from "./events.mjs";
import * as frame from "./frame.mjs";
import * as numbers from "./numbers.mjs";
import * as webhooks from "./webhooks.mjs";

const { PAGE_URL, PAGE_KEY, SIMULATOR_CONTROL, FROM } = process.env;
const browser = await Browser.start(PAGE_URL);
const { page } = browser;
const it = { page, browser, key: PAGE_KEY, simulator: new Simulator(SIMULATOR_CONTROL), pictures: new Pictures(browser, process.env.PICTURES) };

const TASKS = { ...frame.first, ...numbers.tasks, ...broadcasts.tasks, ...personal.tasks, ...chats.tasks, ...schedules.tasks, ...events.tasks, ...webhooks.tasks, ...frame.last };

/** Where only a part is run, signing in is a part of it. */
const SIGNS_IN = "the key signs in";

let begun = !FROM;
let failed = 0;
for (const [name, task] of Object.entries(TASKS)) {
  if (!begun && name !== SIGNS_IN) begun = name.includes(FROM);
  if (!begun && name !== SIGNS_IN) continue;
  const began = Date.now();
  try {
    await task(it);
    assert.deepEqual(browser.faults, [], "the page did what it should not");
    console.log(`ok   ${name} (${Date.now() - began} ms)`);
  } catch (error) {
    failed += 1;
    const picture = `/tmp/fanfare-page-failed-${process.pid}.png`;
    await page.screenshot({ path: picture, fullPage: true }).catch(() => {});
    console.log(`FAIL ${name}: ${error.stack}\n     the page is at ${page.url()}, see ${picture}`);
    break;
  }
}
await browser.end();
process.exit(failed ? 1 : 0);
