import { assertEquals, assertThrows } from "@std/assert";
import { ApiError } from "./errors.ts";
import { page } from "./paging.ts";
import { withSimulator } from "./testing.ts";

type Row = { id: string; key: number | null };
const keyOf = (row: Row) => row.key;

function walk(rows: Row[], request: object, pageSize: number): string[][] {
  const pages: string[][] = [];
  let cursor: string | undefined;
  do {
    const found = page(
      rows,
      { ...request, pagination_cursor: cursor },
      pageSize,
      keyOf,
    );
    pages.push(found.entries.map((row) => row.id));
    assertEquals(found.has_more, found.next_cursor !== undefined);
    cursor = found.next_cursor;
  } while (cursor !== undefined && pages.length <= rows.length);
  return pages;
}

const ROWS: Row[] = [
  { id: "c", key: 2 },
  { id: "a", key: 1 },
  { id: "n", key: null },
  { id: "b", key: 2 },
];

Deno.test("pages cover every row once, rows with equal keys by id", () => {
  assertEquals(walk(ROWS, {}, 2), [["a", "b"], ["c", "n"]]);
  assertEquals(walk(ROWS, {}, 3), [["a", "b", "c"], ["n"]]);
});

Deno.test("a larger page than the server allows is cut, a smaller one is given", () => {
  assertEquals(walk(ROWS, { pagination_limit: 100 }, 3)[0]?.length, 3);
  assertEquals(walk(ROWS, { pagination_limit: 1 }, 3)[0]?.length, 1);
});

Deno.test("descending puts nulls first, unless they are asked for last", () => {
  assertEquals(walk(ROWS, { sort_direction: "desc" }, 4), [[
    "n",
    "c",
    "b",
    "a",
  ]]);
  assertEquals(
    walk(ROWS, { sort_direction: "desc nulls last" }, 3),
    [["c", "b", "a"], ["n"]],
  );
});

Deno.test("rows that appear or vanish between two pages neither repeat nor hide others", () => {
  const first = page(ROWS, {}, 2, keyOf);
  const later = [...ROWS.filter((row) => row.id !== "b"), { id: "0", key: 0 }];
  const request = { pagination_cursor: first.next_cursor };
  const second = page(later, request, 2, keyOf);
  assertEquals(second.entries.map((row) => row.id), ["c", "n"]);
});

Deno.test("a cursor that is none is refused with 400", () => {
  const error = assertThrows(
    () => page(ROWS, { pagination_cursor: "what?" }, 2, keyOf),
    ApiError,
    "pagination_cursor",
  );
  assertEquals(error.status, 400);
});

Deno.test("the event list is paged, filtered by time and has no descriptions", async () => {
  await withSimulator({ pageSize: 2 }, async ({ get, create }) => {
    for (const day of ["03", "01", "02"]) {
      await create({
        name: day,
        description_md: "text",
        start_at: `2027-01-${day}T10:00:00Z`,
        end_at: `2027-01-${day}T12:00:00Z`,
      });
    }
    await create({}, "luma-key-zo-events");
    const path = "/v1/calendars/events/list";
    const names = (body: Record<string, unknown>) =>
      (body["entries"] as { name: string }[]).map((entry) => entry.name);
    const first = await get(path);
    assertEquals([names(first.body), first.body["has_more"]], [
      ["01", "02"],
      true,
    ]);
    assertEquals(
      "description_md" in (first.body["entries"] as object[])[0]!,
      false,
    );
    const pagination_cursor = String(first.body["next_cursor"]);
    const second = await get(path, { pagination_cursor });
    assertEquals([names(second.body), second.body["has_more"]], [
      ["03"],
      false,
    ]);
    const after = "2027-01-02T00:00:00Z";
    const before = "2027-01-03T00:00:00Z";
    assertEquals(names((await get(path, { after, before })).body), ["02"]);
  });
});
