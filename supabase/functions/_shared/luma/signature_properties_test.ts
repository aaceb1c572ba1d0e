import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { fuzz } from "../fuzz_for_tests.ts";
import { sign, verifySignature } from "./signature.ts";

const NOW_MS = Date.UTC(2026, 11, 1, 12);

const secret = fc.string({ unit: "binary", minLength: 1, maxLength: 40 })
  // HMAC takes a secret and the same one with U+0000 behind it for the same.
  .filter((text) => !text.includes("\0") && text.isWellFormed());
const signed = fc.record({
  body: fc.uint8Array({ maxLength: 200 }),
  secrets: fc.uniqueArray(secret, { minLength: 1, maxLength: 4 }),
  which: fc.nat(3),
  ageSeconds: fc.oneof(
    fc.integer({ min: -400, max: 400 }),
    fc.constantFrom(-301, -300, -299, 0, 299, 300, 301),
  ),
  ms: fc.nat(999),
});

/** A delivery by one of the secrets, so old when it is received. */
async function delivered({ body, secrets, which, ageSeconds, ms }: {
  body: Uint8Array;
  secrets: string[];
  which: number;
  ageSeconds: number;
  ms: number;
}) {
  const secretIndex = which % secrets.length;
  const sentAt = new Date(NOW_MS - ageSeconds * 1000);
  const header = await sign({
    body,
    secret: secrets[secretIndex]!,
    at: sentAt,
  });
  return {
    secretIndex,
    sentAt,
    delivery: { body, secrets, header, now: new Date(NOW_MS + ms) },
  };
}

Deno.test("exactly what was signed in the last five minutes, or will be in the next, is accepted", async () => {
  await fc.assert(
    fc.asyncProperty(signed, async (given) => {
      const { delivery, secretIndex, sentAt } = await delivered(given);
      const verified = await verifySignature(delivery);
      const isFresh = Math.abs(given.ageSeconds) <= 300;
      assertEquals(
        verified.ok ? verified : { ok: false },
        isFresh ? { ok: true, secretIndex, sentAt } : { ok: false },
      );
    }),
    fuzz(1_000),
  );
});

Deno.test("a delivery of which one byte was changed is refused", async () => {
  const change = fc.record({
    part: fc.constantFrom("body", "time", "signature", "secret"),
    at: fc.nat(),
    by: fc.integer({ min: 1, max: 255 }),
  });
  await fc.assert(
    fc.asyncProperty(signed, change, async (given, { part, at, by }) => {
      const fresh = { ...given, ageSeconds: given.ageSeconds % 200 };
      const { delivery, secretIndex } = await delivered(fresh);
      if (part === "body") {
        fc.pre(delivery.body.length > 0);
        const body = delivery.body.slice();
        body[at % body.length]! ^= by;
        delivery.body = body;
      } else if (part === "secret") {
        delivery.secrets = delivery.secrets.with(
          secretIndex,
          `x${delivery.secrets[secretIndex]}`,
        );
        fc.pre(new Set(delivery.secrets).size === given.secrets.length);
      } else {
        const [time = "", hex = ""] = /^t=(\d+),v1=(\w+)$/.exec(
          delivery.header,
        )!
          .slice(1);
        delivery.header = part === "time"
          ? `t=${otherDigit(time, at, by, 10)},v1=${hex}`
          : `t=${time},v1=${otherDigit(hex, at, by, 16)}`;
      }
      assert(!(await verifySignature(delivery)).ok);
    }),
    fuzz(1_000),
  );
});

/** The text with another digit at a place. */
function otherDigit(text: string, place: number, by: number, radix: number) {
  const at = place % text.length;
  const digit = (parseInt(text[at]!, radix) + 1 + by % (radix - 1)) % radix;
  return text.slice(0, at) + digit.toString(radix) + text.slice(at + 1);
}

Deno.test("whatever stands in the header, it is refused with words, and no secret is in them", async () => {
  const header = fc.oneof(
    fc.string({ unit: "binary", maxLength: 120 }),
    fc.string({ unit: fc.constantFrom(..."tv1=,; 0aF\t"), maxLength: 120 }),
    fc.tuple(
      fc.nat(),
      fc.string({
        unit: fc.constantFrom(..."0123456789abcdefG"),
        minLength: 60,
        maxLength: 68,
      }),
    )
      .map(([time, hex]) => `t=${time},v1=${hex}`),
    fc.constant(null),
  );
  const secrets = ["whsec_5b1RbLrCurrent", "whsec_9q2ZoCurrent"];
  await fc.assert(
    fc.asyncProperty(
      header,
      fc.uint8Array({ maxLength: 50 }),
      async (header, body) => {
        const verified = await verifySignature({
          body,
          header,
          secrets,
          now: new Date(NOW_MS),
        });
        assert(!verified.ok);
        assert(verified.reason.length > 20);
        assert(secrets.every((secret) => !verified.reason.includes(secret)));
      },
    ),
    fuzz(2_000),
  );
});
