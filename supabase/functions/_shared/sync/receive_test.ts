import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readEnv } from "../env.ts";
import { sign } from "../luma/signature.ts";
import { type Delivery, StoreError } from "../store.ts";
import { newsOf } from "./from_luma.ts";
import { MAX_BODY_BYTES, MAX_DEPTH, PING, receiveWebhook } from "./receive.ts";

const NOW = new Date("2026-12-01T12:00:00Z");
const PRIVATE = "guest@example.com";
const EVENT_CREATED = {
  type: "event.created",
  data: {
    id: "evt-1",
    url: "https://luma.com/jam-0123456789ab",
    name: "Jam",
    calendar_id: "cal-1",
    start_at: "2026-12-24T18:00:00.000Z",
    end_at: "2026-12-24T20:00:00.000Z",
    timezone: "Asia/Kolkata",
    visibility: "public",
  },
};

interface Scene {
  /** What is sent: JSON of this, or this very body. */
  body?: unknown;
  /** Signed with this secret. */
  secret?: string;
  method?: string;
  /** Replaces headers; null leaves one out. */
  headers?: Record<string, string | null>;
  secrets?: Record<string, string[]>;
  store?: (delivery: Delivery) => Promise<"applied" | "stored" | "seen">;
}

/** Sends one delivery, and answers with everything that could be seen of it. */
async function deliver(scene: Scene) {
  const stored: Delivery[] = [];
  const log: string[] = [];
  const body = toBytes(scene.body ?? EVENT_CREATED);
  const secret = scene.secret ?? "whsec_blr";
  const headers = new Headers({
    "webhook-id": "whd-1",
    "webhook-signature": await sign({ body, secret, at: NOW }),
  });
  for (const [name, value] of Object.entries(scene.headers ?? {})) {
    if (value === null) headers.delete(name);
    else headers.set(name, value);
  }
  const method = scene.method ?? "POST";
  const request = new Request("http://127.0.0.1/luma-webhook", {
    method,
    headers,
    body: method === "POST" ? body : undefined,
  });
  const secrets = scene.secrets ??
    { blr: ["whsec_blr"], zo_events: ["whsec_old", "whsec_new"] };
  const response = await receiveWebhook(request, {
    env: { webhookSecrets: new Map(Object.entries(secrets)) },
    store: {
      receiveWebhook: (delivery) => {
        stored.push(delivery);
        return scene.store?.(delivery) ?? Promise.resolve("applied");
      },
    },
    now: () => NOW,
    log: (message) => log.push(message),
  });
  const text = await response.text();
  for (const told of [text, ...log]) {
    assert(!told.includes("whsec_blr"), `a secret was told: ${told}`);
    assert(!told.includes(PRIVATE), `a payload was told: ${told}`);
  }
  return { status: response.status, answer: JSON.parse(text), stored, log };
}

function toBytes(body: unknown): Uint8Array<ArrayBuffer> {
  if (body instanceof Uint8Array) return new Uint8Array(body);
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new TextEncoder().encode(text);
}

/** The error that a delivery is refused with; nothing may be stored, and the log must say why. */
async function refusal(status: number, scene: Scene): Promise<string> {
  const seen = await deliver(scene);
  assertEquals([seen.status, seen.stored], [status, []]);
  assertEquals(seen.log, [`Refused with ${status}: ${seen.answer.error}`]);
  return seen.answer.error;
}

Deno.test("a signed delivery is stored whole, with what it says to the app's rows", async () => {
  const { status, answer, stored, log } = await deliver({});
  assertEquals([status, answer, log], [200, { result: "applied" }, []]);
  assertEquals(stored, [{
    webhook_id: "whd-1",
    calendar: "blr",
    type: "event.created",
    payload_json: JSON.stringify(EVENT_CREATED),
    sent_at: NOW.toISOString(),
    news: newsOf("event.created", EVENT_CREATED.data),
  }]);
});

Deno.test("the secret that fits tells the calendar, both secrets of a rotation included", async () => {
  for (const secret of ["whsec_old", "whsec_new"]) {
    const { stored } = await deliver({ secret });
    assertEquals(stored[0]?.calendar, "zo_events");
  }
});

