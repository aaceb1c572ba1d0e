import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { refuse, runInBackground, sameSecret } from "./http.ts";

function request(method: string, secret?: string): Request {
  const headers = new Headers();
  if (secret !== undefined) headers.set("x-luma-sync-secret", secret);
  return new Request("http://127.0.0.1/functions/v1/luma-drain", {
    method,
    headers,
  });
}

Deno.test("a POST with the secret passes", () => {
  assertEquals(refuse(request("POST", "s3cret"), "s3cret"), null);
});

Deno.test("without the right secret the answer is 401 and names the header and its setting", async () => {
  for (const secret of [undefined, "", "s3cre", "s3creT", "s3cret2"]) {
    const response = refuse(request("POST", secret), "s3cret");
    assertEquals(response?.status, 401);
    const { error } = await response!.json();
    assertStringIncludes(error, "x-luma-sync-secret");
    assertStringIncludes(error, "LUMA_SYNC_SECRET");
    assert(!error.includes("s3cret"));
  }
});

Deno.test("a stranger does not learn which methods there are: 401 comes before 405", () => {
  assertEquals(refuse(request("GET"), "s3cret")?.status, 401);
  assertEquals(refuse(request("GET", "s3cret"), "s3cret")?.status, 405);
  assertEquals(refuse(request("PUT", "s3cret"), "s3cret")?.status, 405);
});

Deno.test("a secret that is not set matches nothing", () => {
  assertEquals(sameSecret("", ""), false);
  assertEquals(sameSecret(null, ""), false);
  assertEquals(refuse(request("POST", ""), "")?.status, 401);
});

Deno.test("secrets are compared as bytes, whatever their lengths", () => {
  assertEquals(sameSecret("ä", "ä"), true);
  assertEquals(sameSecret("ä", "ab"), false);
  assertEquals(sameSecret("a", "ab"), false);
  assertEquals(sameSecret("abc", "ab"), false);
  assertEquals(sameSecret(null, "ab"), false);
});

Deno.test("work in the background is told to the platform where there is one", () => {
  const work = Promise.resolve();
  runInBackground(work);
  const told: unknown[] = [];
  const runtime = { waitUntil: (promise: unknown) => told.push(promise) };
  Object.assign(globalThis, { EdgeRuntime: runtime });
  try {
    runInBackground(work);
  } finally {
    Reflect.deleteProperty(globalThis, "EdgeRuntime");
  }
  assertEquals(told, [work]);
});
