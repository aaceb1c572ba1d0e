/** The console in a real browser: by keyboard alone, for who sees or hears it otherwise, on a small screen. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import axe from "axe-core";
import type { Page } from "playwright-core";
import {
  isBrowserMissing,
  openPage,
  startBrowser,
} from "./console/browser_for_tests.ts";
import { type Client, openConsole } from "./console/client_for_tests.ts";
import { type Scene, startScene } from "./console/scene_for_tests.ts";

interface Setting extends Scene {
  browser: Awaited<ReturnType<typeof startBrowser>>;
  client: Client;
}

function browserTest(
  name: string,
  test: (setting: Setting) => Promise<void>,
): void {
  Deno.test({
    name,
    ignore: isMissing,
    fn: async () => {
      await using browser = await startBrowser();
      await using scene = await startScene();
      await using client = await openConsole(scene.stack);
      await test({ ...scene, browser, client });
    },
  });
}

const isMissing = isBrowserMissing();

browserTest(
  "everything can be done with the keyboard",
  async ({ stack: { sql }, browser, client }) => {
    await using opened = await openPage(browser);
    const { page, complaints } = opened;
    await page.goto(client.url);
    assertEquals(page.url(), `${client.origin}/`);

    await page.keyboard.press("Tab");
    assertEquals(await focused(page), "Skip to the content");
    await page.keyboard.press("Enter");
    assertEquals(
      await page.evaluate("document.activeElement.id"),
      "content",
    );

    await page.reload();
    await follow(page, "Events");
    await follow(page, "Koramangala Board Games Night");
    assertMatch(await page.title(), /^Koramangala Board Games Night/);
    await press(
      page,
      /^Retry Koramangala Board Games Night: RSVP of scene-lata$/,
    );
    assertEquals(await message(page), "Done. It is tried again now.");
    // Who listens hears it first.
    assertMatch(await page.title(), /^It is tried again now/);
    assertMatch(await focused(page), /^Done\. It is tried/);
    assertEquals((await sql`select from luma.dead_letters`).length, 0);

    await follow(page, "Overview");
    await press(page, "Pause blr");
    assertMatch(await message(page), /^Done\. blr is paused/);
    await press(page, "Resume blr");
    assertEquals(await message(page), "Done. blr is resumed.");

    const mode = async () => (await sql`select luma.mode() as mode`)[0]!.mode;
    await tabTo(page, "live");
    await page.keyboard.press("ArrowUp");
    assertEquals(await focused(page), "dry run");
    await press(page, "Set the mode");
    assertEquals(await mode(), "dry_run");
    await tabTo(page, "dry run");
    await page.keyboard.press("ArrowDown");
    await press(page, "Set the mode");
    assertMatch(await message(page), /^That did not work\. .* tick the box/);
    assertEquals(await mode(), "dry_run");
    await tabTo(page, "dry run");
    await page.keyboard.press("ArrowDown");
    await tabTo(page, /^Go live/);
    await page.keyboard.press("Space");
    await press(page, "Set the mode");
    assertEquals(await message(page), "Done. The mode is live.");
    assertEquals(await mode(), "live");
    assertEquals(complaints, []);
  },
);

browserTest(
  "no page has a barrier, in light and dark, wide and narrow",
  async ({ browser, client, games, builders }) => {
    const paths = [
      ...["/", "/events", "/events?search=nothing+is+called+this"],
      ...["/dead-letters", "/conflicts", "/webhooks", "/pulls", "/log"],
      ...[`/events/${games}`, `/events/${builders}`],
    ];
    for (const colorScheme of ["light", "dark"] as const) {
      await using opened = await openPage(browser, { colorScheme });
      const { page, complaints } = opened;
      await page.goto(client.url);
      for (const width of [1280, 320]) {
        await page.setViewportSize({ width, height: 800 });
        for (const path of paths) {
          await page.goto(client.origin + path);
          // What is closed has to be as good.
          await page.evaluate(
            "document.querySelectorAll('details').forEach((details) => details.open = true)",
          );
          assertEquals(
            await barriers(page),
            [],
            `${path} ${colorScheme} ${width}`,
          );
          assertEquals(await widthOf(page), width, path);
        }
        // With a message, after something that worked and something that did not.
        await page.goto(client.origin);
        await page.getByRole("button", { name: "Pull now blr" }).click();
        assertMatch(await message(page), /^Done/);
        assertEquals(await barriers(page), [], `done ${colorScheme}`);
        await page.getByRole("button", { name: "Set the mode" }).click();
        assertMatch(await message(page), /^That did not work/);
        assertEquals(await barriers(page), [], `failed ${colorScheme}`);
        assertEquals(await widthOf(page), width);
      }
      assertEquals(complaints, []);
      // A page that is not there complains in the browser's console by itself.
      await page.goto(`${client.origin}/nowhere`);
      assertEquals(await barriers(page), [], `not found ${colorScheme}`);
    }
  },
);

browserTest(
  "an open page follows the database, until somebody pauses it or is in the middle of something",
  async ({ stack: { sql }, browser, client }) => {
    await using opened = await openPage(browser);
    const { page, complaints } = opened;
    // Time passes when the test says so.
    await page.addInitScript(`{
      const { fetch } = window;
      window.looks = 0;
      window.fetch = (...given) => (window.looks++, fetch(...given));
      window.setTimeout = (next, ms) => Object.assign(window, { next, ms });
    }`);
    await page.goto(client.url);
    /** How often the page looks when its time has come. */
    const looks = () =>
      page.evaluate<number>(
        `{ const before = looks; next().then(() => looks - before); }`,
      );
    const calendar = page.locator("section.card", {
      has: page.locator("#calendar-blr"),
    });
    const shows = (state: string) =>
      calendar.locator(".badge", { hasText: state }).first().waitFor();

    await shows("ready");
    await page.locator("#table-blr summary").click();
    assertEquals(await looks(), 0);
    await leave(page);
    await sql`select luma.pause('blr')`;
    assertEquals(await looks(), 1);
    assert(await page.evaluate<number>("ms") >= 5_000);
    await shows("paused");
    // What was open stays open.
    assertEquals(await page.locator("#table-blr[open]").count(), 1);

    const box = page.getByLabel("Go live");
    await box.check();
    await leave(page);
    assertEquals(await looks(), 0);
    assert(await box.isChecked());
    await box.uncheck();
    await leave(page);
    await sql`select luma.resume('blr')`;
    assertEquals(await looks(), 1);
    await shows("ready");

    await page.getByRole("button", { name: "Pause updates" }).click();
    assertEquals(await looks(), 0);
    await page.reload();
    assertEquals(await looks(), 0);
    await page.getByRole("button", { name: "Resume updates" }).click();
    await sql`select luma.pause('blr')`;
    assertEquals(await looks(), 1);
    await shows("paused");
    assertEquals(complaints, []);

    await client[Symbol.asyncDispose]();
    await looks();
    await page.getByRole("button", { name: "Not connected" }).waitFor();
  },
);

