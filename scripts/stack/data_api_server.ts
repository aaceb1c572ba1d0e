/**
 * The Data API's process: @supabase/lite in front of the stack's Postgres, connected as `authenticator`
 * like the hosted one. Reads JSON {databaseUrl, port, secretKey, publishableKey, jwtSecret} from its
 * standard input, which comes when the database is ready.
 */
import "./closed_sockets.ts";
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

const connection = new PostgresConnection({
  url: databaseUrl,
  postgresOptions: { max: 10 },
});
// Else, on finding row level security anywhere, the connection grants anon and authenticated every
// table of that schema (ensureRlsContext): hosted Supabase does not, and without the rights to do so
// the first call fails.
Reflect.set(connection, "rlsState", "active");
const app = new App({
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
// As PostgREST does: the schema is read once, and again when a change of it is announced.
await connection.driver.listen(
  "pgrst",
  () => void connection.clearSchemaCache(),
);
Deno.serve({ hostname: "127.0.0.1", port }, (request) => app.fetch(request));
