/** A real browser for the console's tests and pictures. */
import { existsSync } from "node:fs";
import {
  type Browser,
  type BrowserContextOptions,
  chromium,
  type Page,
} from "playwright-core";

/** Nothing of it calls home, and it needs neither a graphics card nor another user than root. */
const ARGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update"],
  "--disable-sync",
];

/** Where Chromium is: CHROMIUM, else where Debian puts it. */
export const CHROMIUM = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";

/**
 * True where browser tests are to be left out: Chromium is missing, and neither CI nor
 * LUMA_TEST_BROWSER=required wants them. Says so.
 */
export function isBrowserMissing(): boolean {
  if (existsSync(CHROMIUM)) return false;
  const isRequired = Deno.env.get("CI") !== undefined ||
    Deno.env.get("LUMA_TEST_BROWSER") === "required";
  if (!isRequired) {
    console.log(
      `The browser tests of the console are skipped: there is no ${CHROMIUM}. Install Debian's package chromium, or name a Chromium in CHROMIUM.`,
    );
  }
  return !isRequired;
}

/** Starts it with a new, empty profile. */
export async function startBrowser(): Promise<Browser & AsyncDisposable> {
  if (!existsSync(CHROMIUM)) {
    throw new Error(
      `There is no ${CHROMIUM}: install Debian's package chromium, or name a Chromium in CHROMIUM.`,
    );
  }
  return await chromium.launch({ executablePath: CHROMIUM, args: ARGS });
}

/** A page whose every complaint is kept: errors of the console, of scripts, and violations of the policy. */
export async function openPage(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; complaints: string[] } & AsyncDisposable> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) {
      complaints.push(`${page.url()}: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error}`));
  page.on("requestfailed", (request) => {
    // One that a navigation has cut off is none of the page's.
    const why = request.failure()?.errorText ?? "";
    if (why !== "net::ERR_ABORTED") {
      complaints.push(`${request.url()}: ${why}`);
    }
  });
  return {
    page,
    complaints,
    [Symbol.asyncDispose]: () => context.close(),
  };
}
