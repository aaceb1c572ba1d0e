import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { LUMA_ROUTES } from "../../supabase/functions/_shared/luma/routes.ts";
import { startSimulator } from "../luma-simulator/mod.ts";
import { judge, record, type Recording } from "./check.ts";
import { at, type JsonObject } from "./json.ts";
import { CAUSED_DELIVERIES } from "./scenario.ts";
import { stageOn } from "./stage.ts";

async function recorded(apiKey?: string): Promise<Recording> {
  const simulator = await startSimulator();
  try {
    const stage = stageOn(simulator);
    return await record({ ...stage, apiKey: apiKey ?? stage.apiKey });
  } finally {
    await simulator.stop();
  }
}

/** A document that allows all that a recording holds. */
function permissive({ exchanges, deliveries }: Recording) {
  const any = { content: { "application/json": { schema: {} } } };
  const paths: { [path: string]: JsonObject } = {};
  for (const { route, query, requestBody } of exchanges) {
    const [method = "", path = ""] = route.split(" ");
    const operation = {
      parameters: [...query.keys()].map((name) => ({
        in: "query",
        name,
        schema: {},
      })),
      responses: { "200": any },
      ...(requestBody !== undefined && { requestBody: any }),
    };
    const before = at(paths, path, method.toLowerCase(), "parameters");
    if (Array.isArray(before)) operation.parameters.push(...before as []);
    paths[path] = { [method.toLowerCase()]: operation };
  }
  const webhooks = Object.fromEntries(
    deliveries.map((body) => [
      String(at(body, "type")),
      { post: { requestBody: any } },
    ]),
  );
  return { openapi: "3.1.0", paths, webhooks } satisfies JsonObject;
}

/** Runs the command; `document` is written to a file and named by --spec. */
async function command(
  args: string[],
  document?: JsonObject,
): Promise<{ code: number; out: string; err: string }> {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(file, JSON.stringify(document ?? {}));
  const spec = document ? ["--spec", file] : [];
  const script = new URL("../contract.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, ...spec, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  await Deno.remove(file);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

Deno.test("the scenario plays to its end on the simulator and uses every method, route and delivery", async () => {
  const { failure, methods, called, exchanges, deliveries } = await recorded();
  assertEquals(failure, null);
  assertEquals([...called].sort(), [...methods].sort());
  assertEquals(
    new Set(exchanges.map((exchange) => exchange.route)),
    new Set<string>(Object.values(LUMA_ROUTES)),
  );
  assertEquals(
    [...new Set(deliveries.map((body) => String(at(body, "type"))))].sort(),
    CAUSED_DELIVERIES,
  );
  const create = exchanges.find((e) => e.route === LUMA_ROUTES.createEvent);
  assertEquals(at(create?.requestBody, "slug"), "contract-run");
  const get = exchanges.find((e) => e.route === LUMA_ROUTES.getEvent);
  assertEquals(get?.query.get("event_id"), at(get?.answerBody, "id"));
});

Deno.test("a document that allows what was seen leaves no finding, and one that knows nothing leaves one for each route and delivery", async () => {
  const recording = await recorded();
  const differing = (document: JsonObject) =>
    judge(document, recording).filter((finding) => finding.differences.length);
  assertEquals(differing(permissive(recording)), []);
  assertEquals(
    differing({ openapi: "3.1.0", paths: {} }).map((finding) => finding.name),
    [
      ...Object.values(LUMA_ROUTES),
      ...CAUSED_DELIVERIES.map((type) => `webhook ${type}`),
    ],
  );
});

Deno.test("a scenario that ends early is a finding, and so is what it left out", async () => {
  const recording = await recorded("another-key");
  const findings = judge(permissive(recording), recording);
  const of = (name: string) => findings.find((f) => f.name === name);
  assertStringIncludes(
    of("the scenario")?.differences[0]?.got ?? "",
    "GET /v1/users/get-self answered 401",
  );
  assertEquals(of("client method uploadImage")?.differences.length, 1);
  const late = of("webhook event.canceled");
  assertEquals(late?.differences.map((d) => d.expected), ["a delivery"]);
});

Deno.test("the command exits 0 when nothing differs and 1 when something does", async () => {
  const document = permissive(await recorded());
  const same = await command([], document);
  assertEquals(same.code, 0, same.err);
  assertStringIncludes(same.out, "differences: 0.");
  const { "/v1/events/get": _removed, ...paths } = document.paths;
  const different = await command([], { ...document, paths });
  assertEquals(different.code, 1, different.err);
  assertStringIncludes(
    different.out,
    "route: expected a documented route, got nothing",
  );
  assertStringIncludes(different.out, "differences: 1.");
});

Deno.test("the command exits 2 and says why when it is called wrongly", async () => {
  const cases: [string[], string][] = [
    [[], "--spec is missing"],
    [["--spec"], "--spec"],
    [["--speck", "a.json"], "--speck"],
    [["--spec", "no/such/file.json"], "no/such/file.json does not exist"],
    [
      ["--spec", new URL("../../deno.json", import.meta.url).pathname],
      "deno.json is not an OpenAPI 3 document",
    ],
  ];
  for (const [args, reason] of cases) {
    const { code, err } = await command(args);
    assertEquals(code, 2, err);
    assertStringIncludes(err, reason);
    assert(!err.includes("    at "), err);
  }
});
