/** Addresses, numbers and statuses of people: one form each, on both sides. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { addressForm } from "../functions/_shared/address_form.ts";
import { stackTest } from "./testing.ts";
import { each, forTexts, SQL_ONLY, text } from "./texts_for_tests.ts";

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
      // The same again, and in capital letters, except for those that two letters share.
      assertEquals(await each(stack, "luma.usable_email(x)", known), known);
      const shouted = known.filter((form) =>
        addressForm(form.toUpperCase()) === form
      );
      assertEquals(
        await each(
          stack,
          "luma.usable_email(E' \\n' || upper(x) || E'\\u00a0')",
          shouted,
        ),
        shouted,
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
