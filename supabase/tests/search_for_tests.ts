/** Looks for texts in everything that a database keeps. */
import type postgres from "postgres";

interface Column {
  table: string;
  column: string;
}

/** Columns of these schemas that can hold text, by what the catalog says: a new one is searched too. */
async function textColumns(
  admin: postgres.Sql,
  schemas: string[],
): Promise<Column[]> {
  return await admin<Column[]>`
    select a.attrelid::regclass::text as table, quote_ident(a.attname) as column
    from pg_attribute a
    join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p', 'm')
    join pg_type t on t.oid = a.atttypid
    where c.relnamespace::regnamespace::text = any (${schemas}) and a.attnum > 0 and not a.attisdropped
      and (t.typcategory in ('S', 'A', 'U') or t.typname in ('json', 'jsonb', 'bytea'))
    order by 1, 2`;
}

/** Where any of the texts is, in any letter case: `luma.guests.email: zara@example.com`. */
export async function findTexts(
  admin: postgres.Sql,
  schemas: string[],
  texts: string[],
): Promise<string[]> {
  const found: string[] = [];
  for (const { table, column } of await textColumns(admin, schemas)) {
    const rows = await admin.unsafe(
      `select distinct x from ${table}, unnest($1::text[]) x
       where strpos(lower(${column}::text), lower(x)) > 0 order by 1`,
      [texts],
    );
    found.push(...rows.map(({ x }) => `${table}.${column}: ${x}`));
  }
  return found;
}
