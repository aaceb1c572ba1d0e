import { readBounded } from "../read_bounded.ts";
import { allowedUrl, isNamedWithPort } from "./allowed_host.ts";
import { CoverError, shownUrl } from "./cover_error.ts";
import { type Image, imageType } from "./image.ts";
import { isPrivateAddress, type Resolve } from "./private_address.ts";

export interface FetchImageOptions {
  fetch: typeof fetch;
  /** Host names, `*.` wildcards and `host:port` entries; see {@link allowedUrl}. */
  allowedHosts: readonly string[];
  /** Where a host's addresses are found out, to refuse private ones; without it they are not. */
  resolve?: Resolve;
  /** Default 5 MB, what the app's bucket accepts. */
  maxBytes?: number;
  /** For the whole of it: every redirect and the body. Default 10 seconds. */
  timeoutMs?: number;
}

const FIVE_MEGABYTES = 5 * 1024 * 1024;
const MAX_REDIRECTS = 3;

/**
 * Fetches an image from an allowed host and tells its type from its bytes.
 *
 * @throws CoverError with every reason but too_many_pixels and undecodable. Transient are timeout,
 * network, and http with 408, 429 or 5xx.
 */
export async function fetchImage(
  address: string,
  options: FetchImageOptions,
): Promise<Image> {
  const { maxBytes = FIVE_MEGABYTES, timeoutMs = 10_000 } = options;
  const url = shownUrl(address);
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeoutMs);
  try {
    const response = await follow(address, options, abort.signal);
    const bytes = await readBody(response, url, maxBytes);
    const type = imageType(bytes);
    if (!type) {
      throw new CoverError(
        "not_an_image",
        `What ${url} serves is not a JPEG, PNG, GIF or WebP image. Set the address of the image itself, not of a page.`,
      );
    }
    return { url, type, bytes };
  } catch (error) {
    if (error instanceof CoverError) throw error;
    if (abort.signal.aborted) {
      throw new CoverError(
        "timeout",
        `The cover at ${url} was not there within ${timeoutMs / 1000} seconds.`,
        true,
      );
    }
    const why = error instanceof Error ? error.message : String(error);
    throw new CoverError(
      "network",
      // fetch's own messages repeat the address, with the query that shownUrl leaves out.
      `The cover at ${url} could not be read: ${
        why.replace(/https?:[^\s)"']+/g, shownUrl)
      }`,
      true,
    );
  } finally {
    clearTimeout(timer);
  }
}

/** Redirects are followed by hand, because every hop has to pass the check of hosts. */
async function follow(
  address: string,
  options: FetchImageOptions,
  signal: AbortSignal,
): Promise<Response> {
  const { fetch, allowedHosts } = options;
  let url = allowedUrl(address, allowedHosts);
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    await checkAddresses(url, options);
    const response = await fetch(url, {
      redirect: "manual",
      signal,
      // Image services that choose by this header then spare us the conversion.
      headers: {
        accept:
          "image/jpeg, image/png;q=0.9, image/webp;q=0.8, image/gif;q=0.8",
      },
    });
    if (response.ok) return response;
    await response.body?.cancel();
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || !location) {
      throw statusError(shownUrl(address), response.status);
    }
    url = allowedUrl(URL.parse(location, url)?.href ?? location, allowedHosts);
  }
  throw new CoverError(
    "http",
    `The cover at ${
      shownUrl(address)
    } redirects more than ${MAX_REDIRECTS} times. Set the address it ends at.`,
  );
}

/**
 * An allowed name must not lead into a private network: its owner's DNS may be wrong, or taken over. fetch looks the name
 * up again, so this stops no owner who means it; the list of hosts does.
 */
async function checkAddresses(
  url: URL,
  { allowedHosts, resolve }: FetchImageOptions,
): Promise<void> {
  if (!resolve || isNamedWithPort(url, allowedHosts)) return;
  const addresses = await resolve(url.hostname);
  if (!addresses.some(isPrivateAddress)) return;
  throw new CoverError(
    "host_not_allowed",
    `Covers are not fetched from ${url.host} (${
      shownUrl(url.href)
    }), because the name leads to a private address. Correct its DNS, or upload the image to the app's bucket.`,
  );
}

function statusError(url: string, status: number): CoverError {
  if (status === 404 || status === 410) {
    return new CoverError(
      "not_found",
      `There is no cover at ${url} (HTTP ${status}). Upload the image again.`,
    );
  }
  const transient = status === 408 || status === 429 || status >= 500;
  return new CoverError(
    "http",
    `The cover at ${url} was answered with HTTP ${status}. ` +
      (transient
        ? "Its server may answer later."
        : "Check that the image can be read by everyone."),
    transient,
  );
}

async function readBody(
  response: Response,
  url: string,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const told = Number(response.headers.get("content-length"));
  if (told > maxBytes) await response.body?.cancel();
  const bytes = told > maxBytes
    ? null
    : await readBounded(response.body, maxBytes);
  if (!bytes) {
    throw new CoverError(
      "too_large",
      `The cover at ${url} is larger than ${maxBytes} bytes. Upload a smaller image.`,
    );
  }
  if (bytes.length === 0) {
    throw new CoverError(
      "empty",
      `The cover at ${url} has no content. Upload the image again.`,
    );
  }
  return bytes;
}
