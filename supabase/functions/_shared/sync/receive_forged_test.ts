/**
 * Thousands of deliveries that nobody but an attacker, or a broken network, sends: none may be stored. They are
 * generated, and signed here with node:crypto, so that a mistake in our own signing cannot hide one in our checking.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { createHash, createHmac } from "node:crypto";
import { fuzz } from "../fuzz_for_tests.ts";
import { MAX_BODY_BYTES, receiveWebhook } from "./receive.ts";

const SEED = Number(Deno.env.get("FORGED_SEED") ?? Date.now() % 1_000_000);
const NOW_MS = Date.UTC(2026, 11, 1, 12);
const NOW_S = NOW_MS / 1000;
const YEAR_S = 365 * 86_400;

/** In force: one calendar with one secret, one in the middle of a rotation. */
const SECRETS = {
  blr: ["whsec_5b1RbLrCurrent"],
  zo_events: ["whsec_9q2ZoCurrent", "whsec_7k3ZoPrevious"],
};
/** Were in force once. */
const RETIRED = ["whsec_1d4BlrRetired", "whsec_8m6ZoRetired"];
const IN_FORCE = Object.entries(SECRETS).flatMap(([calendar, secrets]) =>
  secrets.map((secret) => ({ calendar, secret }))
);
/** Is in every body, and must be in no answer and no log. */
const PRIVATE = "guest-7f3a@example.com";

/** One request. */
interface Attempt {
  method?: string;
  /** `webhook-signature` and more; a name may come twice. */
  headers: [name: string, value: string][];
  body: Bytes;
  /** Sent in pieces of this size, without a length. */
  chunkSize?: number;
  /** How far into its second the receiver's clock is. */
  ms: number;
}

type Bytes = Uint8Array<ArrayBuffer>;

/** A genuine delivery, from which the forged ones are made. */
interface Genuine {
  body: Bytes;
  calendar: string;
  secret: string;
  /** Unix seconds. */
  time: number;
  ms: number;
}

function bytes(text: string): Bytes {
  return new TextEncoder().encode(text);
}

function hmac(
  secret: string | Uint8Array,
  time: number | string,
  body: Uint8Array,
  hash = "sha256",
) {
  return createHmac(hash, secret).update(`${time}.`).update(body);
}

function signature({ secret, time, body }: Genuine): string {
  return hmac(secret, time, body).digest("hex");
}

/** The genuine request, with another signature header or none, and with other changes. */
function attempt(
  { body, ms }: Genuine,
  header: string | null,
  changes: Partial<Attempt> = {},
): Attempt {
  return {
    body,
    ms,
    ...changes,
    headers: [
      ["webhook-id", "whd-1"],
      ...(header === null ? [] : [["webhook-signature", header]] as const),
      ...(changes.headers ?? []),
    ] as [string, string][],
  };
}

function genuineHeader(delivery: Genuine): string {
  return `t=${delivery.time},v1=${signature(delivery)}`;
}

async function deliver({ method = "POST", headers, body, ...rest }: Attempt) {
  const calendars: string[] = [];
  const log: string[] = [];
  const request = new Request("http://127.0.0.1/luma-webhook", {
    method,
    headers,
    body: ["GET", "HEAD"].includes(method)
      ? null
      : rest.chunkSize === undefined
      ? body
      : inChunks(body, rest.chunkSize),
  });
  const response = await receiveWebhook(request, {
    env: { webhookSecrets: new Map(Object.entries(SECRETS)) },
    store: {
      receiveWebhook: ({ calendar }) => {
        calendars.push(calendar);
        return Promise.resolve("stored");
      },
    },
    now: () => new Date(NOW_MS + rest.ms),
    log: (message) => log.push(message),
  });
  const text = await response.text();
  const secrets = [...RETIRED, ...IN_FORCE.map(({ secret }) => secret)];
  for (const told of [text, ...log]) {
    const shown = [PRIVATE, ...secrets].find((each) => told.includes(each));
    assertEquals(shown, undefined, `it was told: ${told}`);
  }
  return { response, answer: JSON.parse(text), calendars };
}

function inChunks(body: Bytes, size: number): ReadableStream<Bytes> {
  let from = 0;
  return new ReadableStream({
    pull(controller) {
      if (from >= body.length) return controller.close();
      controller.enqueue(body.slice(from, from += size));
    },
  });
}

async function checkRefused(attempt: Attempt, status: number) {
  const { response, answer, calendars } = await deliver(attempt);
  assertEquals([response.status, calendars], [status, []]);
  assertStringIncludes(
    response.headers.get("content-type") ?? "",
    "application/json",
  );
  assertEquals(Object.keys(answer), ["error"]);
  assert(typeof answer.error === "string" && answer.error !== "");
}

