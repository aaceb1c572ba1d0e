import { assertEquals, assertRejects } from "@std/assert";
import { LumaError } from "../luma/errors.ts";
import type { LumaEvent } from "../luma/types.ts";
import { readEvent } from "./read_event.ts";
import { JOB } from "./testing.ts";

const EVENT: LumaEvent = {
  id: "evt-1",
  calendar_id: "cal-1",
  name: "Jam",
  start_at: "2026-12-24T18:00:00.000Z",
  end_at: "2026-12-24T20:00:00.000Z",
  timezone: "Asia/Kolkata",
  url: "https://luma.com/jam",
  visibility: "public",
  hosts: [{ id: "usr-1", email: "Host@Example.com", name: "Host" }],
};

function refusal(status: number): LumaError {
  return new LumaError({
    kind: "http",
    route: "GET /v1/events/get",
    status,
  });
}

/** Reads the event from a Luma that answers so, and lists these pages. */
async function read(
  answer: LumaEvent | LumaError,
  { look_tags = false, pages = [] as LumaEvent[][] } = {},
) {
  const asked: unknown[] = [];
  const job = { ...JOB, luma_event_id: "evt-1", look: true, look_tags };
  const news = await readEvent(job, {
    getEvent: (id) => {
      asked.push(id);
      return answer instanceof LumaError
        ? Promise.reject(answer)
        : Promise.resolve(answer);
    },
    listEvents: (query = {}) => {
      asked.push([query.after, query.before]);
      const page = Number(query.cursor ?? 0);
      const isLast = page >= pages.length - 1;
      return Promise.resolve({
        entries: pages[page] ?? [],
        has_more: !isLast,
        next_cursor: isLast ? null : String(page + 1),
      });
    },
  });
  return { news, asked };
}

Deno.test("an event is read with its hosts, and its tags only when they are asked for", async () => {
  const { news, asked } = await read(EVENT);
  assertEquals(asked, ["evt-1"]);
  assertEquals([news.host_email, news.tags], ["host@example.com", undefined]);
});

Deno.test("tags are looked for among the events that begin at the same time, page by page", async () => {
  const other = { ...EVENT, id: "evt-2", tags: [{ id: "t2", name: "Food" }] };
  const listed = { ...EVENT, tags: [{ id: "t1", name: "Music" }] };
  const { news, asked } = await read(EVENT, {
    look_tags: true,
    pages: [[other], [listed]],
  });
  assertEquals(news.tags, ["Music"]);
  const around = ["2026-12-24T17:59:59.000Z", "2026-12-24T18:00:01.000Z"];
  assertEquals(asked, ["evt-1", around, around]);
});

Deno.test("tags of an event that is not listed stay as they are", async () => {
  const { news } = await read(EVENT, { look_tags: true, pages: [[]] });
  assertEquals("tags" in news, false);
});

Deno.test("an event that Luma does not have any more is gone, any other refusal is an error", async () => {
  const { news } = await read(refusal(404));
  assertEquals([news.luma_event_id, news.gone, news.fields], [
    "evt-1",
    true,
    {},
  ]);
  await assertRejects(() => read(refusal(500)), LumaError);
});
