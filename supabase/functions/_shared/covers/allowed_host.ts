import { CoverError, shownUrl } from "./cover_error.ts";

/**
 * Reads an address and checks that covers may be fetched from it, so that an address in a row can
 * never make the function call itself, the cloud's metadata service or a private network.
 *
 * Allowed are https on the default port to a host of the list, and exactly what an entry with a
 * port names (`127.0.0.1:54321`, the local stack), there over http as well. Address literals and
 * localhost need such an entry. `*.supabase.co` stands for every name below supabase.co.
 * What the name resolves to is looked at by fetch_image.ts.
 *
 * @throws CoverError invalid_url, not_https or host_not_allowed; none is transient.
 */
export function allowedUrl(
  address: string,
  allowedHosts: readonly string[],
): URL {
  const url = URL.parse(address);
  const shown = shownUrl(address);
  if (!url) {
    throw new CoverError(
      "invalid_url",
      `The cover address "${shown}" is not a web address. Set one that starts with https://.`,
    );
  }
  if (url.username || url.password) {
    throw new CoverError(
      "invalid_url",
      `The cover address ${shown} carries a user name or password. Set the address without it.`,
    );
  }
  const hosts = allowedHosts.map((entry) => entry.trim().toLowerCase());
  if (isNamedWithPort(url, hosts)) return url;
  if (url.protocol !== "https:") {
    throw new CoverError(
      "not_https",
      `The cover address ${shown} does not start with https://. Upload the image and set its https address.`,
    );
  }
  if (
    url.port !== "" || isLocal(url.hostname) ||
    !hosts.some((host) => covers(host, url))
  ) {
    throw new CoverError(
      "host_not_allowed",
      `Covers are not fetched from ${url.host} (${shown}). Upload the image to the app's bucket, ` +
        `or add the host to COVER_ALLOWED_HOSTS if it is the app's own.`,
    );
  }
  return url;
}

/** Whether an entry names exactly this host and port: then it may be a private address, as of the local stack. */
export function isNamedWithPort(url: URL, allowedHosts: readonly string[]) {
  return isWeb(url) &&
    allowedHosts.some((entry) =>
      entry.trim().toLowerCase() === hostAndPort(url)
    );
}

function isWeb(url: URL): boolean {
  return url.protocol === "https:" || url.protocol === "http:";
}

/** With the port spelled out, because an entry that names a port means that port only. */
function hostAndPort(url: URL): string {
  return `${url.hostname}:${
    url.port || (url.protocol === "https:" ? "443" : "80")
  }`;
}

/** URL writes every form of an IPv4 address (0x7f.1, 2130706433) as dotted numbers. */
function isLocal(hostname: string): boolean {
  return hostname.startsWith("[") || /^[\d.]+$/.test(hostname) ||
    /(^|\.)localhost\.?$/.test(hostname);
}

function covers(entry: string, url: URL): boolean {
  // A wildcard needs two labels after it: "*.co" or "*." would allow nearly everything.
  return /^\*\.[^.]+\.[^.]/.test(entry)
    ? url.hostname.endsWith(entry.slice(1))
    : url.hostname === entry;
}