const body = fc.record({
  type: fc.oneof(
    fc.constantFrom("event.created", "event.updated", "guest.registered"),
    fc.string({ minLength: 1 }),
  ),
  data: fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }), {
    maxKeys: 4,
  }),
}).map(({ type, data }) =>
  bytes(JSON.stringify({ type, data: { ...data, user_email: PRIVATE } }))
);

const genuine: fc.Arbitrary<Genuine> = fc.record({
  body,
  from: fc.constantFrom(...IN_FORCE),
  // The boundaries often, because mistakes are there.
  offset: fc.oneof(
    fc.integer({ min: -300, max: 300 }),
    fc.constantFrom(-300, 0, 300),
  ),
  ms: fc.integer({ min: 0, max: 999 }),
}).map(({ body, from, offset, ms }) => ({
  body,
  ...from,
  time: NOW_S + offset,
  ms,
}));

/** Secrets that are not in force, those that resemble one included. */
const wrongSecret = fc.oneof(
  fc.string({ minLength: 1 }),
  fc.constantFrom(...IN_FORCE).chain(({ secret }) =>
    fc.constantFrom(
      secret.replace("whsec_", ""),
      secret.toLowerCase(),
      `${secret} `,
      `${secret}\n`,
      ` ${secret}`,
      secret.slice(0, -1),
      secret + secret,
      SECRETS.zo_events.join(),
      btoa(secret),
    )
  ),
).filter((wrong) => IN_FORCE.every(({ secret }) => secret !== wrong));

function flipped(body: Bytes, bit: number): Bytes {
  const copy = body.slice();
  const at = (bit >> 3) % copy.length;
  copy[at] = copy[at]! ^ (1 << (bit & 7));
  return copy;
}

/** Another whole number, 1 to 1,000 away. */
const shift = fc.integer({ min: 1, max: 1000 }).chain((by) =>
  fc.constantFrom(by, -by)
);

/** What other services sign, and with what: the right secret, in a scheme that is not Luma's. */
function otherSchemes(delivery: Genuine): string[] {
  const { secret, time, body } = delivery;
  const right = signature(delivery);
  const t = `t=${time}`;
  const ofBody = createHmac("sha256", secret).update(body).digest();
  const standard = createHmac("sha256", secret)
    .update(`whd-1.${time}.`).update(body);
  return [
    ...["v0", "v2", "V1", "v11", "s1", "sha1", "sha256"]
      .map((scheme) => `${t},${scheme}=${right}`),
    `${t},sha1=${hmac(secret, time, body, "sha1").digest("hex")}`,
    `${t},v1=${hmac(secret, time, body, "sha1").digest("hex")}`,
    `${t},v1=${hmac(secret, time, body, "sha512").digest("hex")}`,
    `${t},v1=${hmac(secret, time, body, "sha512").digest("hex").slice(64)}`,
    `${t},v1=${hmac(secret, time, body, "sha3-256").digest("hex")}`,
    `${t},v1=${hmac(secret, time, body).digest("base64")}`,
    `${t},v1=${hmac(secret, `${time}.`, body).digest("hex")}`,
    `${t},v1=${hmac(secret, time * 1000, body).digest("hex")}`,
    `${t},v1=${hmac(secret.slice(6), time, body).digest("hex")}`,
    `${t},v1=${hmac(new Uint8Array(secret.length), time, body).digest("hex")}`,
    `${t},v1=${standard.digest("hex")}`,
    `${t},v1=${ofBody.toString("hex")}`,
    `${t},v1=${
      createHash("sha256").update(`${secret}${time}.`).update(body)
        .digest("hex")
    }`,
    `${t},v1=${createHash("sha256").update(body).digest("hex")}`,
    `v1,${ofBody.toString("base64")}`,
    `sha256=${right}`,
    `v1=${right}`,
    right,
  ];
}

/** Headers that are not as they must be, though they hold the right signature. */
function malformed(delivery: Genuine): string[] {
  const { time } = delivery;
  const right = signature(delivery);
  const [t, v1] = [`t=${time}`, `v1=${right}`];
  const whole = `${t},${v1}`;
  return [
    "",
    "  ",
    ",",
    t,
    `${whole},`,
    `,${whole}`,
    `${t},,${v1}`,
    `${t};${v1}`,
    `${t} ${v1}`,
    `${t}&${v1}`,
    `${t},v1=`,
    `${t},v1 = ${right}`,
    `${t},v1="${right}"`,
    `${t},v1=0x${right}`,
    `${t},${v1},v1=00`,
    `t=,${v1}`,
    `t="${time}",${v1}`,
    `t=+${time},${v1}`,
    `t=-${time},${v1}`,
    `t=${time}.0,${v1}`,
    `t=${time}000,${v1}`,
    `t=0${time},${v1}`,
    `t=0x${time.toString(16)},${v1}`,
    `t=${time} ${time},${v1}`,
    `T=${time},${v1}`,
    `${t},${t},${v1}`,
    `${whole},t=${time + 1}`,
    `t=${time - 1},${whole}`,
    `${whole},${whole}`,
    `${whole};${whole}`,
    // Of the wrong length, or not hex.
    ...[0, 1, 32, 62, 63].map((length) => `${t},v1=${right.slice(0, length)}`),
    ...[1, 2, 64].map((length) => `${whole}${"0".repeat(length)}`),
    `${t},v1=${right.slice(0, 63)}g`,
    `${t},v1=${right.slice(0, 63)}\u00e0`,
  ];
}

