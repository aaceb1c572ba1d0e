/** What the files of the pages have in common. */
import type { Child } from "hono/jsx";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { Reader } from "./queries.ts";

/** What a page has to say; `status` unless it is 200. */
export interface Page {
  title: string;
  body: Child;
  status?: ContentfulStatusCode;
}

/** Reads and draws one page; `query` and `id` come from its address. */
export type PageOf = (
  tx: Reader,
  request: { query: Record<string, string>; id: string; now: Date },
) => Promise<Page>;
