/** Bodies as broken, hostile and strange senders write them, signed all the same, for property tests. */
import fc from "fast-check";
import { delivery, json, text } from "./deliveries_for_tests.ts";
import { MAX_DEPTH } from "./receive.ts";

/** JSON that stands for much more than it is long, or that other readers of JSON take otherwise. */
const strange = fc.oneof(
  fc.constantFrom("1e400", "-1e400", "1e-400", "-0", `${"9".repeat(400)}`),
  fc.constantFrom('"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83c"'),
  fc.constantFrom('{"__proto__":{"type":"x"},"constructor":1}', '{"":{"":[]}}'),
  fc.tuple(
    fc.constantFrom(["[", "]"], ['{"a":', "}"]),
    // Some of them around the deepest that is taken.
    fc.oneof(fc.nat(2 * MAX_DEPTH), fc.nat(3_000)),
  )
    .map(([[open, close], depth]) =>
      open!.repeat(depth) + "1" + close!.repeat(depth)
    ),
  json.map((value) => JSON.stringify(value)),
);

/** A body of which most is as Luma sends it. */
const whole = delivery.map(([type, data]) => JSON.stringify({ type, data }));
const withStrange = fc.tuple(delivery, strange, text).map((
  [[type, data], value, name],
) =>
  JSON.stringify({ type, data }).replace(
    /\}\}$/,
    () => `,${JSON.stringify(name)}:${value}}}`,
  )
);
const cut = fc.tuple(whole, fc.nat()).map(([body, at]) =>
  body.slice(0, at % (body.length + 1))
);

const written = fc.oneof(
  { weight: 4, arbitrary: whole },
  { weight: 4, arbitrary: withStrange },
  { weight: 1, arbitrary: cut },
  { weight: 1, arbitrary: strange },
  {
    weight: 1,
    arbitrary: fc.tuple(strange, strange).map(([type, data]) =>
      `{"type":${type},"data":${data}}`
    ),
  },
);

/** The bytes of a body. */
export const body: fc.Arbitrary<Uint8Array<ArrayBuffer>> = fc.oneof(
  {
    weight: 9,
    arbitrary: written.map((text) => new TextEncoder().encode(text)),
  },
  {
    weight: 1,
    arbitrary: fc.uint8Array({ maxLength: 100 }).map((bytes) =>
      new Uint8Array(bytes)
    ),
  },
);
