/** Who a guest on Luma is in the app: luma.match_user(), over people and numbers as they are written. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import type { ISql } from "postgres";
import { fuzz } from "../functions/_shared/fuzz_for_tests.ts";
import { one, type Stack, stackTest } from "./testing.ts";

const SQL_ONLY = { functions: false, dataApi: false, simulator: false };

interface User {
  id: string;
  name?: string | null;
  email?: string | null;
  phone?: string | null;
}

/** A guest's e-mail address and phone number. */
type Guest = [email: string | null, phone: string | null];

interface Match {
  user_id: string | null;
  why: string | null;
}

/** Undoes what a test wrote. */
class RollBack extends Error {}

/** Who a guest is while the app has these users, and no others than it had. */
async function match(
  { sql }: Pick<Stack, "sql">,
  users: User[],
  [email, phone]: Guest,
): Promise<Match> {
  let found: Match | undefined;
  await sql.begin(async (sql) => {
    await insert(sql, users);
    found = await one(
      sql`select * from luma.match_user(${email}, ${phone})`,
    ) as Match;
    throw new RollBack();
  }).catch((error) => {
    if (!(error instanceof RollBack)) throw error;
  });
  return found!;
}

async function insert(sql: ISql, users: User[]): Promise<void> {
  const rows = users.map(({ id, name = id, email = null, phone = null }) => ({
    id,
    name,
    email,
    phone,
  }));
  if (rows.length > 0) await sql`insert into public.users ${sql(rows)}`;
}

const ASHA = "asha@example.com";
const INDIAN = "+919876543210";

/** A number of the app's user asha, as somebody wrote it, and one that Luma tells. */
const WRITTEN: [users: string, guests: string][] = [
  ["9876543210", INDIAN],
  ["98765 43210", INDIAN],
  ["98765-43210", INDIAN],
  ["(98765) 43210", INDIAN],
  [" 9876543210\n", INDIAN],
  ["09876543210", INDIAN],
  ["0 98765 43210", INDIAN],
  ["+919876543210", INDIAN],
  ["+91 98765 43210", INDIAN],
  ["+91-98765-43210", INDIAN],
  ["(+91) 98765 43210", INDIAN],
  ["00919876543210", INDIAN],
  ["0091 98765 43210", INDIAN],
  ["919876543210", INDIAN],
  ["91 98765 43210", INDIAN],
  ["415 555 2671", "+14155552671"],
  ["(415) 555-2671", "+1 (415) 555-2671"],
  ["1-415-555-2671", "+14155552671"],
  ["020 7946 0018", "+442079460018"],
  ["0044 20 7946 0018", "+44 20 7946 0018"],
];

/** Numbers that look alike, and are not the same. */
const DIFFERENT: [users: string, guests: string][] = [
  ["9876543211", INDIAN],
  ["9976543210", INDIAN],
  ["+1 9876543210", INDIAN],
  ["+44 9876543210", INDIAN],
  ["0091 9876543211", INDIAN],
  ["92 98765 43210", INDIAN],
  // Another number's end.
  ["6543210", INDIAN],
  ["43210", INDIAN],
  ["9876543210", "43210"],
  ["9876543210", "543210"],
  ["654321", "654321"],
  ["000000000000", "+000000000000"],
  ["not known", INDIAN],
  ["", INDIAN],
];

