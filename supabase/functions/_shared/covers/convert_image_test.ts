import {
  assert,
  assertEquals,
  assertLessOrEqual,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { MAX_CONVERTED_SIDE, toUploadable } from "./convert_image.ts";
import { CoverError, type CoverReason } from "./cover_error.ts";
import { type Image, imageType } from "./image.ts";
import {
  type Colour,
  colourAt,
  filled,
  gif,
  image,
  jpeg,
  painted,
  photograph,
  pixelsOf,
  png,
  webp,
} from "./images_for_tests.ts";

const RED: Colour = [220, 30, 40, 255];
const CLEAR: Colour = [0, 0, 0, 0];
const PALETTE = [0x000000, 0xff0000, 0x00ff00, 0x0000ff];

async function refusal(image: Image): Promise<CoverError> {
  const error = await assertRejects(() => toUploadable(image), CoverError);
  assertStringIncludes(error.message, image.url);
  return error;
}

async function assertRefused(image: Image, reason: CoverReason) {
  assertEquals((await refusal(image)).reason, reason);
}

function assertClose(actual: Colour, expected: Colour) {
  actual.forEach((value, i) => {
    assertLessOrEqual(
      Math.abs(value - (expected[i] ?? 0)),
      8,
      `${actual} is not close to ${expected}`,
    );
  });
}

Deno.test("JPEG and PNG stay the bytes they were", async () => {
  for (
    const original of [
      await jpeg(filled(40, 30, RED)),
      await png(filled(40, 30, CLEAR)),
    ]
  ) {
    const result = await toUploadable(original);
    assertEquals(result.converted, false);
    assertEquals(result.type, original.type);
    assert(result.bytes === original.bytes);
  }
});

Deno.test("a lossy WebP becomes a JPEG of the same size and colour", async () => {
  const result = await toUploadable(await webp(filled(40, 30, RED)));
  assertEquals([result.type, result.converted], ["image/jpeg", true]);
  assertEquals(imageType(result.bytes), "image/jpeg");
  const pixels = await pixelsOf(result);
  assertEquals([pixels.width, pixels.height], [40, 30]);
  assertClose(colourAt(pixels, 20, 15), RED);
});

Deno.test("a lossless WebP becomes a JPEG", async () => {
  const original = await webp(filled(40, 30, RED), { lossless: 1 });
  assertEquals(
    new TextDecoder().decode(original.bytes.subarray(12, 16)),
    "VP8L",
  );
  const result = await toUploadable(original);
  assertEquals(result.type, "image/jpeg");
  assertClose(colourAt(await pixelsOf(result), 20, 15), RED);
});

Deno.test("a WebP with transparency, lossy or lossless, becomes a PNG and keeps it", async () => {
  const half = painted(40, 30, (x) => x < 20 ? CLEAR : RED);
  for (const lossless of [0, 1] as const) {
    const result = await toUploadable(await webp(half, { lossless }));
    assertEquals([result.type, result.converted], ["image/png", true]);
    assertEquals(imageType(result.bytes), "image/png");
    const pixels = await pixelsOf(result);
    assertEquals(colourAt(pixels, 5, 15)[3], 0);
    assertClose(colourAt(pixels, 35, 15), RED);
  }
});

Deno.test("an animated GIF becomes a PNG of its first frame, transparent where that is", async () => {
  const first = new Uint8Array(16 * 8).fill(1);
  first[0] = 0;
  const second = new Uint8Array(16 * 8).fill(3);
  const result = await toUploadable(gif(16, 8, PALETTE, [first, second]));
  assertEquals([result.type, result.converted], ["image/png", true]);
  const pixels = await pixelsOf(result);
  assertEquals([pixels.width, pixels.height], [16, 8]);
  assertEquals(colourAt(pixels, 0, 0), [0, 0, 0, 0]);
  assertEquals(colourAt(pixels, 7, 7), [255, 0, 0, 255]);
});

Deno.test("a large WebP comes out with its longer side at the limit and its shape kept", async () => {
  const result = await toUploadable(
    await webp(photograph(600, 2 * MAX_CONVERTED_SIDE, { grain: 0 })),
  );
  const { width, height } = await pixelsOf(result);
  assertEquals([width, height], [300, MAX_CONVERTED_SIDE]);
});

Deno.test("an image that begins within a larger buffer is converted all the same", async () => {
  const { bytes } = await webp(filled(40, 30, RED));
  const larger = new Uint8Array(bytes.length + 99);
  larger.set(bytes, 50);
  const result = await toUploadable(
    image("image/webp", larger.subarray(50, 50 + bytes.length)),
  );
  assertEquals(result.type, "image/jpeg");
});

Deno.test("images cut in half are undecodable, not transient", async () => {
  const picture = photograph(64, 48, { grain: 40 });
  const originals = [
    await jpeg(picture),
    await png(picture),
    await webp(picture),
    await webp(picture, { lossless: 1 }),
    gif(64, 48, PALETTE, [new Uint8Array(64 * 48).map((_, i) => i % 4)]),
  ];
  for (const original of originals) {
    const half = original.bytes.slice(0, original.bytes.length / 2);
    const error = await refusal({ ...original, bytes: half });
    assertEquals([error.reason, error.transient], ["undecodable", false]);
  }
});

Deno.test("a whole WebP container around broken data is undecodable", async () => {
  const original = await webp(photograph(64, 48, { grain: 40 }));
  const bytes = original.bytes.slice();
  bytes.fill(0, 30);
  bytes.fill(0xff, 23, 26); // the start code of the lossy frame
  await assertRefused({ ...original, bytes }, "undecodable");
});

Deno.test("cut anywhere, an image is refused with a CoverError or comes out whole", async () => {
  const picture = photograph(12, 9, { grain: 40 });
  const originals = [
    await jpeg(picture),
    await png(picture),
    await webp(picture),
    gif(12, 9, PALETTE, [new Uint8Array(12 * 9).fill(2)]),
  ];
  for (const original of originals) {
    for (let length = 0; length < original.bytes.length; length++) {
      const cut = { ...original, bytes: original.bytes.slice(0, length) };
      try {
        await toUploadable(cut);
        // A GIF's last byte only says that nothing follows.
        assertEquals([original.type, length], [
          "image/gif",
          original.bytes.length - 1,
        ]);
      } catch (error) {
        assert(
          error instanceof CoverError,
          `${original.type} at ${length}: ${error}`,
        );
      }
    }
  }
});

Deno.test("an animated WebP is refused with words that say so", async () => {
  const still = await webp(painted(40, 30, (x) => x < 20 ? CLEAR : RED));
  const bytes = still.bytes.slice();
  assertEquals(new TextDecoder().decode(bytes.subarray(12, 16)), "VP8X");
  bytes[20] = (bytes[20] ?? 0) | 0x02;
  const error = await refusal({ ...still, bytes });
  assertEquals(error.reason, "undecodable");
  assertStringIncludes(error.message, "animated WebP");
});

Deno.test("decompression bombs are refused by their headers", async () => {
  const webpBomb = new Uint8Array(40);
  webpBomb.set(new TextEncoder().encode("RIFF"));
  webpBomb[4] = 32;
  webpBomb.set(new TextEncoder().encode("WEBPVP8L"), 8);
  webpBomb.set([20, 0, 0, 0, 0x2f, 0xff, 0xff, 0xff, 0x0f], 16); // 16384 × 16384
  await assertRefused(image("image/webp", webpBomb), "too_many_pixels");

  const { bytes: gifBomb } = gif(8, 8, PALETTE, [new Uint8Array(64)]);
  gifBomb.fill(0xff, 6, 10); // 65535 × 65535
  await assertRefused(image("image/gif", gifBomb), "too_many_pixels");

  const { bytes: pngBomb } = await png(filled(8, 8, RED));
  new DataView(pngBomb.buffer).setUint32(16, 40_000);
  new DataView(pngBomb.buffer).setUint32(20, 40_000);
  await assertRefused(image("image/png", pngBomb), "too_many_pixels");
});

Deno.test("a GIF whose first frame is larger than its canvas is undecodable", async () => {
  const { bytes } = gif(8, 8, PALETTE, [new Uint8Array(64)]);
  new DataView(bytes.buffer).setUint16(6, 4, true);
  await assertRefused(image("image/gif", bytes), "undecodable");
});

Deno.test("the codecs are loaded only when something is converted", async () => {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", import.meta.resolve("./convert_image.ts")],
    stderr: "inherit",
  }).output();
  assertEquals(code, 0);
  const { roots, modules }: ModuleGraph = JSON.parse(
    new TextDecoder().decode(stdout),
  );
  const loaded = new Set<string>(roots);
  for (const specifier of loaded) {
    const module = modules.find((module) => module.specifier === specifier);
    for (const { code, isDynamic } of module?.dependencies ?? []) {
      if (code?.specifier && !isDynamic) loaded.add(code.specifier);
    }
  }
  assert(modules.some(({ specifier }) => specifier.startsWith("npm:")));
  assertEquals(
    [...loaded].filter((specifier) => !specifier.startsWith("file:")),
    [],
  );
});

/** The part of what `deno info --json` prints that the test reads. */
interface ModuleGraph {
  roots: string[];
  modules: {
    specifier: string;
    dependencies?: { code?: { specifier?: string }; isDynamic?: boolean }[];
  }[];
}
