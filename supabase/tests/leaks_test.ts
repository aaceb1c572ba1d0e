/** People's data and secrets stay where they are needed: in no log, no answer and no history. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { deliverer, delivery } from "./luma_deliveries.ts";
import { knownEvent, register } from "./luma_guests.ts";
import { BLR, settle } from "./luma_side.ts";
import { pullAll } from "./pulls_for_tests.ts";
import { ADD, UPDATE } from "./rsvps_for_tests.ts";
import { findTexts } from "./search_for_tests.ts";
import {
  drain,
  insertEvent,
  one,
  passTime,
  pull,
  rsvp,
  type Stack,
  stackTest,
  until,
} from "./testing.ts";

/** Who must be found nowhere. */
const PEOPLE = ["zara", "yuri", "xenia"].map((name, n) => ({
  id: `user-${name}`,
  name: `${name} quuxington`,
  email: `${name}.quuxington@example.org`,
  phone: `+91987650123${n}`,
  digits: `987650123${n}`,
}));
const PERSONAL = PEOPLE.flatMap(({ name, email, digits }) => [
  ...[name, email, encodeURIComponent(email), digits],
  digits.replace(/^(.{5})/, "$1 "),
]);

/** Which columns may hold people's data, and what for: docs/security.md says how long. */
const MAY_HOLD = [
  "luma.webhook_inbox.payload", // as Luma told it, to apply it again
  "luma.webhook_inbox.news",
  "luma.guests.email", // who is who on Luma
  "luma.guests.news",
  "luma.guest_links.email",
];

/** A stack test that keeps all that the functions print. */
function leakTest(
  name: string,
  test: (stack: Stack, printed: string[]) => Promise<void>,
): void {
  const printed: string[] = [];
  stackTest(name, (stack) => test(stack, printed), {
    webhooks: true,
    net: true,
    log: (line) => printed.push(line),
  });
}

function secretsOf(stack: Stack, webhookSecrets: string[]): string[] {
  return [
    ...[stack.secretKey, stack.syncSecret, ...webhookSecrets],
    ...stack.simulator.calendars.map(({ key }) => key),
  ];
}

async function webhookSecrets({ simulator }: Stack): Promise<string[]> {
  const state = await (await fetch(`${simulator.url}/_admin/state`)).json();
  return state.webhooks.map(({ secret }: { secret: string }) => secret);
}

/** Fails for each text that is printed, answered or kept where it may not be. */
async function assertNoLeak(
  stack: Stack,
  printed: string[],
  answers: string[],
): Promise<void> {
  const secrets = secretsOf(stack, await webhookSecrets(stack));
  const texts = [...PERSONAL, ...secrets];
  const schemas = ["luma", "net", "cron", "supabase_migrations"];
  const kept = await findTexts(stack.admin, schemas, texts);
  const leaks = kept.filter((where) =>
    !MAY_HOLD.includes(where.split(":")[0]!) ||
    secrets.some((secret) => where.toLowerCase().includes(secret.toLowerCase()))
  );
  for (const line of [...printed, ...answers]) {
    const said = line.toLowerCase();
    leaks.push(
      ...texts.filter((text) => said.includes(text.toLowerCase()))
        .map((text) => `${text} in: ${line}`),
    );
  }
  assertEquals(leaks, []);
}

/** Inserts the people; all of them are going to the event. */
async function everybodyGoes(stack: Stack, event: string): Promise<void> {
  for (const { id, name, email, phone } of PEOPLE) {
    await stack.sql`
      insert into public.users (id, name, email, phone) values (${id}, ${name}, ${email}, ${phone})`;
    await rsvp(stack, event, id, "going");
  }
}

const QUOTES = PEOPLE.map(({ name, email, phone }) =>
  `${name} <${email}>, ${phone}`
).join("; ");

leakTest(
  "Luma's refusals, which quote guests, are told without them",
  async (stack, printed) => {
    const { sql, simulator } = stack;
    const event = await insertEvent(stack);
    await settle(stack);
    const key = simulator.calendars[0]!.key;
    // Whom a call names is what its answer can quote.
    for (const { name, email, phone } of PEOPLE) {
      const message = `${name} <${email}>, ${phone} cannot come, says ${key}`;
      simulator.faults.add({
        path: ADD,
        contains: email,
        status: 500,
        message,
        count: 1,
      });
      simulator.faults.add({
        path: ADD,
        contains: email,
        status: 400,
        message,
      });
    }
    await everybodyGoes(stack, event);
    const deadLetters = () => sql`select error from luma.dead_letters`;
    await until("all three are given up", async () => {
      await passTime(stack);
      await drain(stack);
      return (await deadLetters()).length === 3;
    });
    const dead = await deadLetters();
    assertMatch(
      dead[0]!.error,
      /answered 400: .… <.…@example\.org>, \+…3\d cannot come, says \[API key\]/,
    );
    simulator.faults.clear();
    await sql`select luma.retry()`;
    await settle(stack);
    const { name, email } = PEOPLE[0]!;
    const message = `${email} (${name}, ${key}) has a ticket`;
    simulator.faults.add({ path: UPDATE, status: 422, message });
    await rsvp(stack, event, PEOPLE[0]!.id, "cancelled");
    await until("the change is given up", async () => {
      await passTime(stack);
      await drain(stack);
      return (await deadLetters()).length === 1;
    });
    await assertNoLeak(stack, printed, []);
    assert(printed.some((line) => line.includes("z…@example.org")));
  },
);

