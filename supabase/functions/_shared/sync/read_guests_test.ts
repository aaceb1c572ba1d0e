import { assertEquals, assertRejects } from "@std/assert";
import { LumaError } from "../luma/errors.ts";
import type { LumaGuest } from "../luma/types.ts";
import type { CallRecord } from "../store.ts";
import type { LooksJob } from "./job.ts";
import { LeaseLost } from "./leases.ts";
import { OutOfTime } from "./permits.ts";
import { readGuests } from "./read_guests.ts";

/** What a read of one guest does: answers with a status, or throws. */
type Answer = string | Error;

function guest(n: number, approval_status: string): LumaGuest {
  return { id: `gst-${n}`, user_email: `u${n}@example.com`, approval_status };
}

function refusal(status: number): LumaError {
  return new LumaError({
    kind: "http",
    route: "GET /v1/events/guests/get",
    status,
  });
}

/** Reads guests 1 to `count` from a Luma with these lists and answers. */
async function read(
  count: number,
  { pages = [] as LumaGuest[][], answers = {} as Record<string, Answer> } = {},
) {
  const asked: string[] = [];
  const calls: CallRecord[] = [];
  const record = (route: string) => {
    asked.push(route);
    calls.push({ route, at: "", ms: 1, status: 200 });
  };
  const job: LooksJob = {
    entity: "looks",
    id: "event",
    calendar: "blr",
    luma_event_id: "evt-1",
    guests: Array.from({ length: count }, (_, n) => ({
      lease: `lease-${n + 1}`,
      email: `u${n + 1}@example.com`,
      luma_guest_id: n % 2 === 0 ? `gst-${n + 1}` : null,
    })),
  };
  const settled = await readGuests(job, {
    getGuest: (_event, id) => {
      record(`get ${id}`);
      const answer = answers[id] ?? "approved";
      const n = Number(/\d+/.exec(id)?.[0]);
      return answer instanceof Error
        ? Promise.reject(answer)
        : Promise.resolve(guest(n, answer));
    },
    listGuests: (_event, query = {}) => {
      const page = Number(query.cursor ?? 0);
      record(`list ${page}`);
      const isLast = page >= pages.length - 1;
      return Promise.resolve({
        entries: pages[page] ?? [],
        has_more: !isLast,
        next_cursor: isLast ? null : String(page + 1),
      });
    },
    getSelf: () => Promise.reject(new Error("not expected")),
  }, calls);
  return { settled, asked };
}

const outcomes = (settled: Awaited<ReturnType<typeof read>>["settled"]) =>
  settled.map(({ lease, outcome, news }) => [
    lease,
    outcome,
    news?.status ?? null,
  ]);

Deno.test("a few guests are read one by one, by id or by address, each with its own calls", async () => {
  const { settled, asked } = await read(2, {
    answers: { "u2@example.com": "waitlist" },
  });
  assertEquals(asked, ["get gst-1", "get u2@example.com"]);
  assertEquals(outcomes(settled), [
    ["lease-1", "read", "approved"],
    ["lease-2", "read", "waitlist"],
  ]);
  assertEquals(settled.map(({ calls }) => calls.length), [1, 1]);
});

Deno.test("many guests are read from the list, until all are found, and who is not on it one by one", async () => {
  const { settled, asked } = await read(6, {
    pages: [
      [guest(1, "declined"), guest(2, "approved"), guest(9, "approved")],
      [guest(3, "approved"), guest(4, "approved"), guest(5, "approved")],
    ],
    answers: { "u6@example.com": refusal(404) },
  });
  assertEquals(asked, ["list 0", "list 1", "get u6@example.com"]);
  assertEquals(settled.length, 6);
  assertEquals(outcomes(settled).at(0), ["lease-1", "read", "declined"]);
  // Luma has no such guest.
  assertEquals(outcomes(settled).at(-1), ["lease-6", "read", null]);
});

Deno.test("a guest who has another id by now is found by the address", async () => {
  const { settled, asked } = await read(1, {
    answers: { "gst-1": refusal(404), "u1@example.com": "waitlist" },
  });
  assertEquals(asked, ["get gst-1", "get u1@example.com"]);
  assertEquals(outcomes(settled), [["lease-1", "read", "waitlist"]]);
});

Deno.test("pages beyond the last guest are not read", async () => {
  const all = [1, 2, 3, 4, 5].map((n) => guest(n, "approved"));
  const { asked } = await read(5, { pages: [all, [guest(6, "approved")]] });
  assertEquals(asked, ["list 0"]);
});

Deno.test("a read that fails is that guest's failure, and the others are given back", async () => {
  const { settled } = await read(3, {
    answers: { "u2@example.com": refusal(500) },
  });
  assertEquals(outcomes(settled), [
    ["lease-1", "read", "approved"],
    ["lease-2", "failed", null],
    ["lease-3", "released", null],
  ]);
  assertEquals(settled[1]?.failure?.status, 500);
});

Deno.test("out of time, what was not read is given back; without the lease nothing is settled", async () => {
  const { settled } = await read(2, { answers: { "gst-1": new OutOfTime() } });
  assertEquals(outcomes(settled), [
    ["lease-1", "released", null],
    ["lease-2", "released", null],
  ]);
  await assertRejects(
    () => read(1, { answers: { "gst-1": new LeaseLost() } }),
    LeaseLost,
  );
});
