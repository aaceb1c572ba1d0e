/** Alerts: one message when something begins, one when it is over, never a flood, and none that gets lost. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { insertEvent, one, type Stack, stackTest, until } from "./testing.ts";

const NET_ONLY = { net: true, functions: false, simulator: false };

/** Where alerts go in a test: what came, and what is answered. */
interface Address {
  url: string;
  messages: string[];
  status: number;
}

async function withAddress(
  test: (address: Address) => Promise<void>,
): Promise<void> {
  const address: Address = { url: "", messages: [], status: 200 };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      address.messages.push((await request.json()).text);
      return new Response(address.status === 204 ? null : "ok", {
        status: address.status,
      });
    },
  );
  address.url = `http://127.0.0.1:${server.addr.port}/hook/SECRET`;
  try {
    await test(address);
  } finally {
    await server.shutdown();
  }
}

/** Lets the alerts be looked at, as often as it takes until the message that is on its way has arrived. */
async function watch({ sql }: Stack): Promise<void> {
  await until("the message has arrived", async () => {
    await sql`select luma.watch()`;
    const { message, answered } = await one(sql`
      select b.message, exists (select from net._http_response r where r.id = b.request_id) as answered from luma.alert_outbox b`);
    // pg_net has answered: no need to wait until it is looked for.
    if (answered) {
      await sql`update luma.alert_outbox set due_at = now() where message is not null`;
    }
    return message === null;
  });
}

/** Moves what the alerts remember into the past. */
async function later({ sql }: Stack, time: string): Promise<void> {
  await sql`
    update luma.alert_states set raised_at = raised_at - ${time}::interval, seen_at = seen_at - ${time}::interval,
      told_at = told_at - ${time}::interval`;
  await sql`
    update luma.alert_outbox b set due_at = b.due_at - ${time}::interval,
      sent_at = array(select t - ${time}::interval from unnest(b.sent_at) t)`;
}

async function toldBy(stack: Stack, address: Address): Promise<string[]> {
  address.messages.length = 0;
  await watch(stack);
  return address.messages;
}

async function addDeadLetter(stack: Stack): Promise<string> {
  const id = await insertEvent(stack);
  await stack.sql`
    update luma.sync_outbox set dead_at = now(), last_error = 'refused' where entity_id = ${id}`;
  return id;
}

const STOPPED =
  "Luma sync\n🔴 blr: Luma refused the key in LUMA_BLR_API_KEY (401)";

function stop({ sql }: Stack) {
  return sql`select luma.note_problem('blr', 'Luma refused the key in LUMA_BLR_API_KEY (401)', true)`;
}

stackTest(
  "a calendar that stops is told of once, and once when it is over",
  (stack) =>
    withAddress(async (address) => {
      const { sql } = stack;
      await sql`select luma.set_alert_url(${address.url})`;
      await watch(stack);
      assertEquals(address.messages, ["Luma sync: alerts come here."]);
      assertEquals(await toldBy(stack, address), []);

      await stop(stack);
      assertEquals(await toldBy(stack, address), [STOPPED]);
      for (let day = 0; day < 3; day++) {
        await later(stack, "1 day");
        assertEquals(await toldBy(stack, address), []);
      }
      const open = await one(
        sql`select kind, calendar, state, told_at is not null as told from luma.alerts`,
      );
      assertEquals({ ...open }, {
        kind: "calendar",
        calendar: "blr",
        state: "open",
        told: true,
      });

      // Gone, but perhaps not for good.
      await sql`select luma.resume('blr')`;
      assertEquals(await toldBy(stack, address), []);
      await stop(stack);
      await later(stack, "4 minutes");
      assertEquals(await toldBy(stack, address), []);
      await sql`select luma.resume('blr')`;
      await later(stack, "6 minutes");
      assertEquals(await toldBy(stack, address), [
        STOPPED.replace("🔴", "🟢 Over:"),
      ]);
      await later(stack, "1 day");
      assertEquals(await toldBy(stack, address), []);
      assertEquals(
        (await one(sql`select count(*)::int as count from luma.alerts`)).count,
        1,
      );
    }),
  NET_ONLY,
);

