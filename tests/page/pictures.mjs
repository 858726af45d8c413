// A view is judged by axe in both themes and at both widths, and its pictures are kept for readers.
import { strict as assert } from "node:assert";
import { createRequire } from "node:module";
import { readFile, writeFile, mkdir } from "node:fs/promises";
import { join } from "node:path";

const WIDTHS = [1280, 360];
const THEMES = ["light", "dark"];
/** What must not be found. */
const GRAVE = ["serious", "critical"];

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export class Pictures {
  constructor(browser, folder) {
    Object.assign(this, { browser, folder });
  }

  /** Looks at what the page shows now, by name. */
  async take(name, { axeOnly = false } = {}) {
    const { page } = this.browser;
    for (const width of WIDTHS) {
      for (const colorScheme of THEMES) {
        // Each theme and each width is judged once; pictures are taken of all four.
        const isJudged = (width === WIDTHS[0]) === (colorScheme === THEMES[0]);
        if (!isJudged && !this.folder) continue;
        await page.setViewportSize({ width, height: width > 700 ? 900 : 760 });
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.evaluate(() => scrollTo(0, 0));
        if (isJudged) await this.judge(`${name}, ${width} px, ${colorScheme}`);
        if (this.folder && !axeOnly) await this.keep(`${name}-${width}-${colorScheme}`);
      }
    }
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.emulateMedia({ colorScheme: "light", reducedMotion: "no-preference" });
  }

  async judge(where) {
    const { page } = this.browser;
    // By the debugger, which the page's policy does not bind; once for each document.
    if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    const grave = violations.filter((one) => GRAVE.includes(one.impact));
    const words = grave.map((one) => `${one.id} (${one.impact}): ${one.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.failureSummary}`).join(" | ")}`);
    assert.deepEqual(words, [], `axe, ${where}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${where}: ${wide} px wider than the window`);
  }

  /** As WebP, which Chromium itself can write: a tenth of the size. */
  async keep(name) {
    await mkdir(this.folder, { recursive: true });
    const { page } = this.browser;
    const png = await page.screenshot();
    const webp = await page.evaluate(async (data) => {
      const picture = new Image();
      picture.src = data;
      await picture.decode();
      const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
      canvas.getContext("2d").drawImage(picture, 0, 0);
      return canvas.toDataURL("image/webp", 0.85).split(",")[1];
    }, `data:image/png;base64,${png.toString("base64")}`);
    await writeFile(join(this.folder, `${name}.webp`), Buffer.from(webp, "base64"));
    if (process.env.PICTURES_PNG) await writeFile(join(process.env.PICTURES_PNG, `${name}.png`), png);
  }
}
