/** The real stack, live, with a Data API that is as fast as its database, and events that Luma has. */
import { type Stack, type StackOptions, startStack } from "../stack/mod.ts";
import { startRpcServer } from "./rpc_server.ts";
import { goLive } from "./scene.ts";

export interface Live extends AsyncDisposable {
  readonly stack: Stack;
  /** SUPABASE_URL of the functions. */
  readonly dataApi: string;
}

/** As in production, but for scheduled pulls, which nothing here waits for. */
export async function liveStack(
  postgres: string | undefined,
  options: StackOptions = {},
): Promise<Live> {
  const rpc = startRpcServer();
  try {
    const stack = await startStack({
      postgres,
      seed: false,
      settings: { fsync: "on", full_page_writes: "on" },
      ...options,
      env: { SUPABASE_URL: rpc.url },
    });
    rpc.connect(stack.postgres.adminUrl);
    await goLive(stack.sql);
    return {
      stack,
      dataApi: rpc.url,
      async [Symbol.asyncDispose]() {
        await stack.functions.stop();
        await rpc[Symbol.asyncDispose]();
        await stack.stop();
      },
    };
  } catch (error) {
    await rpc[Symbol.asyncDispose]();
    throw error;
  }
}

/** Inserts approved events, half of them on each calendar, so that all begin to be sent. */
export async function approve({ sql }: Stack, count: number): Promise<void> {
  await sql`
    insert into public.canonical_events (
      canonical_uid, title, starts_at, ends_at, lat, lng, location_name, source_type, submission_status
    )
    select 'community-u1-' || gen_random_uuid(), 'Rooftop Jam ' || n, now() + interval '7 days', now() + interval '7 days 3 hours',
      -- Bangalore's calendar, and the other one's.
      case when n % 2 = 0 then 12.97 else 28.61 end, case when n % 2 = 0 then 77.59 else 77.21 end, 'Zo House', 'community', 'approved'
    from generate_series(1, ${count}::int) n`;
}

/** Waits until Luma has everything; throws when something was refused. */
export async function settled({ sql }: Stack): Promise<void> {
  for (;;) {
    const [left] = await sql`
      select (select count(*) from luma.sync_outbox where version > done_version)
        + (select count(*) from luma.rechecks)
        + (select count(*) from luma.drain_runs where ended_at is null and alive_until > now()) as jobs,
        (select count(*) from luma.sync_outbox where dead_at is not null) as dead`;
    if (Number(left!.dead) > 0) {
      throw new Error(`${left!.dead} jobs were refused.`);
    }
    if (Number(left!.jobs) === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
