/** From a row's cover to an address on Luma's CDN: each image is uploaded once, whoever needs it first. */
import { coverCandidates } from "../covers/candidates.ts";
import { toUploadable } from "../covers/convert_image.ts";
import { CoverError } from "../covers/cover_error.ts";
import { fetchImage } from "../covers/fetch_image.ts";
import type { Image } from "../covers/image.ts";
import type { Resolve } from "../covers/private_address.ts";
import type { LumaClient } from "../luma/client.ts";
import { LumaError } from "../luma/errors.ts";
import type { Store } from "../store.ts";
import type { EventJob, EventState } from "./job.ts";

/** This run has done its share of CPU-heavy work; another has to go on with the job. */
export class NextRun extends Error {
  override readonly name = "NextRun";
}

/** What covers need from outside. */
export interface CoverDeps {
  store: Pick<
    Store,
    "coverBegin" | "coverUploaded" | "coverFailed" | "coverFreed"
  >;
  /** For the app's images. */
  fetch: typeof fetch;
  resolve?: Resolve;
  appUrl: string;
  coverHosts: readonly string[];
  sleep: (ms: number) => Promise<void>;
  /** True once per run: an image is converted in one second of CPU, of the two that a request has. */
  mayConvert: () => boolean;
}

/** The best cover there is now. `pending`: a better one may be there later. */
export interface Cover {
  url: string | undefined;
  warnings: string[];
  pending: boolean;
}

const LUMA_CDN = "https://images.lumacdn.com/";

/** How long to wait for another drain's upload of the same image. */
const BUSY_WAIT_MS = 250;
const BUSY_TRIES = 20;

/**
 * The cover for an event: the row's image, else its culture's sticker, else the placeholder, else none.
 * Never fails because of an image; what was wrong with the better ones comes back as warnings.
 * Throws NextRun, and LumaError when Luma cannot be reached.
 */
export async function resolveCover(
  job: EventJob,
  state: EventState,
  client: Pick<LumaClient, "createUploadUrl" | "uploadImage">,
  deps: CoverDeps,
): Promise<Cover> {
  const warnings: string[] = [];
  let pending = false;
  const candidates = coverCandidates({
    coverImageUrl: state.cover_image_url,
    stickerFile: job.culture?.asset_file ?? null,
  }, deps.appUrl);
  for (const source of candidates) {
    const found = await uploadOnce(source, client, deps);
    if (found.url !== undefined) return { url: found.url, warnings, pending };
    pending ||= found.transient;
    // The sticker and the placeholder are fallbacks: only the host's own image is worth a warning.
    if (source === candidates[0] && state.cover_image_url?.trim()) {
      warnings.push(found.error);
    }
  }
  return { url: undefined, warnings, pending };
}

type Found =
  | { url: string }
  | { url?: never; error: string; transient: boolean };

async function uploadOnce(
  source: string,
  client: Pick<LumaClient, "createUploadUrl" | "uploadImage">,
  deps: CoverDeps,
): Promise<Found> {
  // A cover that came from Luma: it is there already.
  if (source.startsWith(LUMA_CDN)) return { url: source };
  for (let tries = 0; tries < BUSY_TRIES; tries++) {
    const begin = await deps.store.coverBegin(source);
    switch (begin.state) {
      case "uploaded":
        return { url: begin.luma_url };
      case "failed":
        return {
          error: begin.error ?? `${source} failed before.`,
          transient: begin.transient,
        };
      case "upload":
        return await upload(source, client, deps);
      case "busy":
        await deps.sleep(BUSY_WAIT_MS);
    }
  }
  const error = `${source} is still being uploaded by another run.`;
  return { error, transient: true };
}

async function upload(
  source: string,
  client: Pick<LumaClient, "createUploadUrl" | "uploadImage">,
  deps: CoverDeps,
): Promise<Found> {
  try {
    const image = await fetchImage(source, {
      fetch: deps.fetch,
      resolve: deps.resolve,
      allowedHosts: deps.coverHosts,
    });
    const { bytes, type } = await uploadable(image, deps);
    const target = await client.createUploadUrl(type);
    await client.uploadImage(target.upload_url, bytes, type);
    await deps.store.coverUploaded(source, target.file_url);
    return { url: target.file_url };
  } catch (error) {
    if (error instanceof CoverError) {
      await deps.store.coverFailed(source, error.message, error.transient);
      return { error: error.message, transient: error.transient };
    }
    const refusal = refusalOf(error);
    if (refusal) {
      const { message, transient } = refusal;
      await deps.store.coverFailed(source, message, transient);
      return { error: message, transient };
    }
    // Not the image's fault: free it at once for the next try.
    await deps.store.coverFreed(source);
    throw error;
  }
}

/**
 * Luma answered, but would not have this image: then trying again with the same one is no use. The upload
 * address is not given the key, so its 401 and 403 are not about the key: it has run out.
 */
function refusalOf(
  error: unknown,
): { message: string; transient: boolean } | null {
  if (!(error instanceof LumaError) || error.kind !== "http") return null;
  const { message, status, route } = error;
  if (route.startsWith("PUT ") && (status === 401 || status === 403)) {
    return { message, transient: true };
  }
  return [400, 404, 409, 411, 413, 415, 422].includes(status ?? 0)
    ? { message, transient: false }
    : null;
}

async function uploadable(image: Image, deps: CoverDeps) {
  const converts = image.type === "image/webp" || image.type === "image/gif";
  if (converts && !deps.mayConvert()) {
    throw new NextRun(`${image.url} has to be converted`);
  }
  return await toUploadable(image);
}
