import { assert, assertEquals, assertThrows } from "@std/assert";
import { EnvError, readEnv } from "./env.ts";

const VARS = {
  SUPABASE_URL: "https://abc.supabase.co",
  SUPABASE_SECRET_KEYS: '{"default": "sb_secret_1"}',
  LUMA_SYNC_SECRET: "s3cret",
};

function problem(vars: Record<string, string | undefined>): string {
  return assertThrows(() => readEnv(vars), EnvError).message;
}

Deno.test("what hosted Supabase sets and one secret are enough", () => {
  assertEquals(readEnv(VARS), {
    supabaseUrl: "https://abc.supabase.co",
    supabaseKey: "sb_secret_1",
    syncSecret: "s3cret",
    lumaUrl: "https://public-api.luma.com",
    apiKeys: new Map(),
    webhookSecrets: new Map(),
    appUrl: "https://game.zo.xyz",
    coverHosts: ["abc.supabase.co", "game.zo.xyz"],
  });
});

Deno.test("everything that is missing is named in one message, with how to set it", () => {
  assertEquals(
    problem({}),
    "SUPABASE_URL is not set; neither SUPABASE_SECRET_KEYS nor SUPABASE_SERVICE_ROLE_KEY is set; " +
      "LUMA_SYNC_SECRET is not set. Set function secrets with `supabase secrets set NAME=value`.",
  );
});

Deno.test("a setting of spaces is not set", () => {
  const message = problem({ ...VARS, LUMA_SYNC_SECRET: "  " });
  assert(message.startsWith("LUMA_SYNC_SECRET is not set."), message);
});

Deno.test("the key is the default one of SUPABASE_SECRET_KEYS, else the legacy one", () => {
  const { SUPABASE_SECRET_KEYS: _, ...rest } = VARS;
  const legacy = { ...rest, SUPABASE_SERVICE_ROLE_KEY: " legacy " };
  const keyOf = (keys?: string) =>
    readEnv({ ...legacy, SUPABASE_SECRET_KEYS: keys }).supabaseKey;
  assertEquals(
    keyOf('{"other": "x", "default": "sb_secret_2"}'),
    "sb_secret_2",
  );
  assertEquals(keyOf(undefined), "legacy");
  for (const unusable of ["", "{}", "null", "[]", '{"default": 5}', "sb_x"]) {
    assertEquals(keyOf(unusable), "legacy");
  }
});

Deno.test("SUPABASE_SECRET_KEYS in another form is named, and its value is not shown", () => {
  for (
    const keys of ["sb_secret_9", '{"main": "sb_secret_9"}', "{sb_secret_9"]
  ) {
    const message = problem({ ...VARS, SUPABASE_SECRET_KEYS: keys });
    assert(
      message.startsWith("SUPABASE_SECRET_KEYS is not JSON like"),
      message,
    );
    assert(!message.includes("sb_secret_9"), message);
  }
});

Deno.test("addresses lose their trailing slashes", () => {
  const env = readEnv({
    ...VARS,
    SUPABASE_URL: "http://127.0.0.1:54321/",
    LUMA_API_URL: " http://127.0.0.1:4000// ",
    APP_BASE_URL: "https://app.test/base/",
  });
  assertEquals(env.supabaseUrl, "http://127.0.0.1:54321");
  assertEquals(env.lumaUrl, "http://127.0.0.1:4000");
  assertEquals(env.appUrl, "https://app.test/base");
});

Deno.test("what is no web address is named", () => {
  const message = problem({
    ...VARS,
    SUPABASE_URL: "abc.supabase.co",
    LUMA_API_URL: "ftp://luma.test",
    APP_BASE_URL: "app",
  });
  for (const name of ["SUPABASE_URL", "LUMA_API_URL", "APP_BASE_URL"]) {
    assert(message.includes(`${name} is not an http(s) address`), message);
  }
});

Deno.test("the names of the API keys are the calendars", () => {
  const { apiKeys } = readEnv({
    ...VARS,
    LUMA_BLR_API_KEY: " key-1 ",
    LUMA_ZO_EVENTS_API_KEY: "key-2",
    LUMA_SF2_API_KEY: "key-3",
    LUMA_EMPTY_API_KEY: " ",
    LUMA_API_KEY: "no calendar",
    LUMA_blr_API_KEY: "lower case",
    OTHER_LUMA_X_API_KEY: "not ours",
    LUMA_X_API_KEY_OLD: "not ours",
  });
  assertEquals([...apiKeys], [
    ["blr", "key-1"],
    ["zo_events", "key-2"],
    ["sf2", "key-3"],
  ]);
});

Deno.test("a calendar has one webhook secret, or two while one replaces the other", () => {
  const { webhookSecrets, apiKeys } = readEnv({
    ...VARS,
    LUMA_BLR_WEBHOOK_SECRET: "whsec_1",
    LUMA_ZO_EVENTS_WEBHOOK_SECRET: " whsec_2 , whsec_3,",
  });
  assertEquals([...webhookSecrets], [
    ["blr", ["whsec_1"]],
    ["zo_events", ["whsec_2", "whsec_3"]],
  ]);
  assertEquals(apiKeys.size, 0);
});

Deno.test("covers come from the listed hosts, the project's and the app's", () => {
  const { coverHosts } = readEnv({
    ...VARS,
    SUPABASE_URL: "http://127.0.0.1:54321",
    APP_BASE_URL: "https://app.test/base",
    COVER_ALLOWED_HOSTS: "cdn.test, *.img.test,,",
  });
  assertEquals(coverHosts, [
    "cdn.test",
    "*.img.test",
    "127.0.0.1:54321",
    "app.test",
  ]);
});