const CASES: {
  what: string;
  users: User[];
  guest: Guest;
  is: string | null;
}[] = [
  {
    what: "an e-mail address in capital letters",
    users: [{ id: "asha", email: "ASHA@Example.COM" }],
    guest: [ASHA, null],
    is: "asha",
  },
  {
    what: "an e-mail address with spaces around it",
    users: [{ id: "asha", email: " \tasha@example.com\u00a0\r\n" }],
    guest: [ASHA, null],
    is: "asha",
  },
  {
    what: "a guest's e-mail address with capitals and spaces",
    users: [{ id: "asha", email: ASHA }],
    guest: [" Asha@EXAMPLE.com\n", null],
    is: "asha",
  },
  {
    what: "an e-mail address, and a phone number that nobody has",
    users: [{ id: "asha", email: ASHA, phone: "5550000000" }],
    guest: [ASHA, INDIAN],
    is: "asha",
  },
  {
    what: "a phone number, and an e-mail address that nobody has",
    users: [{ id: "asha", email: ASHA, phone: "9876543210" }],
    guest: ["work@example.com", INDIAN],
    is: "asha",
  },
  {
    what: "e-mail address and phone number of one user",
    users: [{ id: "asha", email: ASHA, phone: "9876543210" }, { id: "ravi" }],
    guest: [ASHA, INDIAN],
    is: "asha",
  },
  {
    what: "an address like another one",
    users: [{ id: "asha", email: "asha@example.com.au" }],
    guest: [ASHA, null],
    is: null,
  },
  {
    what: "no % and no _ in an address stands for anything else",
    users: [{ id: "asha", email: "a_ha@example.com" }],
    guest: [ASHA, null],
    is: null,
  },
  {
    what: "two users with one address",
    users: [{ id: "asha", email: ASHA }, {
      id: "ravi",
      email: "Asha@example.com ",
    }],
    guest: [ASHA, null],
    is: null,
  },
  {
    what: "two users with one address, and a phone number that one of them has",
    users: [
      { id: "asha", email: ASHA, phone: "5550000000" },
      { id: "ravi", email: ASHA, phone: "98765 43210" },
    ],
    guest: [ASHA, INDIAN],
    is: "ravi",
  },
  {
    what: "two users with one address, and a phone number that nobody has",
    users: [{ id: "asha", email: ASHA }, { id: "ravi", email: ASHA }],
    guest: [ASHA, INDIAN],
    is: null,
  },
  {
    what: "two users with one address and one phone number",
    users: [
      { id: "asha", email: ASHA, phone: "9876543210" },
      { id: "ravi", email: ASHA, phone: "+919876543210" },
    ],
    guest: [ASHA, INDIAN],
    is: null,
  },
  {
    what: "two users with one address, and a phone number of a third",
    users: [
      { id: "asha", email: ASHA },
      { id: "ravi", email: ASHA },
      { id: "devi", phone: "9876543210" },
    ],
    guest: [ASHA, INDIAN],
    is: null,
  },
  {
    what: "two users with one national number",
    users: [
      { id: "asha", phone: "9876543210" },
      { id: "ravi", phone: "98765 43210" },
    ],
    guest: [null, INDIAN],
    is: null,
  },
  {
    what: "two users with one national number, and the address of one of them",
    users: [
      { id: "asha", email: ASHA, phone: "9876543210" },
      { id: "ravi", phone: "98765 43210" },
    ],
    guest: [ASHA, INDIAN],
    is: "asha",
  },
  {
    what: "a national number, and the same digits in another country",
    users: [
      { id: "asha", phone: "9876543210" },
      { id: "ravi", phone: "+1 987 654 3210" },
    ],
    guest: [null, INDIAN],
    is: "asha",
  },
  {
    // The number without a country may be American too.
    what: "the same digits in the other country",
    users: [
      { id: "asha", phone: "9876543210" },
      { id: "ravi", phone: "+1 987 654 3210" },
    ],
    guest: [null, "+19876543210"],
    is: null,
  },
  {
    what: "the e-mail address of one user, and the phone number of another",
    users: [{ id: "asha", email: ASHA }, { id: "ravi", phone: "9876543210" }],
    guest: [ASHA, INDIAN],
    is: null,
  },
  {
    what: "neither address nor number, and users without them",
    users: [{ id: "asha" }, { id: "ravi", email: "", phone: "" }],
    guest: [null, null],
    is: null,
  },
  {
    what: "an empty address and an empty number, and users with empty ones",
    users: [{ id: "asha", email: "", phone: "" }, { id: "ravi", email: " " }],
    guest: ["", ""],
    is: null,
  },
  {
    what: "an empty number does not speak against the address",
    users: [{ id: "asha", email: ASHA, phone: null }, {
      id: "ravi",
      phone: "",
    }],
    guest: [ASHA, ""],
    is: "asha",
  },
  {
    what:
      "an address that has not the shape of one, not even of a user who has the same",
    users: [{ id: "asha", email: "asha" }],
    guest: ["asha", null],
    is: null,
  },
  {
    what: "an address that has not the shape of one, and a good number",
    users: [{ id: "asha", email: "asha", phone: "9876543210" }],
    guest: ["gst-123", INDIAN],
    is: "asha",
  },
  {
    what: "a number that is too short does not speak against the address",
    users: [{ id: "asha", email: ASHA }, { id: "ravi", phone: "43210" }],
    guest: [ASHA, "43210"],
    is: "asha",
  },
  {
    what: "a user without a name",
    users: [{ id: "asha", name: null, email: ASHA }],
    guest: [ASHA, null],
    is: "asha",
  },
  { what: "nobody at all", users: [], guest: [ASHA, INDIAN], is: null },
];

stackTest(
  "a guest is the one user whom address and number allow, and nobody where they allow two or none",
  async (stack) => {
    const found: Record<string, string | null> = {};
    for (const { what, users, guest } of CASES) {
      found[what] = (await match(stack, users, guest)).user_id;
    }
    assertEquals(
      found,
      Object.fromEntries(CASES.map(({ what, is }) => [what, is])),
    );
  },
  SQL_ONLY,
);

