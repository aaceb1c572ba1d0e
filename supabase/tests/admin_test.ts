/** What admins call: all of it is logged, and called wrongly it says what there is. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { drain, insertEvent, type Stack, stackTest } from "./testing.ts";

const QUIET = { functions: false, simulator: false };

async function logged(
  { sql }: Stack,
): Promise<{ what: string; detail: unknown }[]> {
  const rows = await sql`
    delete from luma.admin_log where true returning id, who, via, what, detail, at`;
  for (const { who, via } of rows) {
    assertEquals([who, via], ["postgres", "postgres.js"]);
  }
  return rows.sort((a, b) => Number(a.id) - Number(b.id))
    .map(({ what, detail }) => ({ what, detail }));
}

stackTest("whatever an admin does is logged: who, how, what", async (stack) => {
  const { sql } = stack;
  await logged(stack);
  const id = await insertEvent(stack);
  await sql`update luma.sync_outbox set dead_at = now(), last_error = 'x'`;
  await sql`select luma.retry(${id}::uuid)`;
  await sql`select luma.retry()`;
  await sql`select luma.pause('blr')`;
  await sql`select luma.resume('blr')`;
  await sql`select luma.set_mode('off')`;
  await sql`select luma.set_mode('off')`;
  await sql`select luma.set_mode('dry_run')`;
  await sql`select luma.pull_now('blr')`;
  await sql`select luma.reconcile()`;
  await sql`select luma.backfill()`;
  await sql`select luma.stop_backfill()`;
  await sql`update luma.settings set send_email = false, calls_per_minute = 100`;
  await sql`update luma.settings set send_email = false`;
  assertEquals(await logged(stack), [
    { what: "retry", detail: { id, revived: 1 } },
    { what: "retry", detail: { revived: 0 } },
    { what: "pause", detail: { calendar: "blr" } },
    { what: "resume", detail: { calendar: "blr", was_paused_by: "admin" } },
    { what: "set_mode", detail: { mode: ["live", "off"] } },
    { what: "set_mode", detail: { mode: ["off", "off"] } },
    { what: "set_mode", detail: { mode: ["off", "dry_run"] } },
    { what: "pull_now", detail: { calendar: "blr", asked: 1 } },
    { what: "reconcile", detail: { dry: true, asked: 2 } },
    { what: "backfill", detail: { enqueued: 0 } },
    { what: "stop_backfill", detail: {} },
    {
      what: "settings",
      detail: { send_email: [true, false], calls_per_minute: [180, 100] },
    },
  ]);
}, QUIET);

stackTest(
  "what is rolled back was not done, and the sync itself leaves no trace in the log",
  async (stack) => {
    const { sql } = stack;
    await logged(stack);
    await sql.begin(async (sql) => {
      await sql`select luma.pause('blr')`;
      throw new Error("rolled back");
    }).catch(() => {});
    await insertEvent(stack);
    await drain(stack);
    await sql`select luma.sweep(), luma.tick(), luma.schedule_pull(), luma.watch(), luma.clean_up()`;
    assertEquals(await logged(stack), []);
    await sql`
      insert into luma.admin_log (at, who, what) values (now() - interval '366 days', 'a', 'old'), (now() - interval '364 days', 'a', 'new')`;
    await sql`select luma.clean_up_admin_log()`;
    const left = await sql`select what from luma.admin_log`;
    assertEquals(left.map(({ what }) => what), ["new"]);
  },
);

/** A wrong call, and what its error has to say. */
const WRONG: [string, string, string][] = [
  ["luma.pause('goa')", "there is no calendar 'goa'", "blr, zo_events"],
  ["luma.pause(null)", "there is no calendar null", "blr, zo_events"],
  ["luma.resume('')", "there is no calendar ''", "blr, zo_events"],
  ["luma.pull_now('goa')", "there is no calendar 'goa'", "blr, zo_events"],
  [
    "luma.pull_now(event => 'nonsense')",
    "there is no event 'nonsense' on Luma",
    "luma.event_status",
  ],
  [
    "luma.pull_now(event => '00000000-0000-0000-0000-000000000000'::uuid)",
    "there is no event '00000000-0000-0000-0000-000000000000' on Luma",
    "luma.event_status",
  ],
  ["luma.set_mode('on')", "off, dry_run or live, not 'on'", ""],
  ["luma.set_mode(null)", "off, dry_run or live, not null", ""],
  [
    "luma.retry('00000000-0000-0000-0000-000000000000')",
    "nothing of 00000000-0000-0000-0000-000000000000 waits",
    "luma.dead_letters",
  ],
  [
    "luma.retry('msg_1')",
    "there is no webhook delivery 'msg_1'",
    "luma.deliveries",
  ],
  [
    "luma.reconcile(calendar => 'x')",
    "there is no calendar 'x'",
    "blr, zo_events",
  ],
];

stackTest(
  "wrong arguments get an error that names them, and what there is instead",
  async (stack) => {
    const { sql } = stack;
    await logged(stack);
    for (const [call, message, hint] of WRONG) {
      const error = await assertRejects(
        () => sql.unsafe(`select ${call}`).execute(),
        Error,
        message,
      ) as Error & { hint?: string };
      assert((error.hint ?? "").includes(hint), `${call}: ${error.hint}`);
    }
    for (const statement of ["delete from", "truncate"]) {
      await assertRejects(
        () => sql.unsafe(`${statement} luma.settings`).execute(),
        Error,
        "cannot be deleted",
      );
    }
    await sql`select luma.set_mode('off')`;
    await assertRejects(
      () => sql`select luma.pull_now()`.execute(),
      Error,
      "the mode is off",
    );
    assertEquals((await logged(stack)).length, 1);
  },
  QUIET,
);
