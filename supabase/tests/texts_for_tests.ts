/** Texts by the thousand for functions of the database. */
import fc from "fast-check";
import { fuzz } from "../functions/_shared/fuzz_for_tests.ts";
import { storable } from "../functions/_shared/storable.ts";
import type { Stack } from "./testing.ts";

/** For tests of the database alone. */
export const SQL_ONLY = { functions: false, dataApi: false, simulator: false };

/** Cases of one statement. Of a failure fast-check looks for the smallest, so there are not too many. */
const AT_ONCE = 500;

/** A text that Postgres can hold. */
export const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 80 }),
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.string({
    unit: fc.constantFrom(..."aZ0-_. \t\n@+:/%()éßİıज🎉"),
    maxLength: 60,
  }),
).map((given) => storable(given) as string);

/** Checks texts in batches, as many as `usual` says. */
export async function forTexts(
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
export async function each<T>(
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
