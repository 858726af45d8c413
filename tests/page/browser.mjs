// Chromium without a window, and a page that notes what it should not do: ask another host, break the policy, fail in script.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

/** How long anything may take to be seen. */
const PATIENCE_MS = 30_000;

export class Browser {
  static async start(url) {
    const profile = await mkdtemp(join(tmpdir(), "fanfare-page-"));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM || "/usr/bin/chromium", headless: true, args: FLAGS, baseURL: url,
      viewport: { width: 1280, height: 900 }, acceptDownloads: true, timezoneId: "Europe/Berlin", locale: "en-GB",
    });
    context.setDefaultTimeout(PATIENCE_MS);
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    return new Browser(context, profile, new URL(url).origin);
  }

  constructor(context, profile, origin) {
    Object.assign(this, { context, profile, origin, faults: [] });
    this.page = context.pages()[0];
    this.page.on("request", (request) => {
      const to = new URL(request.url());
      if (!["data:", "blob:"].includes(to.protocol) && to.origin !== origin) this.faults.push(`asked ${request.url()}`);
    });
    this.page.on("pageerror", (error) => this.faults.push(`failed: ${error.stack || error}`));
    this.page.on("dialog", (dialog) => {
      this.faults.push(`opened a dialog of the browser: ${dialog.message()}`);
      dialog.dismiss();
    });
    this.page.on("console", (said) => {
      // Each answer that is no success is said there, too.
      if (said.type() === "error" && !said.text().startsWith("Failed to load resource")) this.faults.push(`said: ${said.text()}`);
    });
  }

  async end() {
    await this.context.close();
    await rm(this.profile, { recursive: true, force: true });
  }
}
