/** What the SQL functions make of texts, thousands in a statement; where TypeScript does the same, both agree. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { EventInput } from "../functions/_shared/luma/inputs.ts";
import { redact } from "../functions/_shared/redact.ts";
import { slug as simulatedSlug } from "../../scripts/luma-simulator/schema_fields.ts";
import { stackTest } from "./testing.ts";
import { each, forTexts, SQL_ONLY, text } from "./texts_for_tests.ts";

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
    await forTexts(
      fc.shuffledSubarray(PRIVATE, { minLength: 1 }).map((parts) =>
        parts.join(" ")
      ),
      2_000,
      async (messages) => {
        for (
          const shown of await each<string>(stack, "luma.redacted(x)", messages)
        ) {
          assertEquals(PRIVATE.filter((part) => shown.includes(part)), []);
        }
      },
    );
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
