import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type postgres from "postgres";
import { parseSchedule } from "./cron_schedule.ts";
import { type Stack, startStack } from "./mod.ts";
import { startPgCron } from "./pg_cron.ts";
import { eventually, makeTestProject } from "./test_project.ts";

interface Run {
  runid: string;
  status: string;
  return_message: string | null;
  username: string;
  job_pid: number | null;
  start_time: Date;
  end_time: Date | null;
}

function endedRuns(
  sql: postgres.Sql,
  jobname: string,
  count: number,
): Promise<Run[]> {
  return eventually(`${count} ended runs of ${jobname}`, async () => {
    const runs = await sql<Run[]>`
      select details.* from cron.job_run_details as details join cron.job using (jobid)
      where jobname = ${jobname} and end_time is not null order by runid`;
    return runs.length >= count && runs;
  });
}

async function withStack(test: (stack: Stack) => Promise<void>): Promise<void> {
  await using project = await makeTestProject();
  await using stack = await startStack({
    root: project.root,
    postgres: "npm",
    dataApi: false,
    simulator: false,
  });
  await test(stack);
}

Deno.test("the pg_cron stand-in", async (t) => {
  await withStack(async ({ sql, admin, cron, postgres }) => {
    await t.step(
      "runs an interval job as its user and records each run",
      async () => {
        await sql`create table luma.ticks (at timestamptz default now(), who text default current_user)`;
        await sql`select cron.schedule('tick', '1 second', 'insert into luma.ticks default values')`;
        const [run] = await endedRuns(sql, "tick", 2);
        assertEquals(run?.status, "succeeded");
        assertEquals(run?.return_message, "INSERT 1");
        assertEquals(run?.username, "postgres");
        assert(run?.job_pid);
        const [tick] = await sql`select who from luma.ticks`;
        assertEquals(tick?.who, "postgres");
      },
    );

    await t.step("records a failure with its message", async () => {
      await sql`select cron.schedule('fails', '1 second', 'select 1/0')`;
      const [run] = await endedRuns(sql, "fails", 1);
      assertEquals([run?.status, run?.return_message], [
        "failed",
        "ERROR:  division by zero",
      ]);
      await sql`select cron.unschedule('fails')`;
    });

    await t.step("never runs a job twice at once", async () => {
      await sql`select cron.schedule('slow', '1 second', 'select pg_sleep(1.4)')`;
      const [first, second] = await endedRuns(sql, "slow", 2);
      assert(first?.end_time && second && second.start_time >= first.end_time);
      await sql`select cron.unschedule('slow')`;
    });

    await t.step(
      "updates the job of that name, and raises for a job that is not there",
      async () => {
        const [first] =
          await sql`select cron.schedule('named', '* * * * *', 'select 1') as id`;
        const [second] =
          await sql`select cron.schedule('named', '5 4 * * *', 'select 2') as id`;
        assertEquals(first?.id, second?.id);
        await sql`select cron.alter_job(${first?.id}, active := false)`;
        const [job] =
          await sql`select schedule, command, active from cron.job where jobname = 'named'`;
        assertEquals({ ...job }, {
          schedule: "5 4 * * *",
          command: "select 2",
          active: false,
        });
        const [gone] = await sql`select cron.unschedule('named') as done`;
        assertEquals(gone?.done, true);
        await assertRejects(
          () => Promise.resolve(sql`select cron.unschedule('named')`),
          Error,
          "could not find valid entry for job 'named'",
        );
      },
    );

    await t.step(
      "refuses a schedule that is none, and direct writes by postgres",
      async () => {
        for (
          const schedule of [
            "60 seconds",
            "0 seconds",
            "61 * * * *",
            "* * * *",
            "whenever",
            "* 24 * * *",
          ]
        ) {
          await assertRejects(
            () =>
              Promise.resolve(
                sql`select cron.schedule('bad', ${schedule}, 'select 1')`,
              ),
            Error,
            `invalid schedule: ${schedule}`,
          );
        }
        for (
          const schedule of [
            "59 seconds",
            "*/5 8-18,22 $ jan mon-fri",
            "0 0 1,15 * 7",
          ]
        ) {
          await sql`select cron.schedule('good', ${schedule}, 'select 1')`;
        }
        await sql`select cron.unschedule('good')`;
        await assertRejects(
          () => Promise.resolve(sql`update cron.job set active = false`),
          Error,
          "permission denied for table job",
        );
      },
    );

    await t.step("runs nothing while paused", async () => {
      await cron.pause();
      const count = async () =>
        Number((await sql`select count(*) from luma.ticks`)[0]?.count);
      // A run that was under way may still end.
      await eventually("quiet", async () => {
        const [running] =
          await sql`select count(*)::int from cron.job_run_details where end_time is null`;
        return running?.count === 0;
      });
      const before = await count();
      await assertRejects(() =>
        eventually("another run", async () => await count() > before, 1500)
      );
      await cron.resume();
      await eventually("runs again", async () => await count() > before);
      await sql`select cron.unschedule('tick')`;
    });

    await t.step(
      "runs a five-field job once in each minute that it names",
      async () => {
        await cron.pause();
        await sql`select cron.schedule('even', '*/2 * * * *', 'select 1')`;
        let clock = Date.UTC(2026, 0, 1, 12, 1, 30);
        const other = await startPgCron(
          postgres.adminUrl,
          (line) => console.error(line),
          () => clock,
        );
        try {
          const job = async () =>
            (await admin<{ count: number }[]>`
          select count(*)::int from cron.job_run_details as details join cron.job using (jobid)
          where jobname = 'even'`)[0]?.count;
          clock += 30_000;
          await endedRuns(sql, "even", 1);
          clock += 30_000;
          await assertRejects(() =>
            eventually("a second run", async () => await job() === 2, 1500)
          );
          clock += 30_000;
          await assertRejects(() =>
            eventually("a run at 12:03", async () => await job() === 2, 1500)
          );
          clock += 60_000;
          await endedRuns(sql, "even", 2);
        } finally {
          await other.stop();
        }
      },
    );
  });
});

Deno.test("a five-field schedule is read in UTC, and $ is the last day of the month", () => {
  const isDue = (schedule: string, minute: string) => {
    const parsed = parseSchedule(schedule);
    return parsed.kind === "cron" && parsed.isDue(new Date(minute));
  };
  assertEquals(isDue("30 4 * * *", "2026-02-03T04:30:00Z"), true);
  assertEquals(isDue("30 4 * * *", "2026-02-03T05:30:00Z"), false);
  assertEquals(isDue("0 0 $ * *", "2026-02-28T00:00:00Z"), true);
  assertEquals(isDue("0 0 $ * *", "2026-02-27T00:00:00Z"), false);
  // Day of month and day of week: one of the two is enough, as in every cron.
  assertEquals(isDue("0 0 13 * 5", "2026-02-06T00:00:00Z"), true);
  assertEquals(isDue("0 0 13 * 5", "2026-02-07T00:00:00Z"), false);
});

Deno.test("an interval is seconds", () => {
  assertEquals(parseSchedule("10 seconds"), { kind: "interval", seconds: 10 });
  assertThrows(() => parseSchedule("now and then"));
});
