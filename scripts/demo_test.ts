import {
  assertEquals,
  assertGreater,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { cp } from "node:fs/promises";
import { playStory } from "./demo/story.ts";
import { terminal } from "./demo/terminal.ts";
import { callLines, distinctCalls, timelineTable } from "./demo/timeline.ts";
import { StoryError } from "./demo/wait.ts";
import { startStack } from "./stack/mod.ts";
import { freePort } from "./stack/processes.ts";
import { alive, descendants, eventually } from "./stack/test_project.ts";

async function runDemo(args: string[], checkout?: string) {
  const demo = checkout === undefined
    ? new URL("./demo.ts", import.meta.url).pathname
    : `${checkout}/scripts/demo.ts`;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", demo, ...args],
    cwd: checkout,
  }).output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

Deno.test("the demo plays the whole story, prints its timeline and exits with 0", async () => {
  const { code, stdout, stderr } = await runDemo([]);
  assertEquals(code, 0, `${stdout}\n${stderr}`);
  assertStringIncludes(stdout, '"Rooftop Drum Circle" is public on Luma');
  assertMatch(
    stdout,
    /page +https:\/\/luma\.com\/rooftop-drum-circle-[0-9a-f]{12} /,
  );
  assertMatch(
    stdout,
    /cover +https:\S+ \(\d+ bytes of \/Cultural Stickers\/Music&Entertainment\.png\)/,
  );
  assertMatch(stdout, /tag +Music & Entertainment/);
  assertMatch(
    stdout,
    /change +row committed +enqueued +Luma called +acknowledged +calls/,
  );
  assertMatch(stdout, /guests +Asha \(host\)/);
  assertStringIncludes(
    stdout,
    'Refused with PT422: "Add your email in Profile to RSVP for events."',
  );
  assertMatch(stdout, /120 are pending_approval on Luma, after \d+ calls?\n/);
  assertStringIncludes(stdout, "all 124 RSVPs are on Luma");
  for (
    const [change, calls] of [
      ["approved", "6"],
      ["edited 3 times", "[123]"],
      ["moved", "1"],
      ["RSVP", "1"],
      ["120 RSVPs", "\\d+"],
      ["3 answers", "3"],
      ["2 waitlisted", "[12]"],
      ["1 left, 1 moved up", "2"],
      ["cancelled", "1"],
    ]
  ) {
    assertMatch(
      stdout,
      new RegExp(`^  ${change}( +\\d+ ms){4} +${calls}$`, "m"),
    );
  }
  assertMatch(stdout, /Totals: .* 131 guests on Luma, .* 0 duplicates\./);
  for (
    const told of [
      /It is a row of the app's, approved, after \d+ ms/,
      /seed-esha is going in event_rsvps after \d+ ms, matched by e-mail/,
      /counted all the same: current_rsvp_count is 2/,
      /demo-kiran is going after \d+ ms, matched by phone number/,
      /Both edits are on both sides after \d+ ms/,
      /Of all this the app's rows say nothing/,
      /"Full Moon Swim", rsvp seed-chris, \*: luma is ahead, an RSVP is inserted/,
      /9 differences in luma\.drift, and nothing else was written/,
      /The new event, the move and the RSVP are there after \d+ ms/,
      /"Kite Making" was in the feed already: its row is Luma's now/,
    ]
  ) assertMatch(stdout, told);
  // deno-lint-ignore no-control-regex -- a terminal's escape codes
  assertEquals(/\x1b/.test(stdout), false, "colours without a terminal");
});

Deno.test("the demo names an unknown argument, a wrong one, and a Postgres that is not there", async () => {
  for (
    const [args, reason] of [
      [["--fast"], "--fast"],
      [["--timeout", "soon"], '--timeout is "soon"'],
      [["--postgres", "/nowhere/bin"], "/nowhere/bin"],
    ] as const
  ) {
    const { code, stderr } = await runDemo([...args]);
    assertEquals(code, 1, args.join(" "));
    assertStringIncludes(stderr, reason);
  }
});