/** The genuine header where it does not count, and beside others. */
function smuggled(delivery: Genuine): [string, string][][] {
  const name = "webhook-signature";
  const right = genuineHeader(delivery);
  const wrong = `t=${delivery.time},v1=${"0".repeat(64)}`;
  return [
    [],
    ...[`x-${name}`, "svix-signature", "stripe-signature", "authorization"]
      .map((other): [string, string][] => [[other, right]]),
    [["webhook_signature", right]],
    [["cookie", `${name}=${right}`]],
    [[name, right], [name, right]],
    [[name, right], [name, wrong]],
    [[name, wrong], [name, right]],
    [[name, right], [name, ""]],
    [[name, ""], [name, right]],
    [[name, wrong], [`x-${name}`, right]],
    [[name, right.replace(",", ";")], [name, right]],
  ];
}

/** A time that is 301 seconds to a thousand years away, on either side. */
const staleTime = fc.oneof(
  fc.constantFrom(-301, 301, -302, 302, -3600, 3600, -YEAR_S, YEAR_S)
    .map((offset) => NOW_S + offset),
  fc.integer({ min: 301, max: 86_400 }).map((age) => NOW_S - age),
  fc.integer({ min: 301, max: 50 * YEAR_S }).map((age) => NOW_S - age),
  fc.integer({ min: 301, max: 1000 * YEAR_S }).map((ahead) => NOW_S + ahead),
  fc.constantFrom(0, 1, 999_999_999_999),
);

/** Genuine except for its size: filled up to `size` bytes inside the JSON, or after it. */
function filledUp(size: number, where: "inside" | "after"): Bytes {
  const frame = JSON.stringify({ type: "t", data: { to: PRIVATE, a: "" } });
  const fill = (where === "inside" ? "x" : " ").repeat(size - frame.length);
  return bytes(
    where === "inside" ? frame.replace('""', `"${fill}"`) : frame + fill,
  );
}

const oversized = fc.record({
  size: fc.oneof(
    fc.integer({ min: MAX_BODY_BYTES + 1, max: 3 * 1024 * 1024 }),
    fc.constantFrom(MAX_BODY_BYTES + 1, 3 * 1024 * 1024),
  ),
  where: fc.constantFrom("inside" as const, "after" as const),
  chunkSize: fc.option(fc.integer({ min: 1000, max: 4 * 1024 * 1024 }), {
    nil: undefined,
  }),
  length: fc.option(fc.constantFrom("0", "2", "1048576", "99999999999", "x")),
  genuine,
}).map(({ size, where, chunkSize, length, genuine }) => {
  const delivery = { ...genuine, body: filledUp(size, where) };
  return attempt(delivery, genuineHeader(delivery), {
    ...(chunkSize === undefined ? {} : { chunkSize }),
    headers: length === null ? [] : [["content-length", length]],
  });
});

/** A kind of forged delivery, how many of it, and the status that refuses it. */
type Kind = [
  name: string,
  cases: number,
  status: number,
  fc.Arbitrary<Attempt>,
];

