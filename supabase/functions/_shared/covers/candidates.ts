/** What a row says about its cover. */
export interface CoverSource {
  /** `canonical_events.cover_image_url`: an address, a path below the app's base URL, or nothing. */
  coverImageUrl: string | null;
  /** `event_cultures.asset_file` as it is in the table, for example `Health&Fitness.png`. */
  stickerFile: string | null;
}

/**
 * The covers to try, best first: the row's own, its culture's sticker, the app's placeholder.
 * Nothing is checked here; an address that cannot be used is refused by `fetchImage` with the reason.
 *
 * @param appBaseUrl for example `https://game.zo.xyz`, with or without a final slash
 */
export function coverCandidates(
  source: CoverSource,
  appBaseUrl: string,
): string[] {
  const base = appBaseUrl.replace(/\/+$/, "");
  const candidates: string[] = [];
  const own = source.coverImageUrl?.trim();
  if (own) candidates.push(URL.parse(own, `${base}/`)?.href ?? own);
  const sticker = source.stickerFile?.trim();
  if (sticker) {
    candidates.push(
      `${base}/Cultural%20Stickers/${encodeURIComponent(sticker)}`,
    );
  }
  candidates.push(`${base}/dashboard-assets/event-placeholder.jpg`);
  return candidates;
}