Deno.test("webhook secrets are read by calendar, two of them with a comma between", () => {
  const { webhookSecrets } = readEnv({
    SUPABASE_URL: "http://127.0.0.1:1",
    SUPABASE_SERVICE_ROLE_KEY: "k",
    LUMA_SYNC_SECRET: "s",
    LUMA_BLR_WEBHOOK_SECRET: " whsec_a ",
    LUMA_ZO_EVENTS_WEBHOOK_SECRET: "whsec_b, whsec_c,",
    LUMA_EMPTY_WEBHOOK_SECRET: " ",
    LUMA_BLR_API_KEY: "key",
  });
  assertEquals(
    [...webhookSecrets],
    [["blr", ["whsec_a"]], ["zo_events", ["whsec_b", "whsec_c"]]],
  );
});

Deno.test("a delivery that was seen before is answered with 200", async () => {
  const seen = await deliver({ store: () => Promise.resolve("seen") });
  assertEquals([seen.status, seen.answer], [200, { result: "seen" }]);
});

Deno.test("a type that this version does not know is stored", async () => {
  const body = { type: "calendar.renamed", data: { id: "cal-1" }, extra: 1 };
  const { status, stored } = await deliver({ body });
  assertEquals(status, 200);
  assertEquals(stored[0]?.type, "calendar.renamed");
  assertEquals(stored[0]?.payload_json, JSON.stringify(body));
  assertEquals(stored[0]?.news, null);
});

Deno.test("a delivery that is not as Luma documents it is stored with the reason, which quotes nothing", async () => {
  const bodies: [unknown, string][] = [
    [{ type: "event.updated", data: { id: "evt-1" } }, "data.calendar_id"],
    [{ type: "guest.updated", data: { user_email: PRIVATE } }, "data.id"],
    [
      { type: "event.created", data: { ...EVENT_CREATED.data, id: 7 } },
      "data.id is not as expected",
    ],
  ];
  for (const [body, told] of bodies) {
    const { status, stored: [delivery] } = await deliver({ body });
    assertEquals(status, 200);
    assert(delivery?.news && "error" in delivery.news);
    assertStringIncludes(delivery.news.error, told);
    assert(!delivery.news.error.includes(PRIVATE));
  }
});

Deno.test("what Postgres cannot hold is taken out of texts, or one guest's name would come again for ever", async () => {
  const body =
    '{"type":"guest.updated","data":{"user_name":"A\\u0000na \\ud83c\\udf89 \\ud83c"}}';
  const { stored } = await deliver({ body });
  assertEquals(JSON.parse(stored[0]?.payload_json ?? ""), {
    type: "guest.updated",
    data: { user_name: "Ana 🎉 \ufffd" },
  });
});

Deno.test("only POST is taken", async () => {
  for (const method of ["GET", "PUT", "DELETE"]) {
    assertEquals(await refusal(405, { method }), `Use POST, not ${method}.`);
  }
});

Deno.test("without a webhook secret the answer is 503 and names the setting", async () => {
  const none: Record<string, string[]>[] = [{}, { blr: [] }];
  for (const secrets of none) {
    assertStringIncludes(
      await refusal(503, { secrets }),
      "LUMA_BLR_WEBHOOK_SECRET",
    );
  }
});

Deno.test("a missing, foreign or old signature is refused with 401", async () => {
  assertStringIncludes(
    await refusal(401, { headers: { "webhook-signature": null } }),
    "Webhook-Signature is missing",
  );
  assertStringIncludes(
    await refusal(401, { secret: "whsec_stranger" }),
    "fits no webhook secret",
  );
  const body = toBytes(EVENT_CREATED);
  const at = new Date(NOW.getTime() - 3_600_000);
  const old = await sign({ body, secret: "whsec_blr", at });
  assertStringIncludes(
    await refusal(401, { headers: { "webhook-signature": old } }),
    "3600 seconds old",
  );
});

Deno.test("a signed body that is not JSON in UTF-8 is refused with 400", async () => {
  const bodies = ["", `{"${PRIVATE}`, new Uint8Array([0x22, 0xff, 0x22])];
  for (const body of bodies) {
    assertEquals(
      await refusal(400, { body }),
      "The body is not JSON in UTF-8.",
    );
  }
});