const KINDS: Kind[] = [
  [
    "signed with a secret that is not ours",
    300,
    401,
    fc.tuple(genuine, wrongSecret).map(([delivery, secret]) =>
      attempt(delivery, genuineHeader({ ...delivery, secret }))
    ),
  ],
  [
    "signed with a calendar's retired secret",
    100,
    401,
    fc.tuple(genuine, fc.constantFrom(...RETIRED)).map(([delivery, secret]) =>
      attempt(delivery, genuineHeader({ ...delivery, secret }))
    ),
  ],
  [
    "a bit of the signature flipped",
    300,
    401,
    fc.tuple(genuine, fc.nat(255)).map(([delivery, bit]) => {
      const digest = Uint8Array.fromHex(signature(delivery));
      const header = `t=${delivery.time},v1=${flipped(digest, bit).toHex()}`;
      return attempt(delivery, header);
    }),
  ],
  [
    "a bit of the body flipped",
    300,
    401,
    fc.tuple(genuine, fc.nat()).map(([delivery, bit]) =>
      attempt(delivery, genuineHeader(delivery), {
        body: flipped(delivery.body, bit),
      })
    ),
  ],
  [
    "another time than the signed one",
    200,
    401,
    fc.tuple(genuine, shift).map(([delivery, by]) =>
      attempt(delivery, `t=${delivery.time + by},v1=${signature(delivery)}`)
    ),
  ],
  [
    "the signature of another body",
    200,
    401,
    fc.tuple(genuine, body)
      .filter(([{ body }, other]) => body.toHex() !== other.toHex())
      .map(([delivery, body]) =>
        attempt(delivery, genuineHeader(delivery), { body })
      ),
  ],
  [
    "in another scheme",
    250,
    401,
    genuine.chain((delivery) =>
      fc.constantFrom(...otherSchemes(delivery))
        .map((header) => attempt(delivery, header))
    ),
  ],
  [
    "with a malformed header",
    350,
    401,
    genuine.chain((delivery) =>
      fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(...malformed(delivery)) },
        { weight: 1, arbitrary: fc.string({ maxLength: 200 }) },
      ).map((header) => attempt(delivery, header))
    ),
  ],
  [
    "without the header, with two of it, or in another one",
    150,
    401,
    genuine.chain((delivery) =>
      fc.constantFrom(...smuggled(delivery))
        .map((headers) => attempt(delivery, null, { headers }))
    ),
  ],
  [
    "replayed later than 300 seconds, or from the future",
    300,
    401,
    fc.tuple(genuine, staleTime).map(([delivery, time]) =>
      attempt(delivery, genuineHeader({ ...delivery, time }), {
        // Not signed, so it must not count.
        headers: [["webhook-timestamp", `${NOW_S}`]],
      })
    ),
  ],
  [
    "cut off",
    300,
    401,
    fc.tuple(genuine, fc.nat()).map(([delivery, at]) =>
      attempt(delivery, genuineHeader(delivery), {
        body: delivery.body.slice(0, at % delivery.body.length),
      })
    ),
  ],
  [
    "cut off before it was signed",
    150,
    400,
    fc.tuple(genuine, fc.nat()).map(([delivery, at]) => {
      const body = delivery.body.slice(0, at % delivery.body.length);
      return attempt(
        { ...delivery, body },
        genuineHeader({ ...delivery, body }),
      );
    }),
  ],
  ["larger than 1 MB", 100, 413, oversized],
  [
    "not posted",
    100,
    405,
    fc.tuple(
      genuine,
      fc.constantFrom("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")
        .chain((usual) => fc.constantFrom(usual, "patch", "QUERY", "POSTS")),
    ).map(([delivery, method]) =>
      attempt(delivery, genuineHeader(delivery), { method })
    ),
  ],
];

const CASES = KINDS.reduce((sum, [, cases]) => sum + cases, 0);

Deno.test(`of ${CASES} forged, stale, cut or oversized deliveries none is stored (FORGED_SEED=${SEED})`, async (t) => {
  let tried = 0;
  for (const [name, numRuns, status, attempts] of KINDS) {
    await t.step(`${name}: ${numRuns} times ${status}`, async () => {
      const property = fc.asyncProperty(attempts, (attempt) => {
        tried++;
        return checkRefused(attempt, status);
      });
      await fc.assert(property, { ...fuzz(numRuns), seed: SEED });
    });
  }
  assertEquals(
    tried,
    KINDS.reduce((sum, [, usual]) => sum + fuzz(usual).numRuns, 0),
  );
  assert(tried >= 2000);
});

Deno.test(`400 genuine deliveries are stored once each, for the calendar whose secret signed them (FORGED_SEED=${SEED})`, async () => {
  const seen = new Set<string>();
  const attempts = fc.record({
    delivery: genuine,
    chunkSize: fc.option(fc.integer({ min: 1, max: 100 }), { nil: undefined }),
    // What a sender may do: capital letters, a second signature, a newer scheme beside it.
    write: fc.constantFrom(
      (t: string, hex: string) => `${t},v1=${hex}`,
      (t: string, hex: string) => `${t}, v1=${hex.toUpperCase()}`,
      (t: string, hex: string) => `${t},v1=${"0".repeat(64)},v1=${hex}`,
      (t: string, hex: string) => `v1=${hex},v2=x,${t}`,
    ),
  });
  const property = fc.asyncProperty(
    attempts,
    async ({ delivery, chunkSize, write }) => {
      const header = write(`t=${delivery.time}`, signature(delivery));
      const { response, answer, calendars } = await deliver(
        attempt(delivery, header, chunkSize === undefined ? {} : { chunkSize }),
      );
      assertEquals(
        [response.status, answer, calendars],
        [200, { result: "stored" }, [delivery.calendar]],
      );
      seen.add(delivery.secret);
    },
  );
  await fc.assert(property, { ...fuzz(400), seed: SEED });
  assertEquals(seen.size, IN_FORCE.length, "secrets that were used");
});
