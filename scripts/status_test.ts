import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { insertEvent, pull, stackTest } from "../supabase/tests/testing.ts";
import { ownEvent } from "../supabase/tests/luma_guests.ts";
import type { AdminWorld } from "./admin/flags.ts";
import { progressBar, table } from "./admin/text.ts";
import { backfill } from "./backfill.ts";
import { status } from "./status.ts";

/** Runs a task as from a shell, on this database. */
async function run(
  task: typeof status,
  args: string[],
  url?: string,
  sleep: AdminWorld["sleep"] = (ms) =>
    new Promise((resolve) => setTimeout(resolve, Math.min(ms, 20))),
) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await task(["--env-file", "/nowhere/.env", ...args], {
    vars: { SUPABASE_DB_URL: url },
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    sleep,
    isTerminal: false,
  });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

stackTest(
  "status shows the health, the drift, and after the repair that both sides agree",
  async (stack) => {
    const { sql, simulator, postgres: { url } } = stack;
    const { lumaId } = await ownEvent(stack);
    await pull(stack);
    const health = await run(status, [], url);
    assertEquals(health.code, 0);
    assertMatch(health.out, /mode +live/);
    assertMatch(health.out, /calendar +ready +calls left +last webhook/);
    assertMatch(health.out, /\nblr +true +\d+ of 180 /);
    assertMatch(health.out, /\nto Luma +event +1 /);
    assertStringIncludes(health.out, "Nothing waits.");
    const read = JSON.parse((await run(status, ["--json"], url)).out);
    assertEquals([read.mode, read.queue, read.alerts], ["live", [], []]);
    assertEquals(read.calendars[0].calendar, "blr");

    simulator.host.updateEvent(lumaId, { name: "Renamed there" });
    const drift = await run(status, ["--drift"], url);
    assertEquals(drift.code, 1);
    assertMatch(
      drift.out,
      /Rooftop Jam +event +title +Rooftop Jam +Renamed there +luma +the row is written/,
    );
    assertStringIncludes(drift.out, "1 differences");
    const json = await run(
      status,
      ["--drift", "--json", "--calendar", "blr"],
      url,
    );
    assertEquals(JSON.parse(json.out).drift[0].luma_value, "Renamed there");

    const repair = await run(status, ["--repair"], url);
    assertEquals([repair.code, repair.err], [0, ""]);
    assertMatch(repair.out, /blr +done +1 +0 +0 +1/);
    const [row] = await sql`select title from public.canonical_events`;
    assertEquals(row!.title, "Renamed there");
    const agreed = await run(status, ["--drift"], url);
    assertEquals([agreed.code, agreed.err], [0, ""]);
    assertStringIncludes(agreed.out, "Both sides agree.");
  },
  { net: true },
);

stackTest(
  "status --watch shows what changes, until it is ended",
  async (stack) => {
    const { sql, postgres: { url } } = stack;
    let looks = 0;
    const ended = new Error("Ctrl-C");
    const watched: string[] = [];
    const task = status(["--watch"], {
      vars: { SUPABASE_DB_URL: url },
      out: (text) => watched.push(text),
      err: () => {},
      isTerminal: false,
      sleep: async (ms) => {
        assertEquals(ms, 2_000);
        if (++looks === 3) throw ended;
        if (looks === 1) {
          await insertEvent(stack);
          await sql`select luma.note_problem('blr', 'Luma refused the key', true)`;
          await sql`select luma.watch()`;
        } else {
          await sql`
            update luma.sync_outbox set dead_at = now(), last_error = 'refused', due_at = now() - interval '3 hours'`;
        }
      },
    });
    assertEquals(await task.catch((error) => error), ended);
    const [before, due, dead] = watched as [string, string, string];
    assertStringIncludes(before, "Nothing waits.");
    assertMatch(due, /\nevent +– +1 +0 +0 +0 +\d+ s ago/);
    assertMatch(due, /\nblr +false .* Luma refused the key/);
    assertMatch(due, /ALERT since .*: blr: Luma refused the key/);
    assertMatch(dead, /\nevent +– +0 +0 +0 +1 +–/);
    assertMatch(dead, /dead letters +1/);
  },
  { functions: false, simulator: false },
);

stackTest(
  "backfill shows its progress until all is sent, can be stopped, and goes on",
  async (stack) => {
    const { sql, postgres: { url }, net } = stack;
    await sql`select luma.set_mode('off')`;
    for (let n = 0; n < 3; n++) {
      await insertEvent(stack, { title: `Event ${n}` });
    }
    net.pause();
    await sql`select luma.set_mode('live')`;
    const stopped = await run(backfill, ["--stop"], url);
    assertEquals(stopped.out, "Stopped; 3 events and RSVPs wait.");
    assertMatch(
      (await run(backfill, ["--watch"], url)).out,
      /0 of 3 .* stopped/,
    );
    net.resume();
    const done = await run(backfill, [], url);
    assertEquals([done.code, done.err], [0, ""]);
    assertMatch(done.out, /\[#{30}\] 100 % {2}3 of 3 events and RSVPs, done/);
    await sql`select luma.set_mode('off')`;
    await sql`update public.canonical_events set title = 'Another'`;
    await sql`select luma.backfill()`;
    const off = await run(backfill, ["--watch"], url);
    assertEquals(off.code, 1);
    assertStringIncludes(off.err, "The mode is off");
  },
  { net: true },
);

Deno.test("the admin's tasks say what is missing and what is wrong", async () => {
  for (const task of [status, backfill]) {
    assertMatch((await run(task, ["--help"])).out, /^deno task /);
    const unknown = await run(task, ["--fast"]);
    assertEquals(unknown.code, 2);
    assertStringIncludes(unknown.err, "--fast");
    const unset = await run(task, []);
    assertEquals(unset.code, 1);
    assertStringIncludes(unset.err, "Set SUPABASE_DB_URL in /nowhere/.env");
    const wrong = await run(task, [], "mysql://secret@x");
    assertStringIncludes(wrong.err, "must be like postgresql://");
    assertEquals(wrong.err.includes("secret"), false);
  }
  for (const other of ["--repair", "--watch"]) {
    const both = await run(status, ["--drift", other]);
    assertStringIncludes(both.err, "choose one");
  }
});

Deno.test("tables and bars are plain text", () => {
  assertEquals(
    table(["a", "bb"], [[1, null], ["x y", { z: "long".repeat(20) }]], 12),
    'a    bb\n1    –\nx y  {"z":"longl…',
  );
  assertEquals(progressBar(1, 4, 4), "[#...] 25 %");
  assertEquals(progressBar(0, 0, 4), "[####] 100 %");
});
