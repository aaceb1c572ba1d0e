import { assert, assertEquals, assertThrows } from "@std/assert";
import { Problem } from "./problem.ts";
import { readSettings, type Sources } from "./settings.ts";

const GOOD = {
  LUMA_FUNCTIONS_URL: "https://ref.supabase.co/functions/v1",
  LUMA_BLR_API_KEY: "key-1",
};

function read(sources: Partial<Sources>) {
  return readSettings({ process: {}, file: {}, envFile: ".env", ...sources });
}

/** The problems that a file is refused with, without the file's values. */
function problems(file: Record<string, string>, only?: string): string[] {
  const { message } = assertThrows(() => read({ file, only }), Problem);
  assert(!message.includes("hidden"), message);
  const [first, ...rest] = message.split("\n  ");
  assertEquals(first, "Set these in .env or in the environment:");
  return rest;
}

Deno.test("the address is that of the function, without double slashes", () => {
  for (const end of ["", "/", "//"]) {
    const LUMA_FUNCTIONS_URL = GOOD.LUMA_FUNCTIONS_URL + end;
    const settings = read({ file: { ...GOOD, LUMA_FUNCTIONS_URL } });
    assertEquals(
      settings.address,
      "https://ref.supabase.co/functions/v1/luma-webhook",
    );
    assertEquals(settings.lumaUrl, "https://public-api.luma.com");
  }
});

Deno.test("every calendar with a key is taken, with the names of its settings and its secrets", () => {
  const file = {
    ...GOOD,
    LUMA_ZO_EVENTS_API_KEY: " key-2 ",
    LUMA_EMPTY_API_KEY: " ",
    LUMA_ZO_EVENTS_WEBHOOK_SECRET: "new, old",
  };
  assertEquals(read({ file }).calendars, [{
    name: "blr",
    apiKey: "key-1",
    apiKeyName: "LUMA_BLR_API_KEY",
    secretName: "LUMA_BLR_WEBHOOK_SECRET",
    secrets: [],
  }, {
    name: "zo_events",
    apiKey: "key-2",
    apiKeyName: "LUMA_ZO_EVENTS_API_KEY",
    secretName: "LUMA_ZO_EVENTS_WEBHOOK_SECRET",
    secrets: ["new", "old"],
  }]);
});

Deno.test("the process's variables win, but empty ones are those of a shell that read the file before it was filled in", () => {
  const process = { LUMA_BLR_API_KEY: "key-9", LUMA_FUNCTIONS_URL: "" };
  const { calendars, address } = read({ process, file: GOOD });
  assertEquals(calendars[0]?.apiKey, "key-9");
  assert(address.startsWith(GOOD.LUMA_FUNCTIONS_URL));
});

Deno.test("all that is missing or not filled in is named at once", () => {
  assertEquals(problems({}), [
    "LUMA_FUNCTIONS_URL is not set.",
    "LUMA_<CALENDAR KEY>_API_KEY is not set for any calendar, for example LUMA_BLR_API_KEY.",
  ]);
  assertEquals(
    problems({
      LUMA_FUNCTIONS_URL: "https://PROJECT_REF.supabase.co/functions/v1",
      LUMA_API_URL: "luma",
      LUMA_BLR_API_KEY: "",
      LUMA_ZO_EVENTS_API_KEY: " ",
    }),
    [
      "LUMA_FUNCTIONS_URL still holds PROJECT_REF: write your project's reference there.",
      "LUMA_API_URL must be an address with https (or http on 127.0.0.1 or localhost).",
      "No calendar has a key: fill in LUMA_BLR_API_KEY or LUMA_ZO_EVENTS_API_KEY.",
    ],
  );
  assertEquals(problems(GOOD, "goa"), [
    "LUMA_GOA_API_KEY is not set: it is the API key of the calendar goa.",
  ]);
});

Deno.test("keys that cannot be sent, or are one key for two calendars, are named and not shown", () => {
  const file = {
    ...GOOD,
    LUMA_BLR_API_KEY: "hidden",
    LUMA_GOA_API_KEY: "hidden",
    LUMA_SFO_API_KEY: "hidden key",
  };
  assertEquals(problems(file), [
    "LUMA_GOA_API_KEY and LUMA_BLR_API_KEY are the same key.",
    "LUMA_SFO_API_KEY must be one word of printable ASCII.",
  ]);
});

Deno.test("addresses are https, or http on this machine, and plain", () => {
  const wrong = [
    "http://ref.supabase.co/functions/v1",
    "http://localhost.example.com/functions/v1",
    "http://127.0.0.1.example.com/",
    "ftp://localhost/",
    "ref.supabase.co/functions/v1",
    "https://",
    "https://user:hidden@ref.supabase.co/functions/v1",
    "https://ref.supabase.co/functions/v1?key=hidden",
    "https://ref.supabase.co/functions/v1#hidden",
  ];
  for (const name of ["LUMA_FUNCTIONS_URL", "LUMA_API_URL"]) {
    for (const address of wrong) {
      const [problem, ...more] = problems({ ...GOOD, [name]: address });
      assertEquals(more, []);
      assert(problem?.startsWith(`${name} must be `), address);
    }
    for (const host of ["127.0.0.1:54321", "localhost"]) {
      read({ file: { ...GOOD, [name]: `http://${host}/functions/v1` } });
    }
  }
});
