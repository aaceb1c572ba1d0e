/** The image types that the app's bucket accepts, and so the only ones a cover can have. */
export type ImageType = "image/jpeg" | "image/png" | "image/gif" | "image/webp";

/** An image as it was fetched. */
export interface Image {
  /** Where it came from, for messages: without user-info, query and fragment. */
  url: string;
  /** What the bytes are, told from the bytes themselves. */
  type: ImageType;
  bytes: Uint8Array<ArrayBuffer>;
}

/**
 * The type that the first bytes show, or null for anything else. Headers and file extensions are
 * not asked: stores serve HTML error pages as .jpg, and people rename WebP files to .png.
 */
export function imageType(bytes: Uint8Array): ImageType | null {
  const has = (at: number, text: string) =>
    [...text].every((char, i) => bytes[at + i] === char.charCodeAt(0));
  if (has(0, "\xff\xd8\xff")) return "image/jpeg";
  if (has(0, "\x89PNG\r\n\x1a\n")) return "image/png";
  if (has(0, "GIF87a") || has(0, "GIF89a")) return "image/gif";
  if (has(0, "RIFF") && has(8, "WEBP")) return "image/webp";
  return null;
}
