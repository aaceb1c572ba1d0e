/** What the SQL functions make of texts, thousands in a statement; where TypeScript does the same, both agree. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { fuzz } from "../functions/_shared/fuzz_for_tests.ts";
import { EventInput } from "../functions/_shared/luma/inputs.ts";
import { slug as simulatedSlug } from "../../scripts/luma-simulator/schema_fields.ts";
import { addressForm } from "../functions/_shared/address_form.ts";
import { redact } from "../functions/_shared/redact.ts";
import { storable } from "../functions/_shared/storable.ts";
import { type Stack, stackTest } from "./testing.ts";

const SQL_ONLY = { functions: false, dataApi: false, simulator: false };

/** Cases of one statement. Of a failure fast-check looks for the smallest, so there are not too many. */
const AT_ONCE = 500;

/** A text that Postgres can hold. */
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 80 }),
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.string({
    unit: fc.constantFrom(..."aZ0-_. \t\n@+:/%()éßİıज🎉"),
    maxLength: 60,
  }),
).map((given) => storable(given) as string);

/** Checks texts in batches, as many as `usual` says. */
async function forTexts(
  given: fc.Arbitrary<string>,
  usual: number,
  check: (texts: string[]) => Promise<void>,
): Promise<void> {
  const batch = fc.array(given, {
    minLength: 1,
    maxLength: AT_ONCE,
    size: "max",
  });
  await fc.assert(
    fc.asyncProperty(batch, check),
    fuzz(Math.ceil(usual / AT_ONCE * 2)),
  );
}

/** What a function of one text answers for each. */
async function each<T>(
  { sql }: Pick<Stack, "sql">,
  call: string,
  texts: string[],
): Promise<T[]> {
  const rows = await sql.unsafe(
    `select ${call} as value from unnest($1::text[]) with ordinality t (x, n) order by n`,
    [texts],
  );
  return rows.map(({ value }) => value);
}

stackTest(
  "whatever the title, a slug is Luma's kind, ends in the row's digits, and reads like the title",
  async (stack) => {
    const digits = /(?:^|-)([0-9a-f]{12})$/;
    await forTexts(text, 4_000, async (titles) => {
      const rows = await stack.sql`
        select id, luma.slug_for(id::uuid, x) as slug
        from unnest(${
        titles.map(() => crypto.randomUUID())
      }::text[], ${titles}::text[]) with ordinality t (id, x, n)
        order by n`;
      assertEquals(new Set(rows.map(({ slug }) => slug)).size, titles.length);
      for (const [n, { id, slug }] of rows.entries()) {
        EventInput.shape.slug.parse(slug);
        simulatedSlug.parse(slug);
        assert(
          /^[a-z0-9]+(-[a-z0-9]+)*$/.test(slug) && slug.length <= 50,
          slug,
        );
        assertEquals(
          digits.exec(slug)?.[1],
          id.replaceAll("-", "").slice(0, 12),
        );
        const [word] =
          /^[a-z0-9]{1,37}/.exec(titles[n]!.toLowerCase().normalize()) ?? [];
        if (word && /^[ -~]*$/.test(titles[n]!)) {
          assert(slug.startsWith(word), slug);
        }
      }
    });
  },
  SQL_ONLY,
);

/** What people write for addresses, and what is nearly one. */
const address = fc.oneof(
  { weight: 1, arbitrary: text },
  {
    weight: 3,
    arbitrary: fc.tuple(
      fc.constantFrom("", " ", "\t", "\n", "\u00a0", "\r\n"),
      fc.string({
        unit: fc.constantFrom(..."aZ0.+-_'éİΣ"),
        minLength: 1,
        maxLength: 66,
      }),
      fc.constantFrom("@", "@", "@", "@@", " @"),
      fc.array(
        fc.string({
          unit: fc.constantFrom(..."bY1-üİΣ"),
          minLength: 1,
          maxLength: 64,
        }),
        { minLength: 1, maxLength: 4 },
      ).map((labels) => labels.join(".")),
      fc.constantFrom(".com", ".IN", "", ".", ".x"),
      fc.constantFrom("", " ", "\u00a0"),
    ).map((parts) => parts.join("")),
  },
);

