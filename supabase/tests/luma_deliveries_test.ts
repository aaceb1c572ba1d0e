/** What becomes of deliveries that cannot be applied at once, and of many that come together. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { sign } from "../functions/_shared/luma/signature.ts";
import {
  hostEvent,
  lumaTest,
  outcomes,
  rowOf,
  rsvpsOf,
  settle,
} from "./luma_side.ts";
import {
  drain,
  guestList,
  insertUsers,
  one,
  restartPostgres,
  type Stack,
  until,
} from "./testing.ts";

/** The one delivery that is not applied. */
async function waitingDelivery({ sql }: Stack) {
  return await one(
    sql`select * from luma.webhook_inbox where state <> 'applied'`,
  );
}

lumaTest(
  "while the app writes an event's row, its deliveries wait for it and those of others do not",
  async (stack) => {
    const { sql, simulator } = stack;
    const [held, other] = [hostEvent(stack), hostEvent(stack)];
    await settle(stack);
    await sql`update luma.event_links set heard_at = null`;
    await sql.begin(async (app) => {
      await app`select from public.canonical_events where luma_event_id = ${held.id} for update`;
      const started = Date.now();
      simulator.host.updateEvent(held.id, { name: "Held" });
      simulator.host.updateEvent(other.id, { name: "Other" });
      await simulator.webhooksIdle();
      assert(Date.now() - started < 5_000, "nobody has waited for the app");
      assertEquals((await rowOf(stack, other.id)).title, "Other");
      const delivery = await waitingDelivery(stack);
      assertEquals(
        [delivery.state, delivery.outcome, delivery.attempts, delivery.error],
        ["stored", "waiting", 0, null],
      );
      // As long as it lasts, without keeping a drain awake for ever.
      await drain(stack);
      assertEquals((await rowOf(stack, held.id)).title, "Full Moon Swim");
    });
    await settle(stack);
    assertEquals((await rowOf(stack, held.id)).title, "Held");
  },
);

lumaTest(
  "a delivery that cannot be applied stays with the reason, is tried again, given up, and replayed by luma.retry",
  async (stack) => {
    const { sql, simulator } = stack;
    const [bad, good] = [hostEvent(stack), hostEvent(stack)];
    await settle(stack);
    await sql`update luma.event_links set heard_at = null`;
    await sql`update luma.settings set webhook_attempts = 3`;
    await sql.unsafe(`
      create function public.refuse() returns trigger language plpgsql as
        $$begin raise exception 'no % here', new.title; end$$;
      create trigger refuse before update on public.canonical_events for each row
        when (new.title = 'Cursed') execute function public.refuse();`);
    simulator.host.updateEvent(bad.id, { name: "Cursed" });
    simulator.host.updateEvent(good.id, { name: "Blessed" });
    await simulator.webhooksIdle();

    const first = await waitingDelivery(stack);
    assertEquals(
      [first.state, first.attempts, first.error],
      ["stored", 1, "no Cursed here"],
    );
    assert(first.due_at > new Date(), "it waits before the next attempt");
    assertEquals((await rowOf(stack, good.id)).title, "Blessed");

    await settle(stack);
    const [letter] = await sql`select * from luma.dead_letters`;
    assertEquals(
      [letter?.entity, letter?.title, letter?.error],
      ["webhook", "event.updated", "no Cursed here"],
    );
    assertEquals((await waitingDelivery(stack)).attempts, 3);
    const { dead } = await one(sql`select dead from luma.health`);
    assertEquals(Number(dead), 1);

    await sql`drop trigger refuse on public.canonical_events`;
    await sql.unsafe(letter!.to_retry);
    await settle(stack);
    assertEquals((await rowOf(stack, bad.id)).title, "Cursed");
    assertEquals([...await sql`select * from luma.dead_letters`], []);

    await assertRejects(
      () => Promise.resolve(sql`select luma.retry('whd-unknown')`),
      Error,
      "there is no webhook delivery 'whd-unknown'",
    );
  },
);

lumaTest(
  "luma.retry without an id tries what was given up on both ways, and replays what was applied when it is named",
  async (stack) => {
    const { sql } = stack;
    const event = hostEvent(stack);
    await settle(stack);
    await sql`update luma.webhook_inbox set state = 'failed', error = 'x', due_at = null where type = 'event.created'`;
    const { retried } = await one(sql`select luma.retry() as retried`);
    assertEquals(retried, 1);
    await settle(stack);
    const { webhook_id } = await one(
      sql`select webhook_id from luma.webhook_inbox where type = 'event.created' and state = 'applied'`,
    );
    await sql`select luma.retry(${webhook_id}::text)`;
    await settle(stack);
    assertEquals((await rowOf(stack, event.id)).title, event.name);
    assertEquals([...await sql`select * from luma.dead_letters`], []);
  },
);

lumaTest(
  "a delivery that cannot be read is kept, and read by a function that can",
  async (stack) => {
    const { sql, simulator } = stack;
    simulator.faults.add({ on: "webhook", drop: true });
    const event = hostEvent(stack);
    const [delivery] = simulator.deliveries;
    const broken = JSON.parse(delivery!.body);
    const { start_at } = broken.data;
    delete broken.data.start_at;
    const body = new TextEncoder().encode(JSON.stringify(broken));
    const secret = await secretOf(stack);
    const response = await fetch(`${stack.functionsUrl}/luma-webhook`, {
      method: "POST",
      headers: {
        "webhook-id": "whd-broken",
        "webhook-signature": await sign({ body, secret, at: new Date() }),
      },
      body,
    });
    assertEquals([response.status, await response.json()], [200, {
      result: "stored",
    }]);
    const kept = await waitingDelivery(stack);
    assertEquals(kept.attempts, 1);
    assert(/data\.start_at is not as expected/.test(kept.error), kept.error);

    // Still unreadable: another attempt.
    await sql`update luma.webhook_inbox set due_at = now()`;
    await drain(stack);
    assert((await waitingDelivery(stack)).attempts >= 2);

    // As if the function had learned to read it.
    await sql`
      update luma.webhook_inbox
      set payload = jsonb_set(payload, '{data,start_at}', ${
      sql.json(start_at)
    }), due_at = now()`;
    await settle(stack);
    assertEquals((await rowOf(stack, event.id)).title, event.name);
  },
);