Deno.test("signed JSON that is no delivery is refused with 400 and says what is wrong", async () => {
  const bodies: [unknown, string][] = [
    ["null", "expected object"],
    [[EVENT_CREATED], "expected object"],
    [{ data: { email: PRIVATE } }, "at type"],
    [{ type: "", data: {} }, "at type"],
    [{ type: 7, data: {} }, "at type"],
    [{ type: "event.created" }, "at data"],
    [{ type: "event.created", data: [PRIVATE] }, "at data"],
    [{ type: "event.created", data: null }, "at data"],
  ];
  for (const [body, told] of bodies) {
    assertStringIncludes(await refusal(400, { body }), told);
  }
});

Deno.test("a missing or endless Webhook-Id is refused with 400", async () => {
  for (const id of [null, " "]) {
    assertEquals(
      await refusal(400, { headers: { "webhook-id": id } }),
      "The header Webhook-Id is missing.",
    );
  }
  assertStringIncludes(
    await refusal(400, { headers: { "webhook-id": "x".repeat(256) } }),
    "256 characters",
  );
});

Deno.test("a body of 1 MB is taken, and one byte more is refused with 413", async () => {
  const body = (size: number) => {
    const frame = '{"type":"t","data":{"a":""}}';
    return frame.replace('""', `"${"x".repeat(size - frame.length)}"`);
  };
  assertEquals((await deliver({ body: body(MAX_BODY_BYTES) })).status, 200);
  await refusal(413, { body: body(MAX_BODY_BYTES + 1) });
});

Deno.test("a body of 100 levels is taken, one more is refused with 400, as are half a million", async () => {
  const kinds: [string, string][] = [["[", "]"], ['{"a":', "}"]];
  for (const [open, close] of kinds) {
    const body = (levels: number) => {
      const inner = levels - 2;
      const value = `${open.repeat(inner)}1${close.repeat(inner)}`;
      return `{"type":"t","data":{"a":${value}}}`;
    };
    assertEquals((await deliver({ body: body(MAX_DEPTH) })).status, 200);
    const deep = Math.floor(
      (MAX_BODY_BYTES - 50) / (open.length + close.length),
    );
    for (const levels of [MAX_DEPTH + 1, 3_000, deep]) {
      assertEquals(
        await refusal(400, { body: body(levels) }),
        "The body goes deeper than 100 objects and lists in each other.",
      );
    }
  }
});

Deno.test("a body without end is not read further than the bound", async () => {
  const chunk = new Uint8Array(64 * 1024);
  let read = 0;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      read += chunk.length;
      controller.enqueue(chunk);
    },
  }, { highWaterMark: 0 });
  const response = await receiveWebhook(
    new Request("http://127.0.0.1/", { method: "POST", body }),
    {
      env: { webhookSecrets: new Map([["blr", ["whsec_blr"]]]) },
      store: { receiveWebhook: () => Promise.resolve("stored") },
      now: () => NOW,
      log: () => {},
    },
  );
  assertEquals(response.status, 413);
  assert(read <= MAX_BODY_BYTES + 4 * chunk.length, `${read} bytes were read`);
});

Deno.test("when the database fails, the answer is 500 so that Luma delivers again, and the log has the reason", async () => {
  const { status, answer, log } = await deliver({
    store: () => Promise.reject(new StoreError("luma_receive_webhook: down")),
  });
  assertEquals(status, 500);
  assertStringIncludes(answer.error, "deliver it again");
  assertEquals(log, ["luma_receive_webhook: down"]);
});

Deno.test("a signed ping is answered, with its calendar, and stored nowhere", async () => {
  const body = { type: PING, data: {} };
  const { status, answer, stored, log } = await deliver({
    body,
    secret: "whsec_new",
    headers: { "webhook-id": null },
  });
  assertEquals([status, answer], [200, { pong: true, calendar: "zo_events" }]);
  assertEquals([stored, log], [[], []]);
  await refusal(401, { body, secret: "whsec_other" });
});
