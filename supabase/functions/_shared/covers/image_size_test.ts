import { assertEquals, assertThrows } from "@std/assert";
import { CoverError } from "./cover_error.ts";
import { imageType } from "./image.ts";
import { imageSize } from "./image_size.ts";
import {
  filled,
  gif,
  image,
  jpeg,
  painted,
  png,
  webp,
} from "./images_for_tests.ts";

Deno.test("sizes and types of every form are read from the bytes alone", async () => {
  const flat = filled(37, 22, [10, 200, 90, 255]);
  const seeThrough = painted(37, 22, (x) => [10, 200, 90, x]);
  const made = {
    jpeg: await jpeg(flat),
    png: await png(flat),
    lossy: await webp(flat),
    lossless: await webp(flat, { lossless: 1 }),
    extended: await webp(seeThrough),
    gif: gif(37, 22, [0, 0xffffff], [new Uint8Array(37 * 22)]),
  };
  for (const [form, one] of Object.entries(made)) {
    assertEquals(imageSize(one), { width: 37, height: 22 }, form);
    assertEquals(imageType(one.bytes), one.type, form);
  }
});

Deno.test("a JPEG's size is found behind padding and large segments, and not in an EXIF thumbnail", async () => {
  const plain = await jpeg(filled(37, 22, [10, 200, 90, 255]));
  const thumbnail = await jpeg(filled(8, 8, [0, 0, 0, 255]));
  const length = 2 + thumbnail.bytes.length;
  const bytes = new Uint8Array([
    ...plain.bytes.subarray(0, 2),
    ...[0xff, 0xff, 0xff, 0xe1, length >> 8, length & 255],
    ...thumbnail.bytes,
    ...plain.bytes.subarray(2),
  ]);
  assertEquals(imageSize(image("image/jpeg", bytes)), {
    width: 37,
    height: 22,
  });
  // The thumbnail's end marker must not make a cut image look whole.
  const cut = bytes.slice(0, -2);
  assertThrows(() => imageSize(image("image/jpeg", cut)), CoverError);
});

Deno.test("a size of zero is a damaged image", async () => {
  const { bytes } = await png(filled(8, 8, [0, 0, 0, 255]));
  new DataView(bytes.buffer).setUint32(16, 0);
  assertThrows(
    () => imageSize(image("image/png", bytes)),
    CoverError,
    "damaged",
  );
});

Deno.test("anything but the four types has no type", () => {
  const encode = (text: string) => new TextEncoder().encode(text);
  for (
    const text of [
      "",
      "<!doctype html>",
      "GIF",
      "RIFF1234WAVE",
      "BM1234",
      "<svg/>",
    ]
  ) {
    assertEquals(imageType(encode(text)), null, text);
  }
});
