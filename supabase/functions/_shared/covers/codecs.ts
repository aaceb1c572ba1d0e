/**
 * The image codecs, loaded when the first image has to be converted: a drain
 * without conversions loads none of them.
 *
 * Chosen by what an Edge Function may use (256 MB, 2 s of CPU, a bundle of
 * 20 MB) and by measuring, as measure_conversion.ts repeats it:
 * - @jsquash/webp, -jpeg and -png are libwebp, mozjpeg and Rust's png as
 *   WebAssembly of 0.1 to 0.3 MB each. @imagemagick/magick-wasm would do all
 *   of it, but unpacks to 30 MB.
 * - fast-png (JavaScript) took three times the CPU time of @jsquash/png.
 * - jpeg-js (JavaScript) took as long as mozjpeg, for files 60 % larger.
 * - omggif is JavaScript, and decodes 12 megapixels in less time than a WebP.
 */
import type { GifReader } from "./omggif.d.ts";
import type { Pixels } from "./scale_down.ts";

export interface Codecs {
  decodeWebp(bytes: Uint8Array): Promise<Pixels>;
  decodeGif(bytes: Uint8Array): Pixels;
  encodeJpeg(pixels: Pixels): Promise<Uint8Array<ArrayBuffer>>;
  encodePng(pixels: Pixels): Promise<Uint8Array<ArrayBuffer>>;
}

/** Progressive, mozjpeg's default, took 1.4 times the CPU time for files 8 % smaller. */
const JPEG_OPTIONS = { quality: 82, progressive: false };

let loading: Promise<Codecs> | undefined;

/** @throws whatever kept a codec from loading; the next call tries again */
export function loadCodecs(): Promise<Codecs> {
  loading ??= load().catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(): Promise<Codecs> {
  const [webp, jpeg, png, gif] = await Promise.all([
    import("@jsquash/webp/decode.js"),
    import("@jsquash/jpeg/encode.js"),
    import("@jsquash/png/encode.js"),
    // @ts-types="./omggif.d.ts"
    import("omggif"),
  ]);
  // Read as files of the package, as Supabase's guide to WebAssembly libraries does: left alone,
  // the packages would fetch() a file: address, which fails in a deployed function.
  const read = async (file: string, module: string) =>
    (await Deno.readFile(new URL(file, import.meta.resolve(module)))).buffer;
  await Promise.all([
    read("codec/dec/webp_dec.wasm", "@jsquash/webp/decode.js")
      .then((wasmBinary) => webp.init({ wasmBinary })),
    read("codec/enc/mozjpeg_enc.wasm", "@jsquash/jpeg/encode.js")
      .then((wasmBinary) => jpeg.init({ wasmBinary })),
    read("codec/pkg/squoosh_png_bg.wasm", "@jsquash/png/encode.js").then(
      png.init,
    ),
  ]);
  return {
    // Copied, because the decoder takes whole buffers and these bytes may be a part of one.
    decodeWebp: async (bytes) =>
      toPixels(await webp.default(new Uint8Array(bytes).buffer)),
    decodeGif: (bytes) => firstFrame(new gif.GifReader(bytes)),
    encodeJpeg: async (pixels) =>
      new Uint8Array(await jpeg.default(toImageData(pixels), JPEG_OPTIONS)),
    encodePng: async (pixels) =>
      new Uint8Array(await png.default(toImageData(pixels))),
  };
}

function firstFrame(reader: GifReader): Pixels {
  const { x, y, width, height } = reader.frameInfo(0);
  // Its size is not bound by that of the canvas, which is all that was checked before decoding.
  if (x + width > reader.width || y + height > reader.height) {
    throw new Error("the first frame is larger than the image");
  }
  const data = new Uint8ClampedArray(reader.width * reader.height * 4);
  reader.decodeAndBlitFrameRGBA(0, data);
  return { data, width: reader.width, height: reader.height };
}

function toPixels({ data, width, height }: ImageData): Pixels {
  return { data: new Uint8ClampedArray(data.buffer), width, height };
}

/** A plain object: ImageData itself is not there in every version of the Edge Runtime. */
function toImageData(pixels: Pixels): ImageData {
  return { ...pixels, colorSpace: "srgb", pixelFormat: "rgba-unorm8" };
}
