/** `deno task dev`: keeps the local stack up and says where everything is. */
import { startStack } from "./stack/mod.ts";

const HELP = `deno task dev [--postgres <npm|auto|bin folder>]

Starts Postgres, the Data API, the Edge Functions and a simulated Luma, and keeps them until Ctrl-C.
Nothing is kept: every start begins with the migrations and supabase/seed.sql.

  --postgres npm           the Postgres 18 from npm, with a stand-in for pg_cron
  --postgres <bin folder>  an installed Postgres 15 to 18, for example /usr/lib/postgresql/15/bin
  --postgres auto          the default: LUMA_STACK_POSTGRES, else an installed one that has
                           pg_cron, else npm
  --help                   this text
`;

const STATEMENTS = `-- A community event, waiting for approval:
insert into canonical_events
  (canonical_uid, title, description, starts_at, ends_at, tz, lat, lng, location_name,
   source_type, submission_status)
values
  ('community-dev-1', 'Rooftop drum circle', 'Bring a drum.', now() + interval '7 days',
   now() + interval '7 days 2 hours', 'Asia/Kolkata', 12.93, 77.63, 'Koramangala',
   'community', 'pending');

-- Approved, it appears on Luma:
update canonical_events set submission_status = 'approved'
where canonical_uid = 'community-dev-1' returning title;

-- Edited, its Luma event follows:
update canonical_events set title = 'Rooftop drum circle, now with tea', updated_at = now()
where canonical_uid = 'community-dev-1';

-- Somebody asks to come, and is on its guest list (seed-dhruv, who has no e-mail address, is refused):
insert into event_rsvps (event_id, user_id, status)
select id, 'seed-esha', 'interested' from canonical_events where canonical_uid = 'community-dev-1';

-- The host says yes, the guest list follows:
update event_rsvps set status = 'approved'
where user_id = 'seed-esha'
  and event_id = (select id from canonical_events where canonical_uid = 'community-dev-1');

-- What a host or a guest does on the simulated Luma, in its page in the browser, comes back here. And what has
-- become of all that, a few seconds later:
select title, status, note, luma_url from luma.event_status where title like 'Rooftop drum%';
select user_id, rsvp_status, status, luma_status, note from luma.rsvp_status
where title like 'Rooftop drum%';
select type, outcome, title, took from luma.deliveries order by received_at desc limit 10;`;

/** The flags, or an Error that names the one it does not know. */
function readFlags(args: string[]): { help: boolean; postgres: string } {
  const flags = { help: false, postgres: "auto" };
  for (let at = 0; at < args.length; at++) {
    const [flag, value] = (args[at] ?? "").split("=", 2);
    if (flag === "--help" || flag === "-h") {
      flags.help = true;
    } else if (flag === "--postgres") {
      const given = value ?? args[++at];
      if (!given) {
        throw new Error("--postgres needs a value: npm, auto or a bin folder.");
      }
      flags.postgres = given;
    } else {
      throw new Error(
        `Unknown argument "${args[at]}". See: deno task dev --help`,
      );
    }
  }
  return flags;
}

async function main(): Promise<void> {
  const flags = readFlags(Deno.args);
  if (flags.help) return console.log(HELP);
  const interrupted = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, interrupted.resolve);
  }
  const started = performance.now();
  console.log("Starting the stack ...");
  await using stack = await startStack({
    postgres: flags.postgres,
    webhooks: true,
    log: console.log,
  });
  await stack.sql`select luma.set_mode('live')`;
  const { version, pgCron, url } = stack.postgres;
  console.log(`
Up after ${
    ((performance.now() - started) / 1000).toFixed(1)
  } s. The sync's mode is live, towards the simulated Luma.

  Postgres ${version}   psql "${url}"
                  with ${
    pgCron === "real"
      ? "the real pg_cron (before its 1.5 a lost ring or a retry waits for the next minute)"
      : "a stand-in for pg_cron"
  }
  Data API        ${stack.url}/rest/v1
    secret key    ${stack.secretKey}
    publishable   ${stack.publishableKey}
  Functions       ${stack.functionsUrl}/<name>
    x-luma-sync-secret: ${stack.syncSecret}
  Simulated Luma  ${stack.simulator.url}
  Console         SUPABASE_DB_URL="${url}" npx -y deno task console

Statements to try, in psql or any other client:

${STATEMENTS}

Ctrl-C stops everything and removes it.`);
  await interrupted.promise;
  console.log("\nStopping ...");
}

try {
  await main();
  Deno.exit(0);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