stackTest(
  "an address is none or the one form in which it is kept, here as in what Luma tells",
  async (stack) => {
    let usable = 0;
    await forTexts(address, 6_000, async (addresses) => {
      const forms = await each<string | null>(
        stack,
        "luma.usable_email(x)",
        addresses,
      );
      const kept = addresses.filter((_, n) => forms[n] !== null);
      const known = forms.filter((form) => form !== null);
      usable += known.length;
      // The same again, and in every way to write it.
      assertEquals(await each(stack, "luma.usable_email(x)", known), known);
      assertEquals(
        await each(
          stack,
          "luma.usable_email(E' \\n' || upper(x) || E'\\u00a0')",
          known,
        ),
        known,
      );
      // fromLumaGuest(): the guest and the user have to meet.
      assertEquals(kept.map(addressForm), known);
      for (const form of known) {
        assert(
          /^[^\s@]+@[^\s@]+\.[^\s@]{2,}$/.test(form) && form.length <= 254,
          form,
        );
      }
    });
    assert(usable > 300, `${usable} were usable`);
  },
  SQL_ONLY,
);

stackTest(
  "whatever is written for a phone number, it has its digits, and a tail that finds it",
  async (stack) => {
    const number = fc.oneof(
      text,
      fc.string({
        unit: fc.constantFrom(..."0123456789+-() ."),
        maxLength: 30,
      }),
    );
    await forTexts(number, 6_000, async (numbers) => {
      const digits = await each<string | null>(
        stack,
        "luma.phone_digits(x)",
        numbers,
      );
      assertEquals(
        digits,
        numbers.map((each) =>
          each.replaceAll(/[^0-9]/g, "").replace(/^0+/, "") || null
        ),
      );
      const found = digits.map((each) => each ?? "");
      assertEquals(
        await each(stack, "coalesce(luma.phone_digits(x), '')", found),
        found,
      );
      const fits = await stack.sql`
        select luma.phone_fits(u, g) as fits, luma.phone_tail(u) = luma.phone_tail(g) as is_found
        from unnest(${numbers}::text[], ${numbers.toReversed()}::text[]) t (u, g)
        union all select luma.phone_fits(x, '+' || x), luma.phone_tail(x) = luma.phone_tail('+' || x) from unnest(${found}::text[]) x`;
      // Users are looked for by the tail first, so it may pass over nobody who fits.
      for (const { fits: doesFit, is_found } of fits) {
        assert(doesFit !== null);
        assert(!doesFit || is_found);
      }
    });
  },
  SQL_ONLY,
);

stackTest(
  "each status on Luma comes back from the app's word for it, and every word of the app's has one",
  async (stack) => {
    const { sql } = stack;
    assertEquals(
      [
        ...await sql`
        select s, luma.guest_status(luma.rsvp_status_of(s)) as back
        from unnest('{approved,session,pending_approval,waitlist,declined,invited}'::text[]) with ordinality t (s, n) order by n`,
      ],
      [
        { s: "approved", back: "approved" },
        // Both were let in.
        { s: "session", back: "approved" },
        { s: "pending_approval", back: "pending_approval" },
        { s: "waitlist", back: "waitlist" },
        { s: "declined", back: "declined" },
        // Has not answered yet; luma.status_rank() has no place for it, so it is never written over an RSVP.
        { s: "invited", back: "pending_approval" },
      ],
    );
    assertEquals(
      [
        ...await sql`
        select s from unnest(regexp_split_to_array(
          (select string_agg(pg_get_constraintdef(oid), '') from pg_constraint
           where conrelid = 'public.event_rsvps'::regclass and pg_get_constraintdef(oid) like '%not_going%'), '[^a-z_]+'
        )) s
        where s in ('pending','going','interested','not_going','waitlist','cancelled','approved','rejected')
          and luma.status_rank(luma.guest_status(luma.rsvp_status_of(luma.guest_status(s)))) is distinct from luma.status_rank(luma.guest_status(s))`,
      ],
      [],
    );
    await forTexts(text, 4_000, async (words) => {
      const statuses = await each<string>(stack, "luma.guest_status(x)", words);
      const known = ["approved", "pending_approval", "waitlist", "declined"];
      assert(statuses.every((status) => known.includes(status)));
      // A word of Luma's that nobody knows yet is no status of the app's.
      assertEquals(
        new Set(await each(stack, "luma.rsvp_status_of('x' || x)", words)),
        new Set([null]),
      );
    });
  },
  SQL_ONLY,
);

