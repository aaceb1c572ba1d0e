import { ApiError } from "./errors.ts";

type Key = string | number | null;

/** Luma's list parameters, as the schemas have parsed them. */
export interface PageRequest {
  pagination_cursor?: string | undefined;
  pagination_limit?: number | undefined;
  sort_direction?:
    | "asc"
    | "desc"
    | "asc nulls last"
    | "desc nulls last"
    | undefined;
}

export interface Page<T> {
  entries: T[];
  has_more: boolean;
  next_cursor?: string;
}

/**
 * One page of `items`, sorted by `keyOf` and then by id. The cursor holds the sort key and id of
 * the last entry, not a position: rows that appear or vanish between two pages then neither
 * repeat nor hide others.
 */
export function page<T extends { id: string }>(
  items: T[],
  request: PageRequest,
  maxLimit: number,
  keyOf: (item: T) => Key,
): Page<T> {
  const compare = comparator(request.sort_direction ?? "asc");
  const sorted = items
    .map((item) => ({ item, at: [keyOf(item), item.id] as const }))
    .sort((a, b) => compare(a.at, b.at));
  const cursor = request.pagination_cursor;
  const after = cursor === undefined ? undefined : decode(cursor);
  const rest = after === undefined
    ? sorted
    : sorted.filter((entry) => compare(entry.at, after) > 0);
  const limit = Math.min(request.pagination_limit ?? maxLimit, maxLimit);
  const entries = rest.slice(0, limit);
  const last = entries.at(-1);
  const hasMore = rest.length > entries.length;
  return {
    entries: entries.map((entry) => entry.item),
    has_more: hasMore,
    ...(hasMore && last ? { next_cursor: encode(last.at) } : {}),
  };
}

type Position = readonly [Key, string];

/** As Postgres sorts: without "nulls last", nulls come first when descending. */
function comparator(direction: string) {
  const sign = direction.startsWith("desc") ? -1 : 1;
  const nullSign = direction === "desc" ? -1 : 1;
  return ([keyA, idA]: Position, [keyB, idB]: Position): number => {
    if (keyA === null || keyB === null) {
      if (keyA !== keyB) return (keyA === null ? 1 : -1) * nullSign;
    } else if (keyA !== keyB) {
      return (keyA < keyB ? -1 : 1) * sign;
    }
    return idA === idB ? 0 : (idA < idB ? -1 : 1) * sign;
  };
}

function encode(position: Position): string {
  const bytes = new TextEncoder().encode(JSON.stringify(position));
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

function decode(cursor: string): Position {
  try {
    const bytes = Uint8Array.fromBase64(cursor, { alphabet: "base64url" });
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (Array.isArray(value) && value.length === 2) {
      const [key, id]: unknown[] = value;
      const isKey = key === null || typeof key === "string" ||
        typeof key === "number";
      if (isKey && typeof id === "string") return [key, id];
    }
  } catch {
    // Falls through to the refusal: what cannot be read is no cursor of ours.
  }
  throw new ApiError(
    400,
    `pagination_cursor: "${cursor}" is not a cursor of this API; send a next_cursor as it was given`,
  );
}