browserTest(
  "without JavaScript all of it works but the updates",
  async ({ stack: { sql }, browser, client }) => {
    await using opened = await openPage(browser, { javaScriptEnabled: false });
    const { page, complaints } = opened;
    await page.goto(client.url);
    assertEquals(
      await page.getByRole("button", { name: "Pause updates" }).count(),
      0,
    );
    await page.getByRole("link", { name: "Dead letters" }).click();
    await page.getByRole("button", { name: "Retry all" }).click();
    assertMatch(
      await page.getByRole("status").innerText(),
      /Tried again now: 1 dead letter/,
    );
    assertEquals((await sql`select from luma.dead_letters`).length, 0);
    await page.getByRole("link", { name: "Events" }).click();
    await page.getByLabel("State").selectOption("waiting");
    await page.getByRole("button", { name: "Show" }).click();
    await page.getByRole("link", { name: "Bay Area Builders Night" }).click();
    assertMatch(await page.locator("h1").innerText(), /Bay Area/);
    assertEquals(complaints, []);
  },
);

/** What is focused, as it is read out. */
function focused(page: Page): Promise<string> {
  return page.evaluate<string>(`{
    const element = document.activeElement;
    (element.labels?.[0] ?? element).textContent.replaceAll(/\\s+/g, " ").trim();
  }`);
}

/** Lets go of what is focused. */
function leave(page: Page): Promise<unknown> {
  return page.evaluate("document.activeElement.blur()");
}

/** Tabs on until this is focused. */
async function tabTo(page: Page, wanted: string | RegExp): Promise<void> {
  const passed: string[] = [];
  while (passed.length < 100) {
    await page.keyboard.press("Tab");
    const name = await focused(page);
    if (typeof wanted === "string" ? name === wanted : wanted.test(name)) {
      const outline = await page.evaluate(
        "getComputedStyle(document.activeElement).outlineStyle",
      );
      assertEquals(outline, "solid", `the focus on ${name} is seen`);
      return;
    }
    passed.push(name);
  }
  throw new Error(`Tab never comes to ${wanted}, only to ${passed.join(", ")}`);
}

/** Tabs to a link or a button, and goes where Enter leads. */
async function press(page: Page, name: string | RegExp): Promise<void> {
  await tabTo(page, name);
  await Promise.all([
    page.waitForEvent("domcontentloaded"),
    page.keyboard.press("Enter"),
  ]);
}

const follow = press;

function message(page: Page): Promise<string> {
  return page.locator(".flash").innerText();
}

/** What axe-core has to say against the page. */
async function barriers(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate("axe.run()") as axe.AxeResults;
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`)
  );
}

/** How wide the page is, whatever scrolls inside of it. */
function widthOf(page: Page): Promise<number> {
  return page.evaluate<number>("document.documentElement.scrollWidth");
}
