import { connect } from "./stack/database.ts";
import { benchStack } from "./bench/section.ts";
import { linkedEvents, tidy, users } from "./bench/scene.ts";
import { chooseSide, forget, prepareSides } from "./bench/write_sides.ts";
import { median } from "./bench/rounds.ts";
const options = {
  rounds: 1,
  quick: true,
  say: () => {},
  postgres: "/usr/lib/postgresql/15/bin",
} as never;
await using stack = await benchStack(options);
await linkedEvents(stack.sql, 800);
await prepareSides(stack);
await chooseSide(stack, "none");
const cols =
  "submission_status,title,description,starts_at,ends_at,tz,lat,lng,location_raw,location_name,location_type,meeting_point,meeting_url,cover_image_url,visibility,max_capacity,culture,category,is_ticketed,ticket_price,ticket_currency"
    .split(",");
const row = (r: string) =>
  "row(" + cols.map((c) => r + "." + c).join(",") + ")";
const live =
  "(new.submission_status = 'approved' or old.submission_status = 'approved' or new.luma_event_id is not null)";
const F =
  `create or replace function bench.nothing() returns trigger language plpgsql security definer set search_path = '' as $$ begin return null; end $$;
create or replace function bench.plain() returns trigger language plpgsql as $$ begin return null; end $$;
create or replace function bench.compares() returns trigger language plpgsql security definer set search_path = '' as $$ begin if ${
    row("new")
  } is distinct from ${
    row("old")
  } then return null; end if; return null; end $$;
create or replace function bench.compares2() returns trigger language plpgsql as $$ begin if ${
    row("new")
  } is distinct from ${
    row("old")
  } then return null; end if; return null; end $$;
`;
await stack.sql.unsafe(F);
const trig = (when: string, fn: string) =>
  `create trigger zz_x after update on public.canonical_events for each row ${when} execute function bench.${fn}()`;
const variants: Record<string, string> = {
  none: "select 1",
  when_now: trig(
    `when (${live} and (${
      cols.map((c) => `new.${c} is distinct from old.${c}`).join(" or ")
    }))`,
    "nothing",
  ),
  record_ne: trig(
    `when (${live} and record_ne(${row("new")}, ${row("old")}))`,
    "nothing",
  ),
  record_image_ne: trig(
    `when (${live} and record_image_ne(${row("new")}, ${row("old")}))`,
    "nothing",
  ),
  no_when_sd: trig("", "compares"),
  no_when_plain: trig("", "compares2"),
  trivial: trig(
    "when (new.submission_status is distinct from old.submission_status)",
    "plain",
  ),
  statement:
    `create trigger zz_x after update on public.canonical_events for each statement execute function bench.plain()`,
};
const ids =
  "array(select id from public.canonical_events order by id limit 800)";
const cpu = async (pid: number) =>
  Number((await Deno.readTextFile(`/proc/${pid}/schedstat`)).split(" ")[0]) /
  1000;
for (
  const [label, set] of [[
    "single unsynced",
    "updated_at = now(), current_rsvp_count = i",
  ], ["single synced", "title = 'J ' || i"]]
) {
  const res: Record<string, number[]> = {};
  for (let round = 0; round < 7; round++) {
    for (const [name, v] of Object.entries(variants)) {
      await stack.sql.unsafe(v);
      await tidy(stack.sql);
      const c = connect(stack.postgres.url, { max: 1 });
      const [{ pid }] = await c`select pg_backend_pid() as pid` as never;
      await c`set synchronous_commit = off`;
      const body = (n: number) =>
        `do $x$ declare ids uuid[] := ${ids}; begin for i in 1..${n} loop update public.canonical_events set ${set} where id = ids[1 + i % 800]; end loop; end $x$`;
      await c.unsafe(body(300));
      const at = await cpu(pid);
      await c.unsafe(body(2000));
      (res[name] ??= []).push((await cpu(pid) - at) / 2000);
      await c.end();
      await stack.sql`drop trigger if exists zz_x on public.canonical_events`;
    }
  }
  console.log(label);
  for (const [n, v] of Object.entries(res)) {
    console.log(
      " ",
      n.padEnd(16),
      median(v).toFixed(1),
      "min",
      Math.min(...v).toFixed(1),
      "over",
      (Math.min(...v) - Math.min(...res.none!)).toFixed(1),
    );
  }
}
const res: Record<string, number[]> = {};
for (let round = 0; round < 7; round++) {
  for (const [name, v] of Object.entries(variants)) {
    await stack.sql.unsafe(v);
    await tidy(stack.sql);
    const c = connect(stack.postgres.url, { max: 1 });
    const [{ pid }] = await c`select pg_backend_pid() as pid` as never;
    await c`set synchronous_commit = off`;
    const at = await cpu(pid);
    for (let k = 0; k < 5; k++) {
      await c.unsafe("update public.canonical_events set updated_at = now()");
    }
    (res[name] ??= []).push((await cpu(pid) - at) / 4000);
    await c.end();
    await stack.sql`drop trigger if exists zz_x on public.canonical_events`;
  }
}
console.log("bulk unsynced, us a row");
for (const [n, v] of Object.entries(res)) {
  console.log(
    " ",
    n.padEnd(16),
    median(v).toFixed(1),
    "min",
    Math.min(...v).toFixed(1),
    "over",
    (Math.min(...v) - Math.min(...res.none!)).toFixed(1),
  );
}