leakTest(
  "a key that Luma refuses and quotes is told by its name",
  async (stack, printed) => {
    const { sql, simulator } = stack;
    for (const { key } of simulator.calendars) {
      const message = `${key} of ${PEOPLE[0]!.email} is no key`;
      simulator.faults.add({ key, status: 401, message });
    }
    await insertEvent(stack);
    const problems = () =>
      sql`select problem from luma.calendar_state where problem is not null`;
    await until("the key is refused", async () => {
      await drain(stack);
      return (await problems()).length > 0;
    });
    const { problem } = await one(problems());
    assertMatch(problem, /LUMA_BLR_API_KEY/);
    await sql`select luma.pull_now('zo_events')`;
    const answer = await pull(stack, {});
    await assertNoLeak(stack, printed, [JSON.stringify(answer)]);
  },
);

leakTest(
  "guests who come by webhook and pull are in no history",
  async (stack, printed) => {
    const { sql } = stack;
    const event = await knownEvent(stack);
    for (const { name, email, phone } of PEOPLE) {
      const more = { name, email, phone_number: phone };
      register(stack, event, name, more as Parameters<typeof register>[3]);
    }
    await settle(stack);
    await pullAll(stack);
    // Whatever the app's own triggers say of a guest.
    await sql`
      create function public.app_refuses() returns trigger language plpgsql as $$
      begin raise exception 'no seat for %', (select concat_ws(' ', u.name, u.email, u.phone) from public.users u where u.id = new.user_id); end $$`;
    await sql`
      create trigger app_refuses before insert on public.event_rsvps for each row execute function public.app_refuses()`;
    const { id, email, phone } = PEOPLE[0]!;
    await sql`insert into public.users (id, email, phone) values (${id}, ${email}, ${phone})`;
    await sql`update luma.rechecks set due_at = now()`;
    await drain(stack).catch(() => {});
    await pull(stack).catch(() => {});
    const strange = delivery("guest.registered", {
      ...{ id: "gst-strange", user_email: email, user_name: PEOPLE[1]!.name },
      ...{
        phone_number: phone,
        approval_status: 7,
        event: { id: event.lumaId },
      },
    });
    assertEquals(await (await deliverer(stack, BLR))(strange), "stored");
    await passTime(stack);
    await assertNoLeak(stack, printed, []);
  },
);

leakTest(
  "a malformed or forged delivery is answered without what it says",
  async (stack, printed) => {
    const answers: string[] = [];
    const post = async (
      name: string,
      body: string,
      headers: Record<string, string> = {},
    ) => {
      const response = await fetch(`${stack.functionsUrl}/${name}`, {
        method: "POST",
        headers,
        body,
      });
      answers.push(`${response.status} ${await response.text()}`);
    };
    const people = JSON.stringify({ type: "guest.registered", data: PEOPLE });
    const [secret = ""] = await webhookSecrets(stack);
    const forged = {
      "webhook-id": QUOTES.slice(0, 20),
      "webhook-signature": `t=1,v1=${"0".repeat(64)}`,
    };
    await post("luma-webhook", people);
    await post("luma-webhook", people, forged);
    await post("luma-webhook", people, {
      ...forged,
      "webhook-signature": secret,
    });
    await post("luma-webhook", `{"type": "${PEOPLE[0]!.email}`, forged);
    const send = await deliverer(stack, BLR);
    for (
      const body of [
        people,
        `{"${PEOPLE[0]!.email}": 1}`,
        `["${PEOPLE[0]!.phone}"`,
        `{"type": 1, "data": "${PEOPLE[1]!.name}"}`,
      ]
    ) {
      await send({ id: `whd-${crypto.randomUUID()}`, body })
        .catch((error) => answers.push(error.message));
    }
    const own = { "x-luma-sync-secret": stack.syncSecret };
    await post(
      "luma-pull",
      JSON.stringify({ calendar: PEOPLE[0]!.email }),
      own,
    );
    await post("luma-pull", JSON.stringify({ [PEOPLE[0]!.email]: 1 }), own);
    await post("luma-pull", `{"event": "${PEOPLE[0]!.phone}"}`, own);
    await post("luma-pull?wait=1", "{}", { "x-luma-sync-secret": secret });
    await stack.sql`alter function public.luma_drain_start rename to gone`;
    await post("luma-drain?wait=1", "{}", own);
    assert(answers.length >= 12, answers.join("\n"));
    await assertNoLeak(stack, printed, answers);
  },
);

leakTest(
  "a dry run shows guests shortened",
  async (stack, printed) => {
    const { sql } = stack;
    const event = await insertEvent(stack);
    await settle(stack);
    await sql`select luma.set_mode('dry_run')`;
    await everybodyGoes(stack, event);
    const calls = () =>
      sql`
      select c #>> '{body,guests}' as guests from luma.attempts, jsonb_array_elements(calls) c
      where outcome = 'dry_run' and entity = 'rsvp'`;
    // A drain that was rung for may have them.
    await until("the RSVPs were tried", async () => {
      await passTime(stack);
      await drain(stack);
      return (await calls()).length > 0;
    });
    assertMatch((await calls())[0]!.guests, /"email": "z…@example\.org"/);
    await assertNoLeak(stack, printed, []);
  },
);
