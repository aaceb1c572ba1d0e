/** The app's public files: what covers are made of, drawn here so that a local stack calls nobody's website. */
import { crc32, deflateSync } from "node:zlib";

const SIDE = 320;
const STRIPE = 40;

/** The folders of the app's site that covers come from. */
const IMAGE =
  /^\/(Cultural Stickers|dashboard-assets|covers)\/[^/]+\.(png|jpe?g)$/i;

/**
 * A sticker, the placeholder or an uploaded cover, each in colours of its own; undefined for a path that is none.
 * Always a PNG, whatever the name ends with. Use another ending, as in /covers/lost.txt, to try a lost cover.
 *
 * @param pathname below APP_BASE_URL, percent-encoded, for example /Cultural%20Stickers/Food.png
 */
export function appFile(pathname: string): Response | undefined {
  const path = decoded(pathname);
  if (path === undefined || !IMAGE.test(path)) return undefined;
  const hue = crc32(path);
  const colour = [hue & 255, hue >> 8 & 255, hue >> 16 & 255] as const;
  return new Response(stripedPng(colour), {
    headers: { "content-type": "image/png" },
  });
}

function decoded(pathname: string): string | undefined {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return undefined;
  }
}

/** Diagonal stripes of one colour on white (https://www.w3.org/TR/png-3/ for the format). */
function stripedPng(
  colour: readonly [red: number, green: number, blue: number],
): Uint8Array<ArrayBuffer> {
  const row = 1 + SIDE * 3; // Each row starts with its filter: 0, none.
  const pixels = new Uint8Array(SIDE * row);
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const striped = Math.floor((x + y) / STRIPE) % 2 === 0;
      pixels.set(striped ? colour : [255, 255, 255], y * row + 1 + x * 3);
    }
  }
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, SIDE);
  header.setUint32(4, SIDE);
  header.setUint8(8, 8); // Bits a channel.
  header.setUint8(9, 2); // Red, green, blue.
  return joined([
    new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("IDAT", new Uint8Array(deflateSync(pixels))),
    chunk("IEND", new Uint8Array()),
  ]);
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const typed = joined([new TextEncoder().encode(type), data]);
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, data.length);
  const checksum = new DataView(new ArrayBuffer(4));
  checksum.setUint32(0, crc32(typed));
  return joined([
    new Uint8Array(length.buffer),
    typed,
    new Uint8Array(checksum.buffer),
  ]);
}

function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