async function secretOf({ simulator }: Stack): Promise<string> {
  const response = await fetch(`${simulator.url}/v1/webhooks/list`, {
    headers: { "x-luma-api-key": "luma-key-blr" },
  });
  return (await response.json()).entries[0].secret;
}

lumaTest(
  "with the mode off deliveries are kept, and applied when it goes live",
  async (stack) => {
    const { sql } = stack;
    await sql`select luma.set_mode('off')`;
    const event = hostEvent(stack);
    await stack.simulator.webhooksIdle();
    await drain(stack);
    assertEquals(
      [...await sql`select from public.canonical_events`].length,
      0,
    );
    assertEquals(
      (await outcomes(stack)).toSorted(),
      [
        "event.created stored",
        "calendar.event.added stored",
      ].toSorted(),
    );
    await sql`select luma.set_mode('live')`;
    await settle(stack);
    assertEquals((await rowOf(stack, event.id)).title, event.name);
  },
);

lumaTest(
  "of a new event Luma tells twice at the same moment: none of the two deliveries fails",
  async (stack) => {
    const { sql, simulator } = stack;
    for (let n = 0; n < 25; n++) {
      hostEvent(stack, { name: `Event ${n}` });
      await simulator.webhooksIdle();
    }
    const failed = await sql`
      select type, error, attempts from luma.webhook_inbox where error is not null or attempts > 1`;
    assertEquals([...failed], []);
    await settle(stack);
    const { count } = await one(
      sql`select count(*)::int as count from public.canonical_events`,
    );
    assertEquals(count, 25);
  },
);

lumaTest(
  "while the database is down Luma is asked to deliver again, and nothing is lost or doubled",
  async (stack) => {
    const { simulator } = stack;
    await stack.stopPostgres("SIGQUIT");
    const event = hostEvent(stack);
    await until(
      "the function has refused",
      () => simulator.deliveries.some(({ attempts }) => attempts.length > 0),
    );
    const statuses = simulator.deliveries.flatMap(({ attempts }) =>
      attempts.map(({ status }) => status)
    );
    assert(statuses.every((status) => status === 500), String(statuses));
    await restartPostgres(stack);
    await settle(stack);
    assertEquals((await rowOf(stack, event.id)).title, event.name);
    assertEquals(
      simulator.deliveries.map(({ state }) => state),
      ["delivered", "delivered"],
    );
  },
  { simulator: { webhookRetryMs: [500, 1_000, 2_000, 4_000, 4_000] } },
);

lumaTest(
  "a function that is killed again and again while it receives loses and doubles nothing",
  async (stack) => {
    const { simulator, functions } = stack;
    const event = hostEvent(stack);
    await settle(stack);
    const users = await insertUsers(stack, 40);
    for (const user of users) {
      simulator.guest.register(event.id, {
        name: user,
        email: `${user}@example.com`,
      });
    }
    for (let kills = 1; kills <= 3; kills++) {
      const answered = () =>
        simulator.deliveries.filter(({ state }) => state === "delivered")
          .length;
      const enough = answered() + 10;
      await until("some were delivered", () => answered() >= enough);
      await functions.kill("luma-webhook", "SIGKILL");
    }
    await settle(stack);
    const { id, current_rsvp_count } = await rowOf(stack, event.id);
    assertEquals(Object.keys(await rsvpsOf(stack, id)), users.toSorted());
    assertEquals(current_rsvp_count, 40);
  },
  { simulator: { webhookRetryMs: [200, 500, 1_000, 2_000, 2_000, 2_000] } },
);

lumaTest(
  "of 510 deliveries at once for one event none is lost, and the app's count is right",
  async (stack) => {
    const { sql, simulator } = stack;
    const event = hostEvent(stack);
    await settle(stack);
    const users = await insertUsers(stack, 100);
    const before = simulator.deliveries.length;
    for (let n = 1; n <= 170; n++) {
      simulator.guest.register(event.id, {
        name: `User ${n}`,
        email: `U${n}@Example.com`,
      });
    }
    assertEquals(simulator.deliveries.length - before, 510);
    await settle(stack);
    const { stored, applied } = await one(sql`
      select count(*)::int as stored, count(*) filter (where state = 'applied')::int as applied
      from luma.webhook_inbox where type <> 'event.created' and type <> 'calendar.event.added'`);
    assertEquals([stored, applied], [510, 510]);
    const { id, current_rsvp_count } = await rowOf(stack, event.id);
    assertEquals(
      Object.keys(await rsvpsOf(stack, id)).toSorted(),
      users.toSorted(),
    );
    const external = await sql`select from luma.external_guests`;
    assertEquals([external.length, current_rsvp_count], [70, 170]);
    assertEquals(Object.keys(guestList(stack)).length, 170);
    // Three equal deliveries for each guest cannot have crossed, so nothing was read but the new event.
    assertEquals(
      simulator.requests.map(({ path }) => path).filter((path) =>
        path !== "/v1/calendars/events/list"
      ),
      ["/v1/events/get"],
    );
  },
);
