/** Where to go on in a list, and how much to take: Luma caps the page size. */
export interface PageQuery {
  /** `next_cursor` of the page before. */
  cursor?: string;
  limit?: number;
}

/** The query parameters of a page, as every paged route names them. */
export function paging({ cursor, limit }: PageQuery) {
  return { pagination_cursor: cursor, pagination_limit: limit };
}
