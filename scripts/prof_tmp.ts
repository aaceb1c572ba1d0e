import { connect } from "./stack/database.ts";
import { benchStack } from "./bench/section.ts";
import { linkedEvents, tidy, users } from "./bench/scene.ts";
import { chooseSide, forget, prepareSides } from "./bench/write_sides.ts";
import { median } from "./bench/rounds.ts";
const args = Deno.args; // variant files: name=path
const options = {
  rounds: 1,
  quick: true,
  say: () => {},
  postgres: "/usr/lib/postgresql/15/bin",
} as never;
await using stack = await benchStack(options);
await linkedEvents(stack.sql, 800);
await users(stack.sql, 300);
await prepareSides(stack);
const what = Deno.env.get("WHAT") ?? "edit";
const N = 1500;
const variants: [string, string | null, string][] = [["none", null, "none"], [
  "ours",
  null,
  "ours",
], ["append", null, "append"]];
for (const a of args) {
  const [n, p] = a.split("=");
  variants.push([n!, await Deno.readTextFile(p!), "ours"]);
}
async function defs() {
  const r = await stack
    .sql`select pg_get_functiondef(p.oid) as d from pg_proc p where p.pronamespace = 'luma'::regnamespace and p.prokind='f'`;
  return r.map((x) => x.d).join(";\n");
}
const original = await defs();
const checks = await stack
  .sql`select conname as n, pg_get_constraintdef(oid) as d from pg_constraint where conrelid = 'luma.sync_outbox'::regclass and contype = 'c'`;
const trig = (await stack
  .sql`select pg_get_triggerdef(oid) as d from pg_trigger where tgname = 'zz_luma_event_updated'`)[
    0
  ]!.d;
const cpu = async (pid: number) =>
  Number((await Deno.readTextFile(`/proc/${pid}/schedstat`)).split(" ")[0]) /
  1000;
const res: Record<string, number[]> = {};
const ids = (await stack
  .sql`select id from public.canonical_events order by id limit 800`).map((
    r,
  ) => r.id);
for (let round = 0; round < Number(Deno.env.get("ROUNDS") ?? 7); round++) {
  for (
    const [name, file, side] of round % 2 ? [...variants].reverse() : variants
  ) {
    await stack.sql.unsafe(original);
    await stack.sql.unsafe(
      "drop trigger zz_luma_event_updated on public.canonical_events; " + trig,
    );
    await stack.sql.unsafe(
      "drop trigger if exists check_row on luma.sync_outbox",
    );
    for (const k of checks) {
      await stack.sql.unsafe(
        `alter table luma.sync_outbox drop constraint if exists ${k.n}; alter table luma.sync_outbox add constraint ${k.n} ${k.d}`,
      );
    }
    if (file) await stack.sql.unsafe(file);
    await chooseSide(stack, side as never);
    await forget(stack);
    if (what === "rsvp") await stack.sql`truncate public.event_rsvps`;
    await tidy(stack.sql);
    const c = connect(stack.postgres.url, { max: 1 });
    const [{ pid }] = await c`select pg_backend_pid() as pid` as never;
    await c`set synchronous_commit = off`;
    const arr =
      "array(select id from public.canonical_events order by id limit 800)";
    const body = (n: number) =>
      what === "edit"
        ? `do $x$ declare ids uuid[] := ${arr}; begin for i in 1..${n} loop update public.canonical_events set title = 'J ' || i || ' ' || ${round}, updated_at = now() where id = ids[1 + (i * 7) % 800]; commit; end loop; end $x$`
        : `do $x$ declare ids uuid[] := ${arr}; begin for i in 1..${n} loop
         insert into public.event_rsvps (event_id, user_id, status) values (ids[1 + (i * 7) % 800], 'u' || (1 + i % 200), (array['interested','going','not_going'])[1 + i % 3]) on conflict (event_id, user_id) do update set status = excluded.status, updated_at = now();
         update public.canonical_events e set current_rsvp_count = (select count(*) from public.event_rsvps r where r.event_id = e.id and r.status = 'going'), updated_at = now() where id = ids[1 + (i * 7) % 800]; commit; end loop; end $x$`;
    await c.unsafe(body(300));
    const at = await cpu(pid);
    await c.unsafe(body(1200));
    (res[name] ??= []).push((await cpu(pid) - at) / (N - 300));
    await c.end();
  }
}
for (const [n, v] of Object.entries(res)) {
  console.log(
    n.padEnd(14),
    median(v).toFixed(1),
    "min",
    Math.min(...v).toFixed(1),
    "over none",
    (median(v) - median(res.none!)).toFixed(1),
    (Math.min(...v) - Math.min(...res.none!)).toFixed(1),
  );
}
