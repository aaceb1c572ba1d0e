/**
 * Deploys the functions with the real CLI to a stand-in of Supabase's management API, and runs exactly what was
 * uploaded: a deployed function has its own files and its import map, and nothing else of this repository.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { cp } from "node:fs/promises";
import { dirname } from "node:path";
import { runSupabaseCli } from "../../scripts/stack/supabase_cli.ts";

const SUPABASE = new URL("../", import.meta.url).pathname;
const PROJECT_REF = "abcdefghijklmnopqrst";

/** Part `metadata` of POST /v1/projects/{ref}/functions/deploy, as far as it is read here. */
interface Metadata {
  entrypoint_path: string;
  import_map_path: string;
  verify_jwt: boolean;
}

interface Upload {
  metadata: Metadata;
  files: File[];
}

/** Keeps what is deployed, by the name of the function. */
function startManagementApi() {
  const uploads = new Map<string, Upload>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const url = new URL(request.url);
      if (!url.pathname.endsWith("/functions/deploy")) return Response.json([]);
      const slug = url.searchParams.get("slug") ?? "";
      const form = await request.formData();
      uploads.set(slug, {
        metadata: JSON.parse(String(form.get("metadata"))),
        files: form.getAll("file").filter((part) => part instanceof File),
      });
      const deployed = {
        id: slug,
        slug,
        name: slug,
        status: "ACTIVE",
        version: 1,
      };
      return Response.json(deployed, { status: 201 });
    },
  );
  return { url: `http://127.0.0.1:${server.addr.port}`, uploads, server };
}

/** Runs `supabase functions deploy` on a copy, because the CLI leaves files of its own in the folder. */
async function deploy(folder: string): Promise<Map<string, Upload>> {
  const project = `${folder}/project`;
  for (const name of ["config.toml", "functions"]) {
    await cp(`${SUPABASE}${name}`, `${project}/supabase/${name}`, {
      recursive: true,
    });
  }
  const api = startManagementApi();
  try {
    const profile = `${folder}/profile.yaml`;
    await Deno.writeTextFile(
      profile,
      `name: stand-in\napi_url: ${api.url}\ndashboard_url: ${api.url}\nproject_host: 127.0.0.1\n`,
    );
    const { code, stdout, stderr } = await runSupabaseCli(
      [
        "functions",
        "deploy",
        "--use-api",
        "--yes",
        `--remote=${PROJECT_REF}`,
        "--profile",
        profile,
      ],
      { cwd: project, env: { SUPABASE_ACCESS_TOKEN: `sbp_${"0".repeat(40)}` } },
    );
    assertEquals(code, 0, `${stdout}\n${stderr}`);
    return api.uploads;
  } finally {
    await api.server.shutdown();
  }
}

/** The folders of functions; those with a leading underscore are shared code. */
async function functionNames(): Promise<string[]> {
  const names = await Array.fromAsync(
    Deno.readDir(`${SUPABASE}functions`),
    ({ isDirectory, name }) =>
      isDirectory && /^[a-z]/.test(name) ? name : undefined,
  );
  return names.filter((name) => name !== undefined).sort();
}

async function unpack({ files }: Upload, folder: string): Promise<void> {
  for (const file of files) {
    const path = `${folder}/${file.name}`;
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeFile(path, await file.bytes());
  }
}

async function check(folder: string, { metadata }: Upload): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "check",
      "--no-lock",
      "--config",
      metadata.import_map_path,
      metadata.entrypoint_path,
    ],
    cwd: folder,
    env: { NO_COLOR: "1" },
  }).output();
  assertEquals(success, true, new TextDecoder().decode(stderr));
}

/** The status that the started function answers to a POST that proves nothing. */
async function statusOfStranger(
  folder: string,
  { metadata }: Upload,
): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-lock",
      "--no-prompt",
      "--allow-net",
      "--allow-env",
      "--allow-read",
      "--config",
      metadata.import_map_path,
      metadata.entrypoint_path,
    ],
    cwd: folder,
    env: {
      NO_COLOR: "1",
      DENO_SERVE_ADDRESS: "tcp:127.0.0.1:0",
      SUPABASE_URL: "http://127.0.0.1:9",
      SUPABASE_SECRET_KEYS: '{"default":"sb_secret_test"}',
      LUMA_SYNC_SECRET: "secret",
      LUMA_BLR_WEBHOOK_SECRET: "whsec_c2VjcmV0",
    },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  try {
    let said = "";
    for await (
      const text of child.stderr.pipeThrough(new TextDecoderStream())
    ) {
      said += text;
      const address = said.match(/Listening on (http:\S+)/)?.[1];
      if (address === undefined) continue;
      const response = await fetch(address, { method: "POST", body: "{}" });
      await response.body?.cancel();
      return response.status;
    }
    throw new Error(`It ended before it listened:\n${said}`);
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
}

Deno.test("the functions run from what `supabase functions deploy` uploads", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "luma-deploy-" });
  try {
    const uploads = await deploy(folder);
    assertEquals([...uploads.keys()].sort(), await functionNames());
    for (const [name, upload] of uploads) {
      await t.step(name, async () => {
        assertEquals(upload.metadata.verify_jwt, false);
        assertMatch(upload.metadata.import_map_path, /functions\/deno\.json$/);
        const unpacked = `${folder}/${name}`;
        await unpack(upload, unpacked);
        await check(unpacked, upload);
        assertEquals(await statusOfStranger(unpacked, upload), 401);
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