Deno.test("a demo whose functions cannot reach Luma says what it waited for and what the sync knows", async () => {
  await using stack = await startStack({
    env: { LUMA_API_URL: `http://127.0.0.1:${freePort()}` },
  });
  const error = await assertRejects(
    () => playStory({ stack, out: terminal(() => {}), timeoutMs: 3_000 }),
    StoryError,
    "Not within 3 seconds: the seed's approved events on Luma",
  );
  assertMatch(
    error.message,
    /luma\.health:\n {2}\{"mode":"live","waiting":"4"/,
  );
  assertMatch(
    error.message,
    /with an error:\n {2}\{.*"outcome":"retry".*refused/i,
  );
});

Deno.test("a demo whose functions do not start exits with 1 and shows what they said", async () => {
  const checkout = await Deno.makeTempDir({ prefix: "luma-checkout-" });
  const root = new URL("../", import.meta.url).pathname;
  try {
    for (const name of ["deno.json", "deno.lock", "scripts", "supabase"]) {
      await cp(`${root}${name}`, `${checkout}/${name}`, { recursive: true });
    }
    await Deno.symlink(`${root}node_modules`, `${checkout}/node_modules`);
    await Deno.writeTextFile(
      `${checkout}/supabase/functions/luma-drain/index.ts`,
      'throw new Error("broken on purpose");',
    );
    const { code, stderr } = await runDemo(["--timeout", "3"], checkout);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "Not within 3 seconds");
    assertStringIncludes(stderr, "broken on purpose");
  } finally {
    await Deno.remove(checkout, { recursive: true });
  }
});

Deno.test("a demo with a refused key gives up at once", async () => {
  await using stack = await startStack({ env: { LUMA_BLR_API_KEY: "wrong" } });
  const error = await assertRejects(
    () => playStory({ stack, out: terminal(() => {}), timeoutMs: 60_000 }),
    StoryError,
    "The sync gave up",
  );
  assertStringIncludes(error.message, "401");
});

Deno.test("a demo in which nobody is refused says so", async () => {
  await using stack = await startStack({ webhooks: true });
  await stack.sql`update luma.settings set require_email = false`;
  await assertRejects(
    () => playStory({ stack, out: terminal(() => {}), timeoutMs: 30_000 }),
    StoryError,
    "The RSVP of seed-dhruv was not refused with PT422: null",
  );
});

Deno.test("Ctrl-C in the middle of the demo leaves no process behind", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("./demo.ts", import.meta.url).pathname],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let pids: number[] = [];
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    if (pids.length > 0 || !text.includes("The sync goes live")) continue;
    pids = await descendants(child.pid);
    child.kill("SIGINT");
  }
  assertEquals((await child.status).code, 130);
  assertGreater(pids.length, 3, "Postgres has more processes than that");
  await eventually(
    "the end of every process of the stack",
    async () => (await alive(pids)).length === 0,
  );
});

Deno.test("the timeline counts from the app's statement, and alike calls are one line", () => {
  const call = { route: "POST /v1/events/update", at: "", ms: 7, status: 200 };
  const [, line] = timelineTable([{
    change: "moved",
    sentAt: 1000,
    committedAt: 1005,
    enqueuedAt: 999,
    calledAt: 1060,
    acknowledgedAt: 1071,
    calls: [call],
  }]);
  assertMatch(line ?? "", /^moved +5 ms +earlier +60 ms +71 ms +1$/);
  assertEquals(callLines([call, call, { ...call, status: null }]), [
    "2 × POST /v1/events/update → 200",
    "POST /v1/events/update → no answer (7 ms)",
  ]);
});

Deno.test("a call for many RSVPs counts once, calls for different events do not", () => {
  const call = {
    route: "POST /v1/events/guests/add",
    at: "2026-11-24T10:00:00.000Z",
    ms: 7,
    status: 200,
  };
  const later = { ...call, at: "2026-11-24T10:00:01.000Z" };
  assertEquals(
    distinctCalls([
      { event_id: "a", calls: [call, later] },
      { event_id: "a", calls: [{ ...call }] },
      { event_id: "b", calls: [call] },
      { event_id: "b", calls: [] },
    ]),
    [call, later, call],
  );
});

Deno.test("colours are used only when asked for", () => {
  const printed: string[] = [];
  terminal((text) => printed.push(text), false).result("done");
  terminal((text) => printed.push(text), true).result("done");
  assertEquals(printed, ["   ✓ done", "   \x1b[32m✓\x1b[0m done"]);
});