stackTest(
  "of users with one address the one is found who also has the number, however many they are",
  async (stack) => {
    const users = Array.from({ length: 30 }, (_, n) => ({
      id: `member-${n}`,
      email: ASHA,
      phone: n === 29 ? "9876543210" : null,
    }));
    // Two of them, of whom a list that is cut short shows one.
    const twins = users.map((user, n) => ({
      ...user,
      phone: n % 29 === 0 ? "9876543210" : null,
    }));
    assertEquals(
      {
        one: (await match(stack, users, [ASHA, INDIAN])).user_id,
        twins: (await match(stack, twins, [ASHA, INDIAN])).user_id,
      },
      { one: "member-29", twins: null },
    );
  },
  SQL_ONLY,
);

stackTest(
  "a number of the app is a guest's in all ways to write it, and no number that looks like it is",
  async (stack) => {
    const found: Record<string, string | null> = {};
    for (const [phone, guests] of [...WRITTEN, ...DIFFERENT]) {
      const { user_id } = await match(stack, [{ id: "asha", phone }], [
        null,
        guests,
      ]);
      found[`${phone} and ${guests}`] = user_id;
    }
    const expected = (numbers: [string, string][], is: string | null) =>
      numbers.map(([users, guests]) => [`${users} and ${guests}`, is]);
    assertEquals(
      found,
      Object.fromEntries([
        ...expected(WRITTEN, "asha"),
        ...expected(DIFFERENT, null),
      ]),
    );
  },
  SQL_ONLY,
);

stackTest(
  "who is nobody has a reason that an admin can act on",
  async (stack) => {
    const why = async (users: User[], guest: Guest) =>
      (await match(stack, users, guest)).why ?? "";
    assertMatch(await why([], [ASHA, INDIAN]), /^no user has this/);
    assertEquals(
      await why([{ id: "asha", email: ASHA }, {
        id: "ravi",
        phone: "9876543210",
      }], [ASHA, INDIAN]),
      "the e-mail address is that of user asha, the phone number that of user ravi",
    );
    const two = await why(
      [{ id: "asha", email: ASHA }, { id: "ravi", email: ASHA }],
      [ASHA, null],
    );
    assertMatch(two, /asha/);
    assertMatch(two, /ravi/);
    assertEquals(
      (await match(stack, [{ id: "asha", email: ASHA }], [ASHA, null])).why,
      null,
    );
  },
  SQL_ONLY,
);

const digits = (length: number) =>
  fc.string({
    unit: fc.constantFrom(..."0123456789"),
    minLength: length,
    maxLength: length,
  });

/** A number as Luma tells it: the country's code, and the rest, which nowhere begins with 0. */
const number = fc.record({
  country: fc.constantFrom("1", "7", "44", "65", "91", "351", "971"),
  first: fc.constantFrom(..."123456789"),
  rest: fc.integer({ min: 7, max: 11 }).chain(digits),
}).map(({ country, first, rest }) => ({ country, national: first + rest }));

type PhoneNumber = { country: string; national: string };

const luma = ({ country, national }: PhoneNumber) => `+${country}${national}`;

/** What people put before the national part. */
const prefix = fc.constantFrom(
  () => "",
  () => "0",
  () => "0 ",
  (country: string) => `+${country}`,
  (country: string) => `+${country} `,
  (country: string) => `(+${country}) `,
  (country: string) => `00${country}`,
  (country: string) => `00 ${country}-`,
  (country: string) => country,
);

/** What people put between digits, at places of their choice. */
const breaks = fc.array(
  fc.tuple(
    fc.integer({ min: 1, max: 11 }),
    fc.constantFrom(" ", "-", ".", "/", "  ", " - ", "\u00a0", ")", "("),
  ),
  { maxLength: 4 },
);

const written = fc.record({
  prefix,
  breaks,
  around: fc.constantFrom("", " ", "\n", "\u00a0"),
});
type Written = typeof written extends fc.Arbitrary<infer T> ? T : never;

function write({ country, national }: PhoneNumber, how: Written): string {
  let text = national;
  for (const [at, sign] of how.breaks.toSorted(([a], [b]) => b - a)) {
    text = text.slice(0, at) + sign + text.slice(at);
  }
  return how.around + how.prefix(country) + text + how.around;
}

stackTest(
  "whatever the number and the way in which a user wrote it, the guest with that number is the user",
  async (stack) => {
    const property = fc.asyncProperty(number, written, async (number, how) => {
      const users = [{ id: "asha", phone: write(number, how) }];
      const { user_id } = await match(stack, users, [null, luma(number)]);
      assertEquals(user_id, "asha", users[0]!.phone);
    });
    await fc.assert(property, fuzz(400));
  },
  SQL_ONLY,
);