stackTest(
  "more dead letters are told of at most once an hour, fewer not at all",
  (stack) =>
    withAddress(async (address) => {
      const { sql } = stack;
      await sql`select luma.set_alert_url(${address.url})`;
      await watch(stack);
      const ids = [await addDeadLetter(stack)];
      const dead = (count: number) => [
        `Luma sync\n🔴 dead letters, which are not tried again by themselves: ${count}. select * from luma.dead_letters;`,
      ];
      assertEquals(await toldBy(stack, address), dead(1));
      ids.push(await addDeadLetter(stack), await addDeadLetter(stack));
      await later(stack, "50 minutes");
      assertEquals(await toldBy(stack, address), []);
      await later(stack, "11 minutes");
      assertEquals(await toldBy(stack, address), dead(3));
      await sql`select luma.retry(${ids[0]!}::uuid)`;
      await later(stack, "2 hours");
      assertEquals(await toldBy(stack, address), []);
    }),
  NET_ONLY,
);

stackTest(
  "a message that the address refuses, or that pg_net loses, is sent again until it arrives, later and later",
  (stack) =>
    withAddress(async (address) => {
      const { sql } = stack;
      await sql`select luma.set_alert_url(${address.url})`;
      await watch(stack);
      address.messages.length = 0;
      address.status = 500;
      await stop(stack);
      await sql`select luma.watch()`;
      const answered = async () =>
        (await one(sql`
          select exists (select from net._http_response r where r.id = b.request_id) as answered from luma.alert_outbox b`))
          .answered;
      await until("it was refused", answered);
      // Looked at every minute, it waits for its time.
      await sql`select luma.watch()`;
      assertEquals(address.messages, [STOPPED]);
      const pauses: number[] = [];
      for (let time = 0; time < 3; time++) {
        await sql`update luma.alert_outbox set due_at = now() where message is not null`;
        await sql`select luma.watch()`;
        const { wait, problem } = await one(sql`
          select extract(epoch from due_at - now())::float8 as wait, problem from luma.alert_outbox`);
        pauses.push(Math.round(wait / 30));
        assert(problem.includes("did not take the message"), problem);
        assert(!problem.includes("SECRET"));
        await until("it was refused again", answered);
      }
      assertEquals(pauses, [2, 4, 8]);
      assertEquals(address.messages, Array(4).fill(STOPPED));

      // A crash of Postgres empties pg_net's queue and its answers.
      address.status = 204;
      stack.net.pause();
      await sql`update luma.alert_outbox set due_at = now() where message is not null`;
      await sql`select luma.watch()`;
      await stack.admin`delete from net.http_request_queue`;
      await stack.admin`delete from net._http_response`;
      stack.net.resume();
      address.messages.length = 0;
      await later(stack, "2 hours");
      assertEquals(await toldBy(stack, address), [STOPPED]);
      const { problem, sent } = await one(
        sql`select problem, cardinality(sent_at) as sent from luma.alert_outbox`,
      );
      assertEquals([problem, sent], [null, 0]);
    }),
  NET_ONLY,
);

stackTest(
  "a greeting that has not arrived holds no alert up",
  (stack) =>
    withAddress(async (address) => {
      const { sql } = stack;
      address.status = 500;
      await sql`select luma.set_alert_url(${address.url})`;
      await until("it was refused", () => address.messages.length === 1);
      address.status = 200;
      await stop(stack);
      assertEquals(await toldBy(stack, address), [STOPPED]);
    }),
  NET_ONLY,
);

stackTest(
  "however much happens, there are no more messages than the setting says, and the next one has the rest",
  (stack) =>
    withAddress(async (address) => {
      const { sql } = stack;
      await sql`select luma.set_alert_url(${address.url})`;
      await watch(stack);
      address.messages.length = 0;
      await sql`update luma.settings set alert_calm = '0', alert_messages_per_hour = 3`;
      for (let round = 0; round < 10; round++) {
        await stop(stack);
        await watch(stack);
        await sql`select luma.resume('blr')`;
        await watch(stack);
      }
      assertEquals(address.messages.length, 3);
      assertEquals(address.messages[1], STOPPED.replace("🔴", "🟢 Over:"));
      // What began and ended meanwhile is in luma.alerts; the one that was told of has its end.
      await later(stack, "61 minutes");
      assertEquals(await toldBy(stack, address), [
        STOPPED.replace("🔴", "🟢 Over:"),
      ]);
      await sql`
        insert into luma.calendar_state (luma_key, problem)
        select 'c' || n, 'no key' from generate_series(10, 24) n`;
      const [many, ...more] = await toldBy(stack, address);
      assertEquals(more, []);
      assertEquals(many!.split("\n").length, 12);
      assert(
        many!.endsWith("and 5 more: select * from luma.alerts;"),
        many,
      );
    }),
  NET_ONLY,
);

