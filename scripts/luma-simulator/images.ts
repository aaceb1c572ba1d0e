import { ApiError } from "./errors.ts";
import type { SimImage, World } from "./world.ts";

export const CDN = "https://images.lumacdn.com/";
/** What an event without a cover of its own shows; on the CDN without an upload. */
export const DEFAULT_COVER_URL = `${CDN}event-defaults/standard.png`;

const MAGIC = {
  "image/jpeg": [0xff, 0xd8, 0xff],
  "image/png": [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
} as const;

/** A place for one image; `upload_url` takes a PUT without a key, as storage addresses do. */
export function createUploadUrl(
  world: World,
  baseUrl: string,
  contentType: SimImage["contentType"],
): { upload_url: string; file_url: string } {
  const name = world.random(24);
  world.images.set(name, { name, contentType, bytes: null });
  return {
    upload_url: `${baseUrl}/_cdn/upload/${name}`,
    file_url: `${CDN}uploads/${name}`,
  };
}

/** @throws ApiError 403 without an upload address, 400 for a wrong type or for bytes that are no such image. */
export function upload(
  world: World,
  name: string,
  contentType: string,
  bytes: Uint8Array,
): void {
  const image = world.images.get(name);
  if (!image) throw new ApiError(403, `no upload address was made for ${name}`);
  if (contentType !== "image/jpeg" && contentType !== "image/png") {
    throw new ApiError(
      400,
      `content-type: send image/jpeg or image/png, not "${contentType}"`,
    );
  }
  if (image.contentType !== null && image.contentType !== contentType) {
    throw new ApiError(
      403,
      `content-type: this upload address was made for ${image.contentType}, not ${contentType}`,
    );
  }
  if (!MAGIC[contentType].every((byte, i) => bytes[i] === byte)) {
    throw new ApiError(400, `the body is not ${contentType}`);
  }
  image.bytes = bytes;
}

/** @throws ApiError 400 for an address that this CDN did not hand out, or that nothing was uploaded to. */
export function checkCover(world: World, coverUrl: string): void {
  if (coverUrl === DEFAULT_COVER_URL) return;
  const image = world.images.get(coverUrl.slice(`${CDN}uploads/`.length));
  const known = image !== undefined &&
    coverUrl === `${CDN}uploads/${image.name}`;
  if (!known) {
    throw new ApiError(
      400,
      `cover_url: "${coverUrl}" is not an address that /v1/images/create-upload-url gave out`,
    );
  }
  if (image.bytes === null) {
    throw new ApiError(
      400,
      `cover_url: nothing has been uploaded to "${coverUrl}" yet`,
    );
  }
}
