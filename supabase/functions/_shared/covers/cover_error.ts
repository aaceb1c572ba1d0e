/** Why a cover cannot be used. */
export type CoverReason =
  | "invalid_url"
  | "not_https"
  | "host_not_allowed"
  | "not_found"
  | "http"
  | "timeout"
  | "network"
  | "too_large"
  | "empty"
  | "not_an_image"
  | "too_many_pixels"
  | "undecodable";

/**
 * One cover that cannot be used. The message is for an admin: it names the address and what to do.
 * `transient` tells whether the same address may work later.
 */
export class CoverError extends Error {
  override readonly name = "CoverError";

  constructor(
    readonly reason: CoverReason,
    message: string,
    readonly transient = false,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * An address as messages and logs may show it. User-info, query and fragment are left out, because
 * a signed Storage address carries its token there; long ones (data: addresses) are cut.
 */
export function shownUrl(address: string): string {
  const url = URL.parse(address);
  const bare = url?.host
    ? `${url.protocol}//${url.host}${url.pathname}`
    : address;
  return bare.length > 200 ? `${bare.slice(0, 200)}…` : bare;
}
