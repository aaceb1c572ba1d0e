import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type PullRequest, pullRequest } from "./pull_request.ts";

function asked(body: BodyInit | null) {
  return pullRequest(
    new Request("http://localhost/luma-pull", { method: "POST", body }),
  );
}

Deno.test("a body asks for one calendar, one event, both, or everything", async () => {
  const none = { calendar: null, event: null, dry: false };
  const cases: [unknown, PullRequest][] = [
    [{ calendar: "blr" }, { ...none, calendar: "blr" }],
    [{ event: "evt-1" }, { ...none, event: "evt-1" }],
    [{ calendar: "blr", event: "evt-1" }, {
      ...none,
      calendar: "blr",
      event: "evt-1",
    }],
    [{ all: true }, none],
    [{ all: true, dry: true }, { ...none, dry: true }],
    [{ dry: true }, { ...none, dry: true }],
    [{ calendar: "blr", event: null, dry: true }, {
      ...none,
      calendar: "blr",
      dry: true,
    }],
  ];
  for (const [body, request] of cases) {
    assertEquals(await asked(JSON.stringify(body)), { request });
  }
});

Deno.test("without a body, or with an empty one as pg_net sends it, nothing new is asked for", async () => {
  for (
    const body of [null, "", " \n", "{}", '{"all": false}', '{"dry":false}']
  ) {
    assertEquals(await asked(body), { request: null });
  }
});

Deno.test("what cannot be read is refused, in words that say how a body looks", async () => {
  const cases: [BodyInit, string][] = [
    ["calendar=blr", "not JSON"],
    ["{", "not JSON"],
    [new Uint8Array([0xff, 0xfe]), "not JSON"],
    ["null", '{"calendar": "blr"}'],
    ["[]", '{"calendar": "blr"}'],
    ['"blr"', '{"calendar": "blr"}'],
    ['{"calender": "blr"}', "calender"],
    ['{"calendar": ""}', "calendar"],
    ['{"calendar": 5}', "calendar"],
    ['{"event": ["evt-1"]}', "event"],
    ['{"all": "yes"}', "all"],
    [JSON.stringify({ event: "e".repeat(20_000) }), "10000 bytes"],
  ];
  for (const [body, words] of cases) {
    const answer = await asked(body);
    assert("error" in answer, String(body).slice(0, 50));
    assertStringIncludes(answer.error, words);
  }
});

Deno.test("an id that Postgres cannot take is refused here", async () => {
  for (const id of ["evt-\\u0000", "evt-\\ud800"]) {
    for (const name of ["calendar", "event"]) {
      const answer = await asked(`{"${name}": "${id}"}`);
      assert("error" in answer, `${name} ${id}`);
      assertStringIncludes(answer.error, name);
    }
  }
});
