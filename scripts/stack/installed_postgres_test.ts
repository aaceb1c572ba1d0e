import { assertEquals } from "@std/assert";
import { startStack } from "./mod.ts";
import { debianWithPgCron } from "./postgres_binaries.ts";
import { eventually, makeTestProject } from "./test_project.ts";

const found = await debianWithPgCron();
const skipped =
  "skipped: no /usr/lib/postgresql/<15 to 18> with pg_cron; on Debian: apt-get install postgresql-15-cron";

async function listing(folder: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name))
    .sort();
}

Deno.test({
  name: `the real pg_cron of an installed Postgres ${
    found ? found.version : `(${skipped})`
  }`,
  ignore: found === undefined,
  fn: async (t) => {
    if (!found?.installed) return;
    const share = `${found.installed.share}/extension`;
    const before = await listing(share);
    await using project = await makeTestProject();
    await using stack = await startStack({
      root: project.root,
      postgres: found.bin,
      simulator: false,
    });
    const { sql } = stack;

    await t.step("is what the migration's own statement installs", async () => {
      assertEquals([stack.postgres.pgCron, stack.postgres.version], [
        "real",
        found.version,
      ]);
      const [scheduler] = await sql`
        select count(*)::int from pg_stat_activity where backend_type = 'pg_cron launcher'
          or application_name = 'pg_cron scheduler'`;
      assertEquals(scheduler?.count, 1);
      assertEquals(
        await listing(share),
        before,
        "files of the installed Postgres",
      );
    });

    await t.step(
      "is called by postgres, who may not write its table, as on hosted Supabase",
      async () => {
        await sql`select cron.schedule('each-minute', '* * * * *', 'select 1')`;
        const [may] = await sql`
        select has_table_privilege('cron.job', 'select') as read, has_table_privilege('cron.job', 'update') as write`;
        assertEquals({ ...may }, { read: true, write: false });
        await stack.cron.pause();
        const [held] =
          await sql`select active from cron.job where jobname = 'each-minute'`;
        assertEquals(held?.active, false);
        await stack.cron.resume();
      },
    );

    await t.step("runs the job at the next minute", async () => {
      const run = await eventually("a run of the job", async () => {
        const [row] =
          await sql`select status, return_message from cron.job_run_details where end_time is not null`;
        return row;
      }, 65_000);
      assertEquals({ ...run }, {
        status: "succeeded",
        return_message: "SELECT 1",
      });
    });

    await t.step("has the stand-in of pg_net beside it", async () => {
      const [row] = await sql`select net.http_get(${
        stack.functionsUrl + "/echo"
      }) as id`;
      const status = await eventually("an answer", async () => {
        const [response] =
          await sql`select status_code from net._http_response where id = ${row?.id}`;
        return response?.status_code as number | undefined;
      });
      assertEquals(status, 200);
    });
  },
});
