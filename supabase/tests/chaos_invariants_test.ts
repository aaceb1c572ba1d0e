/** Each invariant of `deno task chaos` sees what breaks it: planted on a system at rest, and taken back. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { actInApp } from "../../scripts/chaos/app_acts.ts";
import { tamper } from "../../scripts/chaos/fault_acts.ts";
import { INVARIANTS } from "../../scripts/chaos/invariants/mod.ts";
import { actOnLuma } from "../../scripts/chaos/luma_acts.ts";
import { comeToRest } from "../../scripts/chaos/rest.ts";
import { valueOf } from "../../scripts/chaos/values.ts";
import { StackWorld } from "../../scripts/chaos/stack_world.ts";
import type { World } from "../../scripts/chaos/world.ts";

/** An event of the app's with u1 as a guest, and one of a host's. */
async function worldAtRest(): Promise<World> {
  const world = await StackWorld.start({
    lossy: false,
    contended: false,
    cancelOnLuma: false,
    callsPerMinute: 2_000,
  });
  try {
    await actInApp(world, {
      do: "create",
      event: 1,
      culture: "food",
      priced: true,
      going: "u1",
    });
    await actOnLuma(world, { do: "host-create", event: 2 });
    await comeToRest(world);
    return world;
  } catch (error) {
    await world[Symbol.asyncDispose]();
    throw error;
  }
}

async function problems(world: World, name: string): Promise<string> {
  const invariant = INVARIANTS.find((invariant) => invariant.name === name);
  if (!invariant) throw new Error(`There is no invariant ${name}`);
  return [
    ...await invariant.always?.(world) ?? [],
    ...await invariant.atRest?.(world) ?? [],
  ].join("\n");
}

/** Writes as nobody does: no trigger of the app's or ours sees it. */
async function behindItsBack(
  { stack }: World,
  statement: string,
): Promise<void> {
  await stack.admin.begin(async (sql) => {
    await sql`set local session_replication_role = replica`;
    await sql.unsafe(statement);
  });
}

