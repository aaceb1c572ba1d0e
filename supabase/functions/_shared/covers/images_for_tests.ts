/** Makes and reads the images that tests and measurements need, so that none has to be stored. */
import decodeJpeg, { init as initJpeg } from "@jsquash/jpeg/decode.js";
import decodePng from "@jsquash/png/decode.js";
import encode, { init as initWebp } from "@jsquash/webp/encode.js";
// @ts-types="./omggif.d.ts"
import { GifWriter } from "omggif";
import type { Uploadable } from "./convert_image.ts";
import type { Image, ImageType } from "./image.ts";
import { loadCodecs } from "./codecs.ts";
import type { Pixels } from "./scale_down.ts";

export type Colour = [red: number, green: number, blue: number, alpha: number];

const wasm = async (file: string, module: string) =>
  (await Deno.readFile(new URL(file, import.meta.resolve(module)))).buffer;

export function image(
  type: ImageType,
  bytes: Uint8Array<ArrayBuffer>,
): Image {
  return { url: "https://covers.test/a", type, bytes };
}

export function filled(width: number, height: number, colour: Colour): Pixels {
  return painted(width, height, () => colour);
}

export function painted(
  width: number,
  height: number,
  colourAt: (x: number, y: number) => Colour,
): Pixels {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) data.set(colourAt(x, y), at);
  }
  return { data, width, height };
}

/** Smooth colours under grain, which compress about as well as a photograph; always the same. */
export function photograph(
  width: number,
  height: number,
  options: { grain: number; transparent?: boolean },
): Pixels {
  let seed = 1;
  return painted(width, height, (x, y) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    const grain = ((seed >>> 16 & 255) / 255 - 0.5) * options.grain;
    return [
      128 + 100 * Math.sin(x / 97) + grain,
      128 + 100 * Math.sin(y / 61 + x / 200) + grain,
      128 + 90 * Math.cos((x + y) / 150) + grain,
      options.transparent ? x * 255 / width : 255,
    ];
  });
}

export async function webp(
  pixels: Pixels,
  options: { quality?: number; lossless?: 0 | 1 } = {},
): Promise<Image> {
  await initWebp({
    wasmBinary: await wasm(
      "codec/enc/webp_enc_simd.wasm",
      "@jsquash/webp/encode.js",
    ),
  });
  const data: ImageData = {
    ...pixels,
    colorSpace: "srgb",
    pixelFormat: "rgba-unorm8",
  };
  const bytes = await encode(data, { method: 2, ...options });
  return image("image/webp", new Uint8Array(bytes));
}

export async function jpeg(pixels: Pixels): Promise<Image> {
  return image(
    "image/jpeg",
    await (await loadCodecs()).encodeJpeg(pixels),
  );
}

export async function png(pixels: Pixels): Promise<Image> {
  return image("image/png", await (await loadCodecs()).encodePng(pixels));
}

/** A GIF with one frame for each list of palette indices; index 0 is transparent. */
export function gif(
  width: number,
  height: number,
  palette: number[],
  frames: Uint8Array[],
): Image {
  const bytes = new Uint8Array(1024 + 2 * width * height * frames.length);
  const writer = new GifWriter(bytes, width, height, { palette, loop: 0 });
  for (const indices of frames) {
    writer.addFrame(0, 0, width, height, indices, {
      delay: 10,
      transparent: 0,
    });
  }
  return image("image/gif", bytes.slice(0, writer.end()));
}

/** The pixels of what a conversion made. */
export async function pixelsOf({ type, bytes }: Uploadable): Promise<Pixels> {
  await loadCodecs(); // loads the PNG codec, which is one for both directions
  await initJpeg({
    wasmBinary: await wasm(
      "codec/dec/mozjpeg_dec.wasm",
      "@jsquash/jpeg/decode.js",
    ),
  });
  const { data, width, height } =
    await (type === "image/png" ? decodePng : decodeJpeg)(
      bytes.buffer,
    );
  return { data: new Uint8ClampedArray(data.buffer), width, height };
}

export function colourAt(pixels: Pixels, x: number, y: number): Colour {
  const at = (y * pixels.width + x) * 4;
  const [red = 0, green = 0, blue = 0, alpha = 0] = pixels.data.subarray(
    at,
    at + 4,
  );
  return [red, green, blue, alpha];
}
