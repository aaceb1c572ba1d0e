import { CoverError } from "./cover_error.ts";
import type { Image, ImageType } from "./image.ts";

export interface ImageSize {
  /** In pixels; of a GIF or an extended WebP, the size of the whole canvas. */
  width: number;
  height: number;
}

/**
 * Reads an image's size from its headers, without decoding a pixel, so that an image that would
 * unpack to gigabytes is refused for the price of a few bytes.
 *
 * @throws CoverError undecodable: cut short, not what its first bytes promise, or an animated WebP
 */
export function imageSize(image: Image): ImageSize {
  let size: ImageSize | null;
  try {
    size = READERS[image.type](viewOf(image.bytes));
  } catch (error) {
    // DataView throws this when a header points past the end.
    if (!(error instanceof RangeError)) throw error;
    size = null;
  }
  if (!size || size.width === 0 || size.height === 0) {
    throw new CoverError(
      "undecodable",
      `The image at ${image.url} is damaged or cut short. Upload it again.`,
    );
  }
  return size;
}

/** Whether it is a WebP of many frames, which the still decoder cannot read. */
export function isAnimatedWebp(image: Image): boolean {
  const ANIMATION = 0x02;
  return image.type === "image/webp" &&
    text(viewOf(image.bytes), 12) === "VP8X" &&
    ((image.bytes[20] ?? 0) & ANIMATION) !== 0;
}

const READERS: Record<ImageType, (data: DataView) => ImageSize | null> = {
  "image/jpeg": jpegSize,
  "image/png": pngSize,
  "image/gif": (data) => ({
    width: data.getUint16(6, true),
    height: data.getUint16(8, true),
  }),
  "image/webp": webpSize,
};

/** The size is in the frame header (SOFn), somewhere before the first scan (SOS). */
function jpegSize(data: DataView): ImageSize | null {
  const SOS = 0xda;
  let size: ImageSize | null = null;
  for (let at = 2; data.getUint8(at) === 0xff;) {
    const marker = data.getUint8(at + 1);
    if (marker === 0xff) { // a marker may be padded with any number of 0xff
      at++;
      continue;
    }
    if (marker === SOS) return endsAfter(data, at) ? size : null;
    if (isFrameHeader(marker)) {
      size = { height: data.getUint16(at + 5), width: data.getUint16(at + 7) };
    }
    at += 2 + data.getUint16(at + 2);
  }
  return null;
}

/** C4 (Huffman tables), C8 (reserved) and CC (arithmetic coding) lie in the range of frame headers. */
function isFrameHeader(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf &&
    ![0xc4, 0xc8, 0xcc].includes(marker);
}

/** An end-of-image marker cannot occur within scan data, so an image without one was cut short. */
function endsAfter(data: DataView, scan: number): boolean {
  for (let at = data.byteLength - 2; at > scan; at--) {
    if (data.getUint16(at) === 0xffd9) return true;
  }
  return false;
}

/** The size is in the first chunk, IHDR; the last one, IEND, shows that the image is whole. */
function pngSize(data: DataView): ImageSize | null {
  if (text(data, 12) !== "IHDR") return null;
  let at = 8;
  while (text(data, at + 4) !== "IEND") at += 12 + data.getUint32(at);
  data.getUint32(at + 8); // the last four bytes; throws when they are missing
  return { width: data.getUint32(16), height: data.getUint32(20) };
}

/** The first chunk is lossy (VP8), lossless (VP8L) or the extended header (VP8X). */
function webpSize(data: DataView): ImageSize | null {
  if (data.getUint32(4, true) + 8 > data.byteLength) return null;
  switch (text(data, 12)) {
    case "VP8 ":
      return {
        width: data.getUint16(26, true) & 0x3fff,
        height: data.getUint16(28, true) & 0x3fff,
      };
    case "VP8L": {
      const bits = data.getUint32(21, true);
      return {
        width: (bits & 0x3fff) + 1,
        height: ((bits >> 14) & 0x3fff) + 1,
      };
    }
    case "VP8X":
      return { width: uint24(data, 24) + 1, height: uint24(data, 27) + 1 };
    default:
      return null;
  }
}

function uint24(data: DataView, at: number): number {
  return data.getUint16(at, true) + data.getUint8(at + 2) * 0x10000;
}

function text(data: DataView, at: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((i) => data.getUint8(at + i)));
}

function viewOf(bytes: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