stackTest(
  "no other number is the user's, not even one that differs in a single digit",
  async (stack) => {
    const property = fc.asyncProperty(
      number,
      number,
      written,
      fc.nat(),
      fc.integer({ min: 1, max: 9 }),
      async (number, other, how, place, by) => {
        fc.pre(number.national.slice(-7) !== other.national.slice(-7));
        const users = [{ id: "asha", phone: write(number, how) }];
        const { national } = number;
        const at = place % national.length;
        const digit = (Number(national[at]) + by) % 10;
        const near = {
          ...number,
          national: national.slice(0, at) + digit + national.slice(at + 1),
        };
        for (const strange of [other, near]) {
          const { user_id } = await match(stack, users, [null, luma(strange)]);
          assertEquals(
            user_id,
            null,
            `${users[0]!.phone} and ${luma(strange)}`,
          );
        }
      },
    );
    await fc.assert(property, fuzz(400));
  },
  SQL_ONLY,
);

/** How often all of public.users was read so far. */
async function readsOfAllUsers(sql: ISql): Promise<number> {
  // Counters of this session are shown once they are flushed.
  await sql`select pg_stat_force_next_flush()`;
  const { seq_scan } = await one(
    sql`select seq_scan::int from pg_stat_user_tables where relid = 'public.users'::regclass`,
  );
  return seq_scan;
}

/** 20,000 users, with numbers written in many ways; and an event with guests who are none of them. */
async function insertCrowd(sql: ISql): Promise<void> {
  await sql`
    insert into public.users (id, name, email, phone)
    select 'u' || n, 'User ' || n, 'User' || n || '@Example.com',
      case n % 3 when 0 then '+91 ' when 1 then '0' else '' end || (6000000000 + n * 7919)::text
    from generate_series(1, 20000) n`;
  await sql`
    with event as (
      insert into public.canonical_events (canonical_uid, title, starts_at, luma_event_id, source_type)
      values ('luma-evt-1', 'Jam', now() + interval '3 days', 'evt-1', 'luma') returning id
    ), link as (
      insert into luma.event_links (event_id, calendar, slug, luma_event_id)
      select id, 'blr', 'jam', 'evt-1' from event
    )
    insert into luma.guests (event_id, email, luma_guest_id, luma_base, news)
    select id, 'stranger' || n || '@example.com', 'gst-' || n, 'approved',
      jsonb_build_object('name', 'Stranger ' || n, 'phone', '+4479460' || 10000 + n)
    from event, generate_series(1, 30) n`;
  await sql`analyze public.users`;
  await sql`analyze luma.guests`;
}

/** How often all users are read while a session does this again and again. */
async function fullReads(
  { sql: pool }: Pick<Stack, "sql">,
  look: (sql: ISql) => PromiseLike<unknown>,
): Promise<number> {
  const sql = await pool.reserve();
  try {
    const before = await readsOfAllUsers(sql);
    // Often enough for a plan that is kept.
    for (let n = 0; n < 8; n++) await look(sql);
    return await readsOfAllUsers(sql) - before;
  } finally {
    sql.release();
  }
}

stackTest(
  "of 20,000 users only those are read whom an index names",
  async (stack) => {
    await insertCrowd(stack.sql);
    const reads = (guest: Guest) =>
      fullReads(
        stack,
        (sql) => sql`select * from luma.match_user(${guest[0]}, ${guest[1]})`,
      );
    const found = await match(stack, [], ["user777@example.com", null]);
    assertEquals(found.user_id, "u777");
    assertEquals(
      {
        address: await reads(["user777@example.com", null]),
        phone: await reads([null, "+916000007919"]),
        both: await reads(["user777@example.com", "+916000007919"]),
        stranger: await reads(["x@example.com", "+441234567890"]),
        nothing: await reads([null, null]),
        sweep: await fullReads(stack, (sql) => sql`select luma.sweep_news()`),
      },
      { address: 0, phone: 0, both: 0, stranger: 0, nothing: 0, sweep: 0 },
    );
  },
  SQL_ONLY,
);

stackTest(
  "the list of external guests does not read all users for each of them",
  async (stack) => {
    await insertCrowd(stack.sql);
    const list = (sql: ISql) => sql`select * from luma.external_guests`;
    assertEquals((await list(stack.sql)).length, 30);
    // Once for each list, for the names of all: an index for a hint would cost every user that is written.
    assert(await fullReads(stack, list) <= 8);
  },
  SQL_ONLY,
);