Deno.test("each invariant holds at rest, and sees what breaks it", async (t) => {
  await using world = await worldAtRest();
  const { stack } = world;
  const { simulator, admin } = stack;
  const known = await world.event(1);
  const id = known!.id!;
  const event = simulator.event(known!.lumaId!)!;
  const tested = new Set<string>();

  for (const { name } of INVARIANTS) {
    await t.step(`${name} holds`, async () => {
      assertEquals(await problems(world, name), "");
    });
  }

  /** Plants something, sees it told, takes it back, and sees it gone. */
  const sees = async (
    name: string,
    told: string,
    plant: () => unknown,
    takeBack: () => unknown,
  ) => {
    tested.add(name);
    await t.step(`${name}: ${told}`, async () => {
      await plant();
      assertStringIncludes(await problems(world, name), told);
      await takeBack();
      assertEquals(await problems(world, name), "");
    });
  };
  const unheard = async (act: () => unknown) => {
    const fault = simulator.faults.add({ on: "webhook", drop: true });
    await act();
    await simulator.webhooksIdle();
    fault.remove();
  };
  const cancelNamed = (named: string) => {
    const found = simulator.events().find(({ name }) => name === named);
    return unheard(() => simulator.host.cancelEvent(found!.id));
  };

  await sees(
    "one-luma-event-per-row",
    "has 2 Luma events",
    () =>
      unheard(() =>
        tamper(world, { do: "tamper", what: "second-luma-event", event: 1 })
      ),
    () => cancelNamed("Again"),
  );
  await sees(
    "one-luma-event-per-row",
    "has no row that is shown",
    () =>
      unheard(() =>
        simulator.host.createEvent(simulator.calendars[0]!.id, {
          name: "Stranger",
          start_at: new Date(Date.now() + 86_400_000).toISOString(),
          timezone: "Asia/Kolkata",
        })
      ),
    () => cancelNamed("Stranger"),
  );
  await sees(
    "one-luma-event-per-row",
    "is not on Luma",
    () =>
      behindItsBack(
        world,
        `update public.canonical_events set luma_event_id = 'evt-none' where id = '${id}'`,
      ),
    () =>
      behindItsBack(
        world,
        `update public.canonical_events set luma_event_id = '${event.id}' where id = '${id}'`,
      ),
  );
  const copy = (column: string) =>
    behindItsBack(
      world,
      `insert into public.canonical_events (canonical_uid, title, starts_at, ends_at, tz, source_type, submission_status, luma_event_id)
       select 'copy', title, starts_at, ends_at, tz, ${column}, 'cancelled', luma_event_id from public.canonical_events where id = '${id}'`,
    );
  const removeCopy = () =>
    behindItsBack(
      world,
      `delete from public.canonical_events where canonical_uid = 'copy'`,
    );
  await sees(
    "one-row-per-luma-event",
    "has the rows",
    () => copy("source_type"),
    removeCopy,
  );
  await sees(
    "one-row-per-luma-event",
    "came back as row",
    () => copy("'luma'"),
    removeCopy,
  );
  await sees(
    "one-guest-per-person",
    "is on the list of",
    () => event.guests.push({ ...event.guests[0]!, id: "gst-again" }),
    () => event.guests.pop(),
  );
  await sees(
    "one-guest-per-person",
    "is 2 people",
    () =>
      behindItsBack(
        world,
        `insert into public.users (id, name, email) values ('twin', 'Twin', 'u1@example.com');
         insert into public.event_rsvps (event_id, user_id, status) values ('${id}', 'twin', 'going')`,
      ),
    () =>
      behindItsBack(
        world,
        `delete from public.event_rsvps where user_id = 'twin'; delete from public.users where id = 'twin'`,
      ),
  );
  await sees(
    "app-undisturbed",
    "edit failed: no room",
    async () => {
      await admin.unsafe(`
        create function public.no_room() returns trigger language plpgsql as $$ begin raise 'no room'; end $$;
        create trigger no_room before update on public.canonical_events for each row execute function public.no_room()`);
      await actInApp(world, { do: "edit", event: 1, field: "title", n: 99 });
    },
    async () => {
      await admin`drop function public.no_room() cascade`;
      world.appTrouble.length = 0;
      world.ledger.note("app", "1 title", valueOf("title", 1), undefined);
    },
  );
  await sees(
    "app-undisturbed",
    "a trigger missed a change",
    () =>
      admin`select luma.note_missed_change('event', ${id}::uuid, 'out of luck')`,
    () => admin`truncate luma.missed_changes`,
  );
  const asked = simulator.requests.length;
  await sees(
    "rate-window",
    "calls within a minute; 2000 are allowed",
    () => {
      const last = simulator.requests.at(-1)!;
      for (let n = 0; n < 2_001; n++) simulator.requests.push({ ...last });
    },
    () => simulator.requests.splice(asked),
  );
  await sees(
    "attempts-bounded",
    "was tried",
    () =>
      admin`
        insert into luma.attempts (entity, entity_id, version, outcome)
        select 'event', ${id}, 0, 'retry' from generate_series(1, 1000)`,
    () => admin`delete from luma.attempts where version = 0`,
  );
  await sees(
    "attempts-bounded",
    "was given up: refused",
    () =>
      admin`update luma.sync_outbox set version = version + 1, dead_at = now(), last_error = 'refused' where entity_id = ${id}`,
    () =>
      admin`update luma.sync_outbox set version = version - 1, dead_at = null, last_error = null where entity_id = ${id}`,
  );
  const title = (text: string) =>
    behindItsBack(
      world,
      `update public.canonical_events set title = '${text}' where id = '${id}'`,
    );
  await sees(
    "no-change-lost",
    "the app says Changed, Luma Title 1",
    () => title("Changed"),
    () => title("Title 1"),
  );
  await sees(
    "no-change-lost",
    "that was nobody's last word",
    async () => {
      await title("Changed");
      event.name = "Changed";
    },
    async () => {
      await title("Title 1");
      event.name = "Title 1";
    },
  );
  await sees(
    "no-change-lost",
    "luma.conflicts does not have it",
    () => world.ledger.note("luma", "1 title", "Theirs", "Something"),
    () => world.ledger.written.get("1 title")!.luma = undefined,
  );
  await sees(
    "no-echo-at-rest",
    "was written without a reason: title",
    () =>
      unheard(() =>
        simulator.host.updateEvent(event.id, { name: "Unheard of" })
      ),
    () => {},
  );
  for (
    const [what, secret] of [
      ["the API key of", simulator.calendars[0]!.key],
      ["the secret key", stack.secretKey],
    ] as const
  ) {
    await sees(
      "no-secret-anywhere",
      `${what}`,
      () =>
        admin`insert into luma.admin_log (who, what, detail) values ('t', 't', ${
          admin.json({ secret })
        })`,
      () => admin`delete from luma.admin_log where who = 't'`,
    );
  }
  await sees(
    "no-secret-anywhere",
    "the sync secret is in an answer",
    () => world.answers.push(stack.syncSecret),
    () => world.answers.pop(),
  );
  assertEquals(
    INVARIANTS.map(({ name }) => name).filter((name) => !tested.has(name)),
    [],
  );
});
