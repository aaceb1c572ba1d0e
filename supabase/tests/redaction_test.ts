/** The database redacts by the rules of redact.ts, and every column that keeps an error is redacted. */
import { assertEquals } from "@std/assert";
import { CASES, LEFT_ALONE } from "../functions/_shared/redact_for_tests.ts";
import { one, stackTest } from "./testing.ts";

const BARE = { functions: false, dataApi: false, simulator: false };

stackTest(
  "luma.redacted() makes of texts what redact() makes of them",
  async ({ sql }) => {
    // A web token is no e-mail, phone or key of this project's that Postgres could quote.
    const cases = CASES.filter(([text]) => !text.startsWith("eyJ"));
    for (
      const [text, shown] of [
        ...cases,
        ...LEFT_ALONE.map((text) => [text, text]),
      ]
    ) {
      assertEquals(await one(sql`select luma.redacted(${text!}) as shown`), {
        shown,
      });
    }
    assertEquals(await one(sql`select luma.redacted(null) as shown`), {
      shown: null,
    });
  },
  BARE,
);

stackTest(
  "every column that keeps what went wrong is redacted, whoever writes it",
  async ({ sql }) => {
    const columns = await sql`
    select c.relname as "table", a.attname as "column", t.tgname as redacted
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_trigger t on t.tgrelid = c.oid and t.tgfoid = 'luma.redact_column'::regproc and t.tgargs = (a.attname || '\\000')::bytea
    where c.relnamespace = 'luma'::regnamespace and c.relkind = 'r' and a.attname ~ 'error|problem'
      and a.atttypid in ('text'::regtype, 'text[]'::regtype)
    order by 1, 2`;
    assertEquals(columns.filter(({ redacted }) => redacted === null), []);
    assertEquals(columns.length, 9, JSON.stringify(columns));
    const text = "zara@example.com is refused";
    const shown = "z…@example.com is refused";
    await sql`insert into luma.missed_changes (entity, entity_id, error) values ('event', gen_random_uuid(), ${text})`;
    assertEquals(await one(sql`select error from luma.missed_changes`), {
      error: shown,
    });
    await sql`
    insert into luma.pull_runs (calendar, is_full, is_asked, problems) values ('blr', true, true, ${[
      text,
      "fine",
    ]})`;
    assertEquals(await one(sql`select problems from luma.pull_runs`), {
      problems: [shown, "fine"],
    });
    await sql`update luma.pull_runs set problems = problems || ${text}::text`;
    assertEquals(
      (await one(sql`select problems from luma.pull_runs`)).problems[2],
      shown,
    );
  },
  BARE,
);
