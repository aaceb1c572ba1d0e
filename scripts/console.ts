/** `deno task console`: a page for who runs the sync, on this machine only. */
import type postgres from "postgres";
import { withDatabase } from "./admin/database.ts";
import { type AdminWorld, runTask, shellWorld } from "./admin/flags.ts";
import { createApp } from "./console/app.tsx";
import { newKeys } from "./console/guard.ts";
import { Problem } from "./webhooks/problem.ts";

const HELP = `deno task console [--port <port>]

Serves a page on 127.0.0.1 that shows the sync (what is in step, what waits and why, each event's history with every call
to Luma) and lets you retry, pause, pull, backfill and set the mode. Open the address that it prints; it holds a token
that changes with every start. Ctrl-C ends it; the sync does not need it.

  --port <port>     where it listens. Default 5862; 0 for any that is free
  -e, --env-file <file>  where SUPABASE_DB_URL is read from. Default .env; the environment wins
  --help            this text
`;

/** Pages are read one after another; an action must not wait for them. The project's pooler has few to spare. */
export const POOL = {
  max: 3,
  idle_timeout: 30,
  connection: { application_name: "luma console" },
};

/** Runs the task until `interrupted`; the exit status. */
export function runConsole(
  args: string[],
  world: AdminWorld,
  interrupted: Promise<unknown>,
): Promise<number> {
  const options = { port: { type: "string", default: "5862" } } as const;
  return runTask({ args, help: HELP, options, world }, async (values) => {
    const port = readPort(String(values.port));
    const envFile = String(values["env-file"]);
    return await withDatabase(world.vars, envFile, async (sql) => {
      // What is wrong with the database is better said before the browser is open.
      const [state] = await sql`select luma.mode() as mode`;
      await using served = serveConsole(sql, port, world.err);
      world.out(`The mode is ${state?.mode}. The console is at

  ${served.url}

Ctrl-C ends it.`);
      await interrupted;
      return 0;
    }, POOL);
  });
}

/** Serves the console of this database; disposed of, it ends. Port 0 is any that is free. */
export function serveConsole(
  sql: postgres.Sql,
  port: number,
  err: (text: string) => void,
): AsyncDisposable & { url: string } {
  const keys = newKeys();
  const server = listen(port, (request) => app.fetch(request));
  const { port: given } = server.addr;
  const report = (error: Error) => err(`The console: ${error.stack ?? error}`);
  // The port has to be known first; no request is read before this.
  const app = createApp({ sql, port: given, keys, report });
  return {
    url: `http://127.0.0.1:${given}/?token=${keys.token}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function listen(port: number, handler: Deno.ServeHandler<Deno.NetAddr>) {
  try {
    return Deno.serve(
      { hostname: "127.0.0.1", port, onListen: () => {} },
      handler,
    );
  } catch (error) {
    if (
      !(error instanceof Deno.errors.AddrInUse) &&
      !(error instanceof Deno.errors.PermissionDenied)
    ) throw error;
    throw new Problem(
      `Port ${port} cannot be used (${error.message}): give another one with --port, or 0 for any that is free.`,
    );
  }
}

function readPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (port <= 65_535) return port;
  throw new Problem(`--port is "${text}": give a number from 0 to 65535.`);
}

if (import.meta.main) {
  const interrupted = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, interrupted.resolve);
  }
  // Not only the exit code: pages that are open keep connections, and these the process.
  Deno.exit(await runConsole(Deno.args, shellWorld(), interrupted.promise));
}
