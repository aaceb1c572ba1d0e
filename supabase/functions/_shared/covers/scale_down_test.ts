import { assert, assertEquals } from "@std/assert";
import { colourAt, filled, painted } from "./images_for_tests.ts";
import { scaleDown } from "./scale_down.ts";

Deno.test("an image within the limit is handed back as it is", () => {
  const pixels = filled(20, 10, [1, 2, 3, 255]);
  assert(scaleDown(pixels, 20) === pixels);
});

Deno.test("each new pixel is the mean of those it replaces", () => {
  const pixels = painted(
    4,
    2,
    (x) => x % 2 ? [200, 0, 100, 255] : [100, 0, 0, 255],
  );
  const half = scaleDown(pixels, 2);
  assertEquals([half.width, half.height], [2, 1]);
  assertEquals(colourAt(half, 0, 0), [150, 0, 50, 255]);
  assertEquals(colourAt(half, 1, 0), [150, 0, 50, 255]);
});

Deno.test("the hidden colour of transparent pixels does not tint the others", () => {
  const pixels = painted(2, 2, (x) => x ? [0, 255, 0, 0] : [200, 0, 0, 255]);
  assertEquals(colourAt(scaleDown(pixels, 1), 0, 0), [200, 0, 0, 128]);
});

Deno.test("a very long image keeps at least one pixel of its short side", () => {
  const { width, height } = scaleDown(filled(5000, 1, [9, 9, 9, 255]), 100);
  assertEquals([width, height], [100, 1]);
});
