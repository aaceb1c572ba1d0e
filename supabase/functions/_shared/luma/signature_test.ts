import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { sign, type SignedDelivery, verifySignature } from "./signature.ts";

const NOW = new Date("2026-12-01T12:00:00Z");
const SECRETS = ["whsec_blr", "whsec_zo_old", "whsec_zo_new"];
const BODY = bytes('{"type":"event.created","data":{}}');

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A good delivery, except for what a test changes. */
async function verify(changes: Partial<SignedDelivery> = {}) {
  const header = await sign({ body: BODY, secret: "whsec_blr", at: NOW });
  return await verifySignature({
    body: BODY,
    header,
    secrets: SECRETS,
    now: NOW,
    ...changes,
  });
}

async function reason(changes: Partial<SignedDelivery>): Promise<string> {
  const verified = await verify(changes);
  assert(!verified.ok, "the signature was accepted");
  return verified.reason;
}

function secondsFromNow(seconds: number): Date {
  return new Date(NOW.getTime() + seconds * 1000);
}

Deno.test("a good signature tells which secret made it and when", async () => {
  assertEquals(await verify(), { ok: true, secretIndex: 0, sentAt: NOW });
  for (const [secretIndex, secret] of SECRETS.entries()) {
    const header = await sign({ body: BODY, secret, at: NOW });
    assertEquals(await verify({ header }), {
      ok: true,
      secretIndex,
      sentAt: NOW,
    });
  }
});

Deno.test("the signature is what openssl computes over time and raw bytes with the whole secret", async () => {
  // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
  const signed: [Uint8Array, string][] = [
    [
      bytes('{"a":1}'),
      "38877139021993b830af32feea6e18a8da83eb2f6e49ee50bd9e4cf4ca4d3789",
    ],
    [
      bytes('{"name":"कॉफ़ी ☕ 🎉"}'),
      "e373d27e80277bc27f1f8d05c743d37149012904ac92264dedcc3e6cef279f21",
    ],
    // No text at all: decoded and encoded again it would be another body.
    [
      new Uint8Array([0x22, 0xff, 0x22]),
      "0b89a765b58e76ffd23ce5bac6de67e425f0de048f870ac99016d923579d9ab1",
    ],
  ];
  const now = new Date(1_700_000_000_000);
  for (const [body, hex] of signed) {
    const header = `t=1700000000,v1=${hex}`;
    assertEquals(await sign({ body, secret: "whsec_test", at: now }), header);
    const secrets = ["whsec_test"];
    assert((await verify({ body, header, secrets, now })).ok, hex);
  }
});

Deno.test("another secret's signature, one secret without whsec_, and no secret at all are refused", async () => {
  const fits = "The signature fits no webhook secret";
  const header = await sign({ body: BODY, secret: "whsec_other", at: NOW });
  assertStringIncludes(await reason({ header }), fits);
  assertStringIncludes(await reason({ secrets: ["blr"] }), fits);
  assertStringIncludes(await reason({ secrets: [] }), fits);
});

Deno.test("a body or a time that was changed is refused", async () => {
  const fits = "The signature fits no webhook secret";
  const tampered = new Uint8Array(BODY);
  tampered[2] = 0x54;
  assertStringIncludes(await reason({ body: tampered }), fits);
  const header = await sign({ body: BODY, secret: "whsec_blr", at: NOW });
  const later = header.replace(/t=\d+/, `t=${NOW.getTime() / 1000 + 1}`);
  assertStringIncludes(await reason({ header: later }), fits);
});

Deno.test("five minutes off are accepted in both directions, and no second more", async () => {
  for (const seconds of [300, -300]) {
    assert((await verify({ now: secondsFromNow(seconds) })).ok, `${seconds}`);
  }
  assertEquals(
    await reason({ now: secondsFromNow(301) }),
    "The signature is 301 seconds old; at most 300 seconds are accepted.",
  );
  assertEquals(
    await reason({ now: secondsFromNow(-301) }),
    "The signature is 301 seconds in the future; at most 300 seconds are accepted.",
  );
  assertStringIncludes(
    await reason({ now: secondsFromNow(11), toleranceSeconds: 10 }),
    "11 seconds old",
  );
});

Deno.test("of several v1, one that fits is enough, in any place and letter case, beside other schemes", async () => {
  const header = await sign({ body: BODY, secret: "whsec_blr", at: NOW });
  const [time, v1] = header.split(",");
  const other = `v1=${"0".repeat(64)}`;
  const accepted = [
    `${time},${other},${v1}`,
    `${v1},${other},${time}`,
    ` ${time} , ${v1?.toUpperCase().replace("V1", "v1")} `,
    `${time},v0=${"0".repeat(64)},${v1},v2=new`,
  ];
  for (const header of accepted) assert((await verify({ header })).ok, header);
  const fits = "The signature fits no webhook secret";
  const onlyOther = `${time},${other},${other}`;
  assertStringIncludes(await reason({ header: onlyOther }), fits);
});

Deno.test("a missing header and malformed ones are refused with what they should be", async () => {
  for (const header of [null, ""]) {
    assertEquals(
      await reason({ header }),
      "The header Webhook-Signature is missing.",
    );
  }
  const v1 = `v1=${"0".repeat(64)}`;
  const malformed = [
    "nonsense",
    ",",
    v1,
    "t=1764590400",
    `t=,${v1}`,
    `t=soon,${v1}`,
    `t=-5,${v1}`,
    `t=1e9,${v1}`,
    `t=${"9".repeat(20)},${v1}`,
    `t=1764590400,t=1764590400,${v1}`,
    `t=1764590400,t=1764590401,${v1}`,
    `t=1764590400;${v1}`,
    "t=1764590400,v1=",
    "t=1764590400,v1=abc",
    `t=1764590400,v1=${"g".repeat(64)}`,
    `t=1764590400,${v1},v1=abc`,
    `t=1764590400,${v1},`,
  ];
  for (const header of malformed) {
    assertStringIncludes(
      await reason({ header }),
      "must be like t=<Unix seconds>",
      header,
    );
  }
});
