import { assertEquals, assertRejects } from "@std/assert";
import { DocumentError, readDocument } from "./document.ts";

/** The message of the error that a document with this text ends in. */
async function refusal(text: string): Promise<string> {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(path, text);
    const error = await assertRejects(() => readDocument(path), DocumentError);
    return error.message.replace(path, "FILE");
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("a document that is not one is refused with its name and the reason", async () => {
  assertEquals(await refusal("openapi: 3.1.0"), "FILE is not JSON");
  const reason =
    'FILE is not an OpenAPI 3 document: it needs "openapi": "3.x" and "paths"';
  assertEquals(await refusal("{}"), reason);
  assertEquals(await refusal('{"swagger":"2.0","paths":{}}'), reason);
  assertEquals(await refusal('{"openapi":"3.1.0"}'), reason);
  await assertRejects(
    () => readDocument("no/such/file.json"),
    DocumentError,
    "no/such/file.json does not exist",
  );
});

Deno.test("a document is read from an address, and an address without one is named", async () => {
  const document = { openapi: "3.1.0", paths: {} };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) =>
      request.url.endsWith("/openapi.json")
        ? Response.json(document)
        : new Response("gone", { status: 404 }),
  );
  const base = `http://127.0.0.1:${server.addr.port}`;
  assertEquals(await readDocument(`${base}/openapi.json`), document);
  await assertRejects(
    () => readDocument(`${base}/other`),
    DocumentError,
    `${base}/other answered 404`,
  );
  await server.shutdown();
  await assertRejects(
    () => readDocument(`${base}/openapi.json`),
    DocumentError,
    "cannot be reached",
  );
});
