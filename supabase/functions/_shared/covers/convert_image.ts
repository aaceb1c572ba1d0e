import { loadCodecs } from "./codecs.ts";
import { CoverError } from "./cover_error.ts";
import type { Image } from "./image.ts";
import { imageSize, isAnimatedWebp } from "./image_size.ts";
import { type Pixels, scaleDown } from "./scale_down.ts";

/** What Luma's upload takes (Luma OpenAPI, /v1/images/create-upload-url: `content_type`). */
export interface Uploadable {
  type: "image/jpeg" | "image/png";
  bytes: Uint8Array<ArrayBuffer>;
  /** False when the bytes are those that were given. */
  converted: boolean;
}

/**
 * The most pixels that are decoded: photographs of 12 megapixels (4032 × 3024,
 * 4096 × 3072) pass. The dearest of those, WebP with transparency, took 187 MB
 * at its highest, and an Edge Function has 256.
 */
export const MAX_CONVERTED_PIXELS = 13_000_000;

/** For what is passed on undecoded: no camera makes more from 5 MB, so it would be a bomb for Luma. */
export const MAX_PASSED_PIXELS = 100_000_000;

/**
 * The longer side after a conversion. Encoding costs in proportion to the pixels: with 2000 instead
 * of 1600 a photograph of 12 megapixels comes a quarter of a second closer to the limit of 2 s.
 */
export const MAX_CONVERTED_SIDE = 1600;

/**
 * Makes an image what Luma takes: JPEG and PNG stay as they are, WebP becomes JPEG (PNG when
 * anything in it is transparent), GIF becomes a PNG of its first frame.
 *
 * A photograph of 12 megapixels takes about 1 s of CPU time (an Edge Function has 2 for a request)
 * and up to 187 MB, and a second one right after it 40 MB more. So convert one at a time, and one a
 * request.
 *
 * @throws CoverError too_many_pixels or undecodable; transient only when the codecs did not load
 */
export async function toUploadable(image: Image): Promise<Uploadable> {
  checkPixels(image);
  if (image.type === "image/jpeg" || image.type === "image/png") {
    return { type: image.type, bytes: image.bytes, converted: false };
  }
  if (isAnimatedWebp(image)) {
    throw new CoverError(
      "undecodable",
      `The image at ${image.url} is an animated WebP. Upload a still image or a GIF.`,
    );
  }
  const codecs = await loadCodecs().catch((cause) => {
    throw new CoverError(
      "undecodable",
      `The image at ${image.url} was not converted, because the converter did not load: ${cause}. ` +
        `Deploy the functions again, or upload a JPEG or PNG.`,
      true,
      { cause },
    );
  });
  try {
    const webp = image.type === "image/webp";
    const decoded = webp
      ? await codecs.decodeWebp(image.bytes)
      : codecs.decodeGif(image.bytes);
    const pixels = scaleDown(decoded, MAX_CONVERTED_SIDE);
    // Frees up to 50 MB before encoding takes its own. The garbage collector alone let memory
    // grow with every image that was converted.
    if (pixels !== decoded) decoded.data.buffer.transfer(0);
    return webp && isOpaque(pixels)
      ? {
        type: "image/jpeg",
        bytes: await codecs.encodeJpeg(pixels),
        converted: true,
      }
      : {
        type: "image/png",
        bytes: await codecs.encodePng(pixels),
        converted: true,
      };
  } catch (cause) {
    throw new CoverError(
      "undecodable",
      `The image at ${image.url} cannot be read as ${image.type}. Upload it again, best as JPEG or PNG.`,
      false,
      { cause },
    );
  }
}

function checkPixels(image: Image): void {
  const { width, height } = imageSize(image);
  const passed = image.type === "image/jpeg" || image.type === "image/png";
  const most = passed ? MAX_PASSED_PIXELS : MAX_CONVERTED_PIXELS;
  if (width * height > most) {
    throw new CoverError(
      "too_many_pixels",
      `The image at ${image.url} has ${width} × ${height} pixels, more than the ${
        most / 1_000_000
      } million that are possible for ${image.type}. Upload a smaller one, or a JPEG.`,
    );
  }
}

function isOpaque({ data }: Pixels): boolean {
  for (let alpha = 3; alpha < data.length; alpha += 4) {
    if (data[alpha] !== 255) return false;
  }
  return true;
}
