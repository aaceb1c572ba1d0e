import { ApiError } from "./errors.ts";

const CDN = "https://images.lumacdn.com/";

/**
 * What comes back of a `description_md`. Luma keeps its own rich text and renders Markdown from
 * it, so the text that returns is the same in meaning and different in form: line ends, trailing
 * spaces, bullets, emphasis marks and runs of blank lines are made uniform. Applying it twice
 * changes nothing more.
 * @throws ApiError 400 for an image outside Luma's CDN (Luma OpenAPI, /v1/events/create).
 */
export function renderedMarkdown(markdown: string): string {
  for (
    const [, address] of markdown.matchAll(/!\[[^\]]*\]\(\s*<?([^)\s>]*)/g)
  ) {
    if (address === undefined || address.startsWith(CDN)) continue;
    throw new ApiError(
      400,
      `description_md: the image "${address}" is not on ${CDN}; upload it with /v1/images/create-upload-url first`,
    );
  }
  return markdown
    .replace(/\r\n?/g, "\n")
    .replace(/[ \t]+$/gm, "")
    .replace(/^([ \t]*)[*+] /gm, "$1- ")
    .replace(/^ {0,3}(?:\*[ ]?){3,}$|^ {0,3}_{3,}$/gm, "---")
    .replace(/__(?=\S)(.+?)(?<=\S)__/g, "**$1**")
    .replace(/\n{3,}/g, "\n\n")
    .trim();
}

/** The `description` beside it: the same text without Markdown's marks. */
export function plainText(markdown: string): string {
  return markdown
    .replace(/!\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/^ {0,3}#{1,6} +/gm, "")
    .replace(/[*_`~]{1,3}(?=\S)|(?<=\S)[*_`~]{1,3}/g, "");
}
