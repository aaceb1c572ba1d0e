/** A guard of the product, how it is taken away, and the test that has to notice. */
export interface Mutation {
  name: string;
  /** What goes wrong without the guard, in a line. */
  guard: string;
  /** A file, or the SQL function or view whose last definition is changed. */
  in: `${string}/${string}` | `luma.${string}` | `public.luma_${string}`;
  /** Text that stands there exactly once. */
  from: string;
  to: string;
  test: NamedTest;
  /** How that test fails, where that is neither an assertion nor a wait that has timed out. */
  failsWith?: RegExp;
}

/** A test by its file, from the repository's root, and its whole name. */
export interface NamedTest {
  file: string;
  name: string;
}

/** A test on the whole stack, by its file's name in supabase/tests. */
export function onStack(file: string, name: string): NamedTest {
  return { file: `supabase/tests/${file}_test.ts`, name };
}

/** A test beside the functions' code, by its file's path there. */
export function ofFunctions(file: string, name: string): NamedTest {
  return { file: `supabase/functions/_shared/${file}_test.ts`, name };
}

/** A file of the checkout and the text it is to have. */
export interface Edit {
  file: string;
  before: string;
  after: string;
}

/** Reads a file of the checkout, by its path from the root. */
export type Read = (file: string) => Promise<string>;

/**
 * What the mutation does to its file. Throws when its text does not stand there exactly once: the code has changed,
 * and the mutation has to follow.
 *
 * @param migrations the paths of all migrations, in their order
 */
export async function editOf(
  mutation: Mutation,
  migrations: readonly string[],
  read: Read,
): Promise<Edit> {
  const { file, before, start, end } = mutation.in.includes("/")
    ? await wholeFile(mutation.in, read)
    : await lastDefinition(mutation.in, migrations, read);
  const place = before.slice(start, end);
  const times = place.split(mutation.from).length - 1;
  if (times !== 1) {
    throw new Error(
      `mutation ${mutation.name}: its text stands ${times} times in ${mutation.in} (${file}), not once`,
    );
  }
  const changed = place.replace(mutation.from, () => mutation.to);
  return {
    file,
    before,
    after: before.slice(0, start) + changed + before.slice(end),
  };
}

interface Place {
  file: string;
  before: string;
  start: number;
  end: number;
}

async function wholeFile(file: string, read: Read): Promise<Place> {
  const before = await read(file);
  return { file, before, start: 0, end: before.length };
}

/** An earlier definition is replaced when the migrations are applied, so changing it would change nothing. */
async function lastDefinition(
  name: string,
  migrations: readonly string[],
  read: Read,
): Promise<Place> {
  const begins = new RegExp(
    `^create (?:or replace )?(?:function|view) ${
      name.replace(".", "\\.")
    }(?=[(\\s])`,
    "gm",
  );
  for (const file of migrations.toReversed()) {
    const before = await read(file);
    const start = [...before.matchAll(begins)].at(-1)?.index;
    if (start === undefined) continue;
    const next =
      /^(?:create |comment on |drop |alter |do \$|select luma\.restrict_access)/gm;
    next.lastIndex = start + 1;
    return {
      file,
      before,
      start,
      end: next.exec(before)?.index ?? before.length,
    };
  }
  throw new Error(`no migration defines ${name}`);
}
