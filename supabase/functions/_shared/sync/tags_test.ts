import { assertEquals, assertRejects } from "@std/assert";
import { LumaError } from "../luma/errors.ts";
import { ensureTag } from "./tags.ts";

type Client = Parameters<typeof ensureTag>[0];
type Method = keyof Client;

function refusal(status: number, lumaMessage: string): LumaError {
  const route = "POST /v1/calendars/event-tags/apply";
  return new LumaError({ kind: "http", route, status, lumaMessage });
}

/** A calendar whose calls fail with these errors, in turn for each method, and then succeed. */
function calendar(errors: Partial<Record<Method, (Error | null)[]>> = {}) {
  const calls: string[] = [];
  const answer = <T>(method: Method, argument: unknown, value: T) => {
    calls.push(`${method} ${JSON.stringify(argument)}`);
    const error = errors[method]?.shift();
    return error ? Promise.reject(error) : Promise.resolve(value);
  };
  const client: Client = {
    applyEventTag: (tag, events) =>
      answer("applyEventTag", [tag, events], {
        applied_count: 1,
        skipped_count: 0,
      }),
    unapplyEventTag: (tag, events) =>
      answer("unapplyEventTag", [tag, events], {
        removed_count: 1,
        skipped_count: 0,
      }),
    createEventTag: (tag) => answer("createEventTag", tag, { id: "tag-1" }),
  };
  return { client, calls };
}

const APPLY = 'applyEventTag ["Music",["evt-1"]]';
const CREATE = 'createEventTag {"name":"Music"}';
const UNAPPLY = 'unapplyEventTag ["Food",["evt-1"]]';

Deno.test("a tag that the calendar has costs one call", async () => {
  const { client, calls } = calendar();
  assertEquals(await ensureTag(client, "evt-1", "Music", null), []);
  assertEquals(calls, [APPLY]);
});

Deno.test("a tag that the calendar does not have is made and then put on", async () => {
  const { client, calls } = calendar({
    applyEventTag: [refusal(404, "no such tag")],
  });
  assertEquals(await ensureTag(client, "evt-1", "Music", null), []);
  assertEquals(calls, [APPLY, CREATE, APPLY]);
});

Deno.test("a tag that another event makes at the same moment is put on all the same", async () => {
  const { client, calls } = calendar({
    applyEventTag: [refusal(404, "no such tag")],
    createEventTag: [refusal(400, "there is one")],
  });
  assertEquals(await ensureTag(client, "evt-1", "Music", null), []);
  assertEquals(calls, [APPLY, CREATE, APPLY]);
});

Deno.test("tags that may be there are taken off, and are nobody's business when Luma does not know them", async () => {
  const { client, calls } = calendar({
    unapplyEventTag: [null, refusal(404, "no such tag")],
  });
  const maybe = ["Art", "Music", "Food"];
  assertEquals(await ensureTag(client, "evt-1", "Music", "Food", maybe), []);
  assertEquals(calls, [UNAPPLY, 'unapplyEventTag ["Art",["evt-1"]]', APPLY]);
});

Deno.test("a new culture takes the old tag off first; the same one again does not", async () => {
  const { client, calls } = calendar();
  assertEquals(await ensureTag(client, "evt-1", "Music", "Food"), []);
  assertEquals(await ensureTag(client, "evt-1", "Music", "Music"), []);
  assertEquals(await ensureTag(client, "evt-1", null, "Food"), []);
  assertEquals(await ensureTag(client, "evt-1", null, null), []);
  assertEquals(calls, [UNAPPLY, APPLY, APPLY, UNAPPLY]);
});

Deno.test("an old tag that cannot be taken off is told, whatever becomes of the new one", async () => {
  const unapplyEventTag = () => [refusal(404, "Food is gone")];
  const told = "POST /v1/calendars/event-tags/apply answered 404: Food is gone";
  const known = calendar({ unapplyEventTag: unapplyEventTag() });
  assertEquals(await ensureTag(known.client, "evt-1", "Music", "Food"), [told]);
  const unknown = calendar({
    unapplyEventTag: unapplyEventTag(),
    applyEventTag: [refusal(404, "no such tag")],
  });
  assertEquals(await ensureTag(unknown.client, "evt-1", "Music", "Food"), [
    told,
  ]);
  assertEquals(unknown.calls, [UNAPPLY, APPLY, CREATE, APPLY]);
});

Deno.test("a tag that Luma will not have is a warning with its words, and no failure", async () => {
  for (const status of [400, 404, 409, 422]) {
    const { client } = calendar({
      applyEventTag: [refusal(404, "no such tag"), refusal(status, "still no")],
      createEventTag: [refusal(status, "too many tags")],
    });
    const warnings = await ensureTag(client, "evt-1", "Music", null);
    assertEquals(warnings.map((text) => text.split(": ")[1]), [
      "too many tags",
      "still no",
    ]);
  }
});

Deno.test("trouble that is not about the tag is a failure of the job, at every step", async () => {
  const troubles = [
    ...[401, 403, 429, 500].map((status) => refusal(status, "no")),
    new LumaError({ kind: "timeout", route: "POST /v1/x" }),
    new Error("a defect"),
  ];
  for (const trouble of troubles) {
    const steps: Parameters<typeof calendar>[0][] = [
      { unapplyEventTag: [trouble] },
      { applyEventTag: [trouble] },
      { applyEventTag: [refusal(404, "")], createEventTag: [trouble] },
      { applyEventTag: [refusal(404, ""), trouble] },
    ];
    for (const errors of steps) {
      const { client } = calendar(errors);
      const failed = ensureTag(client, "evt-1", "Music", "Food");
      assertEquals(await assertRejects(() => failed), trouble);
    }
  }
});
