/** How the sync itself is. */
import { type Check, failure, ok, warning } from "./check.ts";

/** What is due and has not been taken for so long. A rate limit may hold it for a minute. */
const SLOW_SECONDS = 120;
const STUCK_SECONDS = 900;

export const syncChecks: readonly Check[] = [
  {
    id: "mode",
    needs: ["migrations"],
    async look({ sql }) {
      const [row] = await sql()`select luma.mode() as mode`;
      return row?.mode === "live" ? ok("live") : warning(
        `${row?.mode}: nothing is sent to Luma`,
        "select luma.set_mode('live');",
      );
    },
  },
  {
    id: "calendars",
    needs: ["migrations"],
    async look({ sql }) {
      const rows = await sql()`
        select c.luma_key as name, s.problem, s.paused_until > now() as is_paused, s.paused_by, luma.is_deaf(c.luma_key) as is_deaf
        from public.calendars c left join luma.calendar_state s on s.luma_key = c.luma_key
        where c.luma_key is not null order by 1`;
      const bad = rows.filter(({ problem }) => problem);
      if (bad.length > 0) {
        return failure(
          bad.map(({ name, problem }) => `${name}: ${problem}`).join(" "),
          bad.map(({ name }) => `select luma.resume('${name}');`).join(" "),
        );
      }
      const paused = rows.filter(({ is_paused }) => is_paused);
      if (paused.length > 0) {
        return warning(
          paused.map(({ name, paused_by }) =>
            `${name} is paused by ${paused_by}`
          )
            .join(", "),
          paused.map(({ name }) => `select luma.resume('${name}');`).join(" "),
        );
      }
      const deaf = rows.filter(({ is_deaf }) => is_deaf);
      return deaf.length === 0
        ? ok(rows.map(({ name }) => name).join(", "))
        : warning(
          `webhooks were missed of ${deaf.map(({ name }) => name).join(", ")}`,
          "Mend what the checks of webhooks name. Until one comes again, Luma is read before anything is sent.",
        );
    },
  },
  {
    id: "drain",
    needs: ["migrations"],
    async look({ sql }) {
      const [row] = await sql()`
        select coalesce(luma.drain_problem(), luma.pull_problem()) as problem`;
      return row?.problem
        ? failure(
          row.problem,
          "See the checks of the Vault and the functions, and the functions' logs in the dashboard.",
        )
        : ok("luma-drain and luma-pull start when they are rung for");
    },
  },
  {
    id: "queue",
    needs: ["migrations"],
    async look({ sql }) {
      const [row] = await sql()`
        select count(*)::int as due, extract(epoch from now() - min(due_at))::int as seconds
        from luma.due_jobs where luma.calendar_ready(calendar)`;
      const seconds = row?.seconds ?? 0;
      const found = row?.due === 0
        ? "nothing is due"
        : `${row?.due} due, the oldest since ${seconds} s`;
      const fix =
        "See the checks above. If they are ok, it is the rate limit: luma.health, and luma.stop_backfill() while a backfill runs.";
      if (seconds > STUCK_SECONDS) return failure(found, fix);
      return seconds > SLOW_SECONDS ? warning(found, fix) : ok(found);
    },
  },
  {
    id: "dead-letters",
    needs: ["migrations"],
    async look({ sql }) {
      const [row] =
        await sql()`select count(*)::int as count from luma.dead_letters`;
      return row?.count === 0 ? ok("none") : warning(
        `${row?.count} given up`,
        "select * from luma.dead_letters; says why, and the statement that tries each again.",
      );
    },
  },
  {
    id: "missed-changes",
    needs: ["migrations"],
    async look({ sql }) {
      const [row] = await sql()`
        select count(*)::int as count, min(error) as error, min(missed_at) < now() - interval '15 minutes' as is_old
        from luma.missed_changes`;
      if (row?.count === 0) return ok("none");
      const found = `${row?.count} changes were not enqueued: ${row?.error}`;
      // The sweep, every five minutes, makes good for them.
      return row?.is_old
        ? failure(
          found,
          "See jobs-run; select luma.sweep(); says what is wrong.",
        )
        : warning(
          found,
          "The sweep enqueues them within five minutes: look again.",
        );
    },
  },
  {
    id: "rate-budget",
    needs: ["migrations"],
    async look({ sql }) {
      const rows = await sql()`
        select c.luma_key as name, luma.permits_free(c.luma_key) as calls from public.calendars c
        where c.luma_key is not null order by 1`;
      const found = rows.map(({ name, calls }) => `${name} ${calls}`).join(
        ", ",
      );
      return rows.every(({ calls }) => calls > 0)
        ? ok(`calls left this minute: ${found}`)
        : warning(
          `calls left this minute: ${found}`,
          "Nothing, if a backfill or many RSVPs are under way: what waits is sent as calls get free.",
        );
    },
  },
];
