/** `deno task setup` with the real Supabase CLI on a stand-in of the management API: what it is told must arrive. */
import { assertEquals } from "@std/assert";
import { cp } from "node:fs/promises";
import { askFunctions, FUNCTIONS, secretsAmiss } from "./project/functions.ts";
import { readProject } from "./project/settings.ts";
import { hostedTest, REF, ROOT } from "./setup/testing.ts";
import type { Stack } from "./stack/mod.ts";
import { runSupabaseCli } from "./stack/supabase_cli.ts";

/** What the CLI calls for secrets and deploys, with its effects on the stack. */
function startManagementApi(stack: Stack) {
  const deployed: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname, searchParams } = new URL(request.url);
      if (pathname === `/v1/projects/${REF}/functions/deploy`) {
        await request.body?.cancel();
        const slug = searchParams.get("slug") ?? "";
        deployed.push(slug);
        stack.functions.start();
        const answer = {
          id: slug,
          slug,
          name: slug,
          status: "ACTIVE",
          version: 1,
        };
        return Response.json(answer, { status: 201 });
      }
      if (
        pathname === `/v1/projects/${REF}/secrets` && request.method === "POST"
      ) {
        const secrets: { name: string; value: string }[] = await request.json();
        await stack.functions.setEnv(
          Object.fromEntries(secrets.map(({ name, value }) => [name, value])),
        );
        return new Response(null, { status: 201 });
      }
      await request.body?.cancel();
      return Response.json([]);
    },
  );
  return { url: `http://127.0.0.1:${server.addr.port}`, deployed, server };
}

hostedTest(
  "the real CLI brings every secret as it is, and deploys the three functions",
  async ({ stack, setup, setEnv, cli, envFile }) => {
    // A copy, because the CLI leaves files of its own in the folder.
    const folder = await Deno.makeTempDir();
    const api = startManagementApi(stack);
    try {
      for (const name of ["config.toml", "functions"]) {
        await cp(`${ROOT}/supabase/${name}`, `${folder}/supabase/${name}`, {
          recursive: true,
        });
      }
      const profile = `${folder}/profile.yaml`;
      await Deno.writeTextFile(
        profile,
        `name: stand-in\napi_url: ${api.url}\ndashboard_url: ${api.url}\nproject_host: 127.0.0.1\n`,
      );
      const env = { SUPABASE_ACCESS_TOKEN: `sbp_${"0".repeat(40)}` };
      await setEnv("LUMA_SYNC_SECRET", "a$b#c%d`e\\f");
      await setEnv("COVER_ALLOWED_HOSTS", "*.img.example, cdn.example");
      const { code, said } = await setup(["--yes"], {
        runCli: (args) =>
          args[0] === "db" || args[0] === "--version"
            ? cli(args)
            : runSupabaseCli([...args, "--profile", profile], {
              cwd: folder,
              env,
            }),
      });
      assertEquals(code, 0, said);
      assertEquals(api.deployed.sort(), [...FUNCTIONS]);
      const settings = await readProject({}, envFile);
      for (const { told, problem } of await askFunctions(settings, fetch)) {
        assertEquals(problem, "");
        assertEquals(secretsAmiss(told!, settings), {
          differing: [],
          unknown: [],
        });
      }
    } finally {
      await api.server.shutdown();
      await Deno.remove(folder, { recursive: true });
    }
  },
  { migrate: true },
);
