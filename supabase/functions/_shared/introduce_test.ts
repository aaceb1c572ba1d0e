import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { introduce } from "./http.ts";
import {
  fingerprint,
  introduction,
  isSetting,
  settingsIn,
} from "./introduce.ts";

const VARS = {
  LUMA_BLR_API_KEY: " key-1 ",
  LUMA_BLR_WEBHOOK_SECRET: "whsec_1,whsec_2",
  LUMA_ZO_EVENTS_API_KEY: "",
  LUMA_API_URL: "https://luma.test",
  LUMA_SYNC_SECRET: "s3cret",
  LUMA_RELEASE: "0123456789ab",
  SUPABASE_SECRET_KEYS: '{"default":"sb_secret_1"}',
  PATH: "/bin",
};

Deno.test("a function tells its name, release, time, and a fingerprint of each setting", () => {
  const now = new Date("2026-12-01T12:00:00Z");
  const told = introduction("luma-drain", VARS, "s3cret", now);
  assertEquals(told, {
    name: "luma-drain",
    release: "0123456789ab",
    time: "2026-12-01T12:00:00.000Z",
    secrets: {
      LUMA_API_URL: fingerprint("https://luma.test", "s3cret"),
      LUMA_BLR_API_KEY: fingerprint("key-1", "s3cret"),
      LUMA_BLR_WEBHOOK_SECRET: fingerprint("whsec_1,whsec_2", "s3cret"),
    },
  });
  for (const secret of ["key-1", "whsec_", "s3cret", "sb_secret"]) {
    assert(!JSON.stringify(told).includes(secret));
  }
  assertEquals(introduction("luma-pull", {}, "s3cret", now).release, null);
});

Deno.test("a fingerprint is 12 hex digits of HMAC-SHA256 under the sync secret", () => {
  // RFC 4231, test case 2.
  assertEquals(
    fingerprint("what do ya want for nothing?", "Jefe"),
    "5bdcc146bf60",
  );
  assertNotEquals(fingerprint("key", "a"), fingerprint("key", "b"));
});

Deno.test("settings are the functions' own variables, trimmed, without the empty ones", () => {
  assertEquals([...settingsIn(VARS).keys()], [
    "LUMA_API_URL",
    "LUMA_BLR_API_KEY",
    "LUMA_BLR_WEBHOOK_SECRET",
  ]);
  assertEquals(settingsIn(VARS).get("LUMA_BLR_API_KEY"), "key-1");
  for (
    const name of ["LUMA_SYNC_SECRET", "LUMA_FUNCTIONS_URL", "SUPABASE_DB_URL"]
  ) {
    assertEquals(isSetting(name), false, name);
  }
});

Deno.test("only a GET ?about=1 with the sync secret is answered so; with another one it is refused", async () => {
  const answer = (
    method: string,
    secret?: string,
    syncSecret = "s3cret",
    query = "?about=1",
  ) =>
    introduce(
      "luma-drain",
      new Request(`http://127.0.0.1/luma-drain${query}`, {
        method,
        headers: secret === undefined ? {} : { "x-luma-sync-secret": secret },
      }),
      VARS,
      syncSecret,
    );
  assertEquals((await answer("GET", "s3cret")?.json()).name, "luma-drain");
  for (const [secret, syncSecret] of [["other", "s3cret"], ["", ""]]) {
    assertEquals(answer("GET", secret, syncSecret)?.status, 401);
  }
  assertEquals(answer("GET"), null);
  assertEquals(answer("GET", "s3cret", "s3cret", ""), null);
  assertEquals(answer("POST", "s3cret"), null);
});
