/** What the stack's tests share: a project without the product, and waiting without guessing how long. */

const MIGRATION = `
create extension if not exists pg_net with schema extensions;
create extension if not exists pg_cron;
create extension if not exists supabase_vault with schema vault;
create schema luma;
create table luma.notes (id int primary key, note text);
alter table luma.notes enable row level security;
create function public.luma_hello(name text) returns jsonb
language sql set search_path = ''
as $$ select jsonb_build_object('hello', name, 'role', current_user) $$;
revoke execute on function public.luma_hello(text) from public, anon, authenticated;
grant execute on function public.luma_hello(text) to service_role;
`;

const ECHO = `
Deno.serve(async (request) => {
  const { pathname } = new URL(request.url);
  if (pathname.endsWith("/hang")) await new Promise(() => {});
  console.log("called", pathname);
  return Response.json({ pid: Deno.pid, pathname, env: Deno.env.toObject(), body: await request.text() });
});
`;

export interface TestProject extends AsyncDisposable {
  /** For StackOptions.root. */
  readonly root: string;
}

/** A folder laid out as a checkout: one migration, and the functions echo and broken. */
export async function makeTestProject(
  migration = MIGRATION,
): Promise<TestProject> {
  const root = await Deno.makeTempDir({ prefix: "luma-project-" });
  const checkout = await Deno.realPath(`${import.meta.dirname}/../..`);
  await Deno.symlink(`${checkout}/node_modules`, `${root}/node_modules`);
  const files = {
    "migrations/20260101000000_project.sql": migration,
    "functions/echo/index.ts": ECHO,
    "functions/broken/index.ts": "throw new Error('no settings');",
  };
  for (const [name, text] of Object.entries(files)) {
    const path = `${root}/supabase/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(path, text);
  }
  return {
    root,
    [Symbol.asyncDispose]: () => Deno.remove(root, { recursive: true }),
  };
}

/** Asks again until the answer is neither undefined nor false; fails after `limitMs`. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  limitMs = 15_000,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  while (performance.now() < deadline) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`Not within ${limitMs} ms: ${what}`);
}

/** The pids below `pid`, children of children included. */
export async function descendants(pid: number): Promise<number[]> {
  const { stdout } = await new Deno.Command("ps", {
    args: ["-A", "-o", "pid=,ppid="],
  }).output();
  const rows = new TextDecoder().decode(stdout).trim().split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  const found = [pid];
  for (const parent of found) {
    for (const [child = 0, itsParent] of rows) {
      if (itsParent === parent) found.push(child);
    }
  }
  return found.slice(1);
}

/** Which of `pids` still run; a zombie, dead but not collected by its parent, does not. */
export async function alive(pids: number[]): Promise<number[]> {
  const { stdout } = await new Deno.Command("ps", {
    args: ["-A", "-o", "pid=,stat="],
  }).output();
  const rows = new TextDecoder().decode(stdout).trim().split("\n").map((line) =>
    line.trim()
  );
  const running = rows.filter((row) => !/\sZ/.test(row)).map((row) =>
    Number.parseInt(row)
  );
  return pids.filter((pid) => running.includes(pid));
}
