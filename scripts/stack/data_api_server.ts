/**
 * The Data API's process: @supabase/lite in front of the stack's Postgres, connected as `authenticator`
 * like the hosted one. Reads JSON {databaseUrl, port, secretKey, publishableKey, jwtSecret} from its
 * standard input, which comes when the database is ready.
 */
import { RECONNECTING } from "./closed_sockets.ts";
import { App } from "@supabase/lite";
import { PostgresConnection } from "@supabase/lite/postgres";

const { databaseUrl, port, secretKey, publishableKey, jwtSecret }: {
  databaseUrl: string;
  port: number;
  secretKey: string;
  publishableKey: string;
  jwtSecret: string;
} = await new Response(Deno.stdin.readable).json();

const roles: Record<string, { type: "secret" | "publishable"; role: string }> =
  {
    [secretKey]: { type: "secret", role: "service_role" },
    [publishableKey]: { type: "publishable", role: "anon" },
  };

// @supabase/lite tells a request that its connection is gone, and rejects a promise that nobody holds as well.
globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  console.error(event.reason);
});

/** What answers, until a connection is lost. */
let serving: Promise<App> | null = null;
const current = () => serving ??= serve();

/**
 * Connects, and begins anew when a connection was lost: as PostgREST, this is back when the database is. postgres.js may
 * never settle what a crash has cut off, and the pool would be without that connection from then on.
 */
async function serve(): Promise<App> {
  let isLost = false;
  const lose = () => {
    if (isLost) return;
    isLost = true;
    serving = null;
    // What is under way elsewhere has as long as a statement may take.
    connection.driver.end({ timeout: 10 });
  };
  const connection = new PostgresConnection({
    url: databaseUrl,
    postgresOptions: { max: 10, onclose: lose, ...RECONNECTING },
  });
  // Else, on finding row level security anywhere, the connection grants anon and authenticated every
  // table of that schema (ensureRlsContext): hosted Supabase does not, and without the rights to do so
  // the first call fails.
  Reflect.set(connection, "rlsState", "active");
  try {
    // As PostgREST does: the schema is read once, and again when a change of it is announced.
    await connection.driver.listen(
      "pgrst",
      () => void connection.clearSchemaCache(),
    );
  } catch (error) {
    lose();
    throw error;
  }
  return new App({
    connection,
    // Users prove themselves with a token signed with it, beside the publishable key.
    auth: { jwt_secret: jwtSecret },
    options: {
      server: {
        disableStudio: true,
        disableFallback: true,
        apiKeys: {
          resolver: (key) => {
            const known = roles[key];
            return Promise.resolve(
              known ? { type: known.type, claims: { role: known.role } } : null,
            );
          },
        },
      },
    },
  });
}

async function answer(request: Request): Promise<Response> {
  let app: App;
  try {
    app = await current();
  } catch (error) {
    return Response.json(
      { message: `The database does not answer: ${error}` },
      {
        status: 503,
      },
    );
  }
  return await app.fetch(request);
}

await current();
Deno.serve({ hostname: "127.0.0.1", port }, answer);