/** Of people, and secrets. */
const PRIVATE = [
  "zara.quux+a@example.co.uk",
  "Ann@Mail.example",
  "ab%40b.in",
  "+91 98765 43210",
  "98765 43210",
  "9876543210",
  "+1 (555) 010-9999",
  "whsec_abcdefgh12",
  "sb_secret_01234567",
  "secret-abcdefgh12",
];

/** Errors as Luma, Postgres and fetch write them, with people and secrets in them. */
const message = fc.array(
  fc.oneof(
    fc.constantFrom(...PRIVATE),
    fc.constantFrom("evt-Ab12Cd34", "2026-11-26T20:31:17.123456+00:00"),
    fc.constantFrom(
      "3f2a9c1b-7d00-4000-8000-000000000000",
      "12.9716, 77.5946",
      "400",
      "1722470400123",
    ),
    fc.string({
      unit: fc.constantFrom(..."aZ09 -_.:;,@+()<>\"'/?&=\n"),
      maxLength: 12,
    }),
  ),
  { minLength: 1, maxLength: 6 },
).chain((parts) =>
  fc.constantFrom(" ", ", ", "", "=", "(").map((between) => parts.join(between))
);

stackTest(
  "both redactions make the same of a text, and leave nobody's address, number or secret in it",
  async (stack) => {
    await forTexts(message, 6_000, async (messages) => {
      const shown = messages.map((each) => redact(each));
      assertEquals(await each(stack, "luma.redacted(x)", messages), shown);
    });
    await forTexts(fc.shuffledSubarray(PRIVATE, { minLength: 1 }).map((parts) => parts.join(" ")), 2_000, async (messages) => {
      for (const shown of await each<string>(stack, "luma.redacted(x)", messages)) {
        assertEquals(PRIVATE.filter((part) => shown.includes(part)), []);
      }
    });
  },
  SQL_ONLY,
);

stackTest(
  "Luma's addresses are looked for in whatever stands there",
  async (stack) => {
    const { sql } = stack;
    const page = fc.oneof(
      text,
      fc.tuple(
        fc.constantFrom(
          "",
          " see ",
          "https://",
          "http://www.",
          "(",
          "<a href='https://",
        ),
        fc.constantFrom(
          "luma.com",
          "LU.MA",
          "lu.ma",
          "notluma.com",
          "www.luma.com",
        ),
        fc.constantFrom("/", "/event/", "/event/manage/", "", "//"),
        fc.string({ unit: fc.constantFrom(..."aZ0-_.%?#/)é"), maxLength: 30 }),
      ).map((parts) => parts.join("")),
    );
    await forTexts(page, 4_000, async (pages) => {
      const rows = await sql`
        select x, luma.is_luma_address(x) as is_address, array(select luma.page_keys(x)) as keys
        from unnest(${pages}::text[]) with ordinality t (x, n) order by n`;
      for (const { x, is_address, keys } of rows) {
        assert(typeof is_address === "boolean");
        for (const key of keys) {
          assert(
            /^[a-z0-9]([a-z0-9_.%-]*[a-z0-9])?$/.test(key),
            `${x}: ${key}`,
          );
        }
        assertEquals(new Set(keys).size, keys.length);
      }
      // A key found in a page is found in the key's own page.
      const found = rows.flatMap(({ keys }) => keys as string[]);
      if (found.length === 0) return;
      assertEquals(
        [
          ...await sql`
          select k from unnest(${found}::text[]) k
          where k not in ('event') and not k = any (array(select luma.page_keys('https://luma.com/' || k)))`,
        ],
        [],
      );
    });
  },
  SQL_ONLY,
);