const CAUSES: Record<string, (stack: Stack) => Promise<unknown>> = {
  "calendar blr": stop,
  "dead_letters ": addDeadLetter,
  "lag blr": async (stack) => {
    const id = await insertEvent(stack);
    await stack.sql`
      update luma.sync_outbox set changed_at = now() - interval '16 minutes', calendar = 'blr' where entity_id = ${id}`;
  },
  "webhooks zo_events": ({ sql }) =>
    sql`insert into luma.calendar_state (luma_key, missed_at) values ('zo_events', now())`,
  "functions ": ({ sql }) => sql`update luma.bell set unanswered = 2`,
  "triggers ": ({ sql }) =>
    sql`
      insert into luma.missed_changes (missed_at, entity, entity_id, error)
      values (now() - interval '11 minutes', 'event', gen_random_uuid(), 'x')`,
};

for (const [alert, cause] of Object.entries(CAUSES)) {
  stackTest(`an alert of its own is raised: ${alert.trim()}`, async (stack) => {
    const { sql } = stack;
    const causes = () =>
      sql`select kind || ' ' || subject as cause from luma.alert_causes`;
    assertEquals((await causes()).length, 0);
    await cause(stack);
    assertEquals((await causes()).map(({ cause }) => cause), [alert]);
    const { problem, said } = await one(sql`
      select h.problem, (select c.message from luma.alert_causes c) as said from luma.health h`);
    assertEquals(problem, said);
    await sql`select luma.watch()`;
    const raised = await one(sql`select state, told_at from luma.alerts`);
    assertEquals({ ...raised }, { state: "open", told_at: null });
  }, { functions: false, simulator: false });
}

stackTest(
  "what waits for an admin, for a backfill or for the mode raises no alert of lateness",
  async (stack) => {
    const { sql } = stack;
    const [paused, backfilled] = [
      await insertEvent(stack),
      await insertEvent(stack),
    ];
    await sql`update luma.sync_outbox set changed_at = now() - interval '1 day', calendar = 'blr'`;
    await sql`update luma.sync_outbox set priority = 4 where entity_id = ${backfilled}`;
    const late = async () =>
      (await sql`select subject from luma.alert_causes where kind = 'lag'`)
        .length;
    assertEquals(await late(), 1);
    await sql`select luma.pause('blr')`;
    assertEquals(await late(), 0);
    await sql`select luma.resume('blr')`;
    assertEquals(await late(), 1);
    await sql`select luma.set_mode('off')`;
    assertEquals(await late(), 0);
    assert(paused);
  },
  { functions: false, simulator: false },
);

stackTest(
  "the address is kept in the Vault, checked, replaced, taken away, and never shown",
  async (stack) => {
    const { sql } = stack;
    const kept = async () =>
      (await one(sql`select luma.secret('luma_alert_url') as url`)).url;
    for (
      const bad of [
        "hooks.example.com/T0/SECRET",
        "http://hooks.example.com/SECRET",
        "https://",
        "https://a b/SECRET",
        "ftp://127.0.0.1/SECRET",
      ]
    ) {
      const error = await assertRejects(
        () => sql`select luma.set_alert_url(${bad})`.execute(),
        Error,
        "must begin with https://",
      );
      assert(!JSON.stringify(error).includes("SECRET"));
    }
    await sql`select luma.set_alert_url('https://hooks.example.com/T0/SECRET')`;
    await sql`select luma.set_alert_url('https://hooks.example.org/T1/SECRET')`;
    assertEquals(await kept(), "https://hooks.example.org/T1/SECRET");
    await sql`select luma.set_alert_url(null)`;
    assertEquals(await kept(), null);
    const log =
      await sql`select detail from luma.admin_log where what = 'set_alert_url' order by id`;
    assertEquals(log.map(({ detail }) => detail), [
      { host: "hooks.example.com" },
      { host: "hooks.example.org" },
      {},
    ]);
    assertEquals(
      (await one(
        sql`select luma.alert_body('https://discord.com/api/webhooks/1', 'm') as body`,
      )).body,
      { content: "m" },
    );
    // Without an address alerts are raised, and nothing waits to be sent.
    await stop(stack);
    await sql`select luma.watch()`;
    assertEquals(
      (await one(sql`select message from luma.alert_outbox`)).message,
      null,
    );
  },
  { functions: false, simulator: false },
);
