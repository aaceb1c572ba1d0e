/** `deno task screenshots`: takes the README's pictures of the console, on the stack and with the seed's events. */
import type { Page } from "playwright-core";
import { openPage, startBrowser } from "./console/browser_for_tests.ts";
import { openConsole } from "./console/client_for_tests.ts";
import { startScene } from "./console/scene_for_tests.ts";
import type { Stack } from "./stack/mod.ts";

const HELP = `deno task screenshots

Takes docs/images/console-*.png anew, in a Chromium (CHROMIUM, else Debian's).`;

const FOLDER = new URL("../docs/images/", import.meta.url);
const WIDTH = 1280;
const MOST_HEIGHT = 1200;

/** Three hours of calls and changes before those of the scene, more in the evening than in the afternoon. */
async function addPast({ sql }: Stack): Promise<void> {
  await sql`update luma.settings set live_since = now() - interval '1 day'`;
  await sql`
    insert into luma.attempts (entity, entity_id, version, calendar, run_id, changed_at, leased_at, settled_at, outcome, calls)
    select 'rsvp', gen_random_uuid(), 1, calendar, gen_random_uuid(), at - lag, at - lag / 2, at, 'done',
      jsonb_build_array(jsonb_build_object(
        'route', 'POST /v1/events/guests/add', 'at', at, 'ms', 40, 'status', case when n % 29 = 0 then 503 else 200 end
      ))
    from (values ('blr', 3.0), ('zo_events', 1.5)) calendars(calendar, weight)
    cross join generate_series(1, 36) piece
    cross join lateral generate_series(1, (weight * (2 + piece / 9.0 + 2 * sin(piece * weight)))::int) n
    cross join lateral (
      select clock_timestamp() - (36 - piece) * interval '5 minutes' - interval '6 minutes' + n * interval '1 second' as at,
        interval '1 second' * (0.15 + 0.1 * abs(sin(piece)) + case when n % 7 = 0 then 1.2 else 0.03 * n end) as lag
    ) past`;
}

/** The page down to the end of `last`, or as much of it as a reader sees at once. */
async function take(page: Page, name: string, last: string): Promise<void> {
  const end = await page.locator(last).boundingBox();
  const height = Math.min(
    Math.ceil((end?.y ?? 0) + (end?.height ?? 0)) + 24,
    MOST_HEIGHT,
  );
  await page.setViewportSize({ width: WIDTH, height });
  await page.screenshot({ path: new URL(name, FOLDER).pathname });
  console.log(`docs/images/${name}`);
}

if (Deno.args.length > 0) {
  console.log(HELP);
  Deno.exit(Deno.args.includes("--help") ? 0 : 2);
}
await Deno.mkdir(FOLDER, { recursive: true });
await using browser = await startBrowser();
await using scene = await startScene();
await addPast(scene.stack);
await using client = await openConsole(scene.stack);
await using opened = await openPage(browser, { colorScheme: "light" });
const { page } = opened;
await page.goto(client.url);
await take(page, "console-overview.png", "main .cards >> nth=0");
await page.goto(`${client.origin}/events/${scene.games}`);
await page.locator(".history details:has(> .calls) > summary").first().click();
await take(page, "console-event.png", "main");
