import { assertEquals } from "@std/assert";
import { CASES, LEFT_ALONE } from "./redact_for_tests.ts";
import { reasonOf, redact, redactedBody } from "./redact.ts";

for (const [text, shown] of CASES) {
  Deno.test(`${text} is shown as ${shown}`, () => {
    assertEquals(redact(text), shown);
  });
}

for (const text of LEFT_ALONE) {
  Deno.test(`nothing is taken out of: ${text}`, () => {
    assertEquals(redact(text), text);
  });
}

Deno.test("names are taken out where they are known", () => {
  assertEquals(
    redact("guests.0.name: Zara Quux is too long", ["Zara Quux", "Bo"]),
    "guests.0.name: Z… is too long",
  );
});

Deno.test("a request that is kept tells guests apart, and leaves the event as it is", () => {
  assertEquals(
    redactedBody({
      event_id: "evt-1",
      guests: [{ email: "zara@example.com", name: "Zara Quux" }, {
        email: "b@example.com",
        name: null,
      }],
      approval_status: "approved",
    }),
    {
      event_id: "evt-1",
      guests: [{ email: "z…@example.com", name: "Z…" }, {
        email: "b…@example.com",
        name: null,
      }],
      approval_status: "approved",
    },
  );
  assertEquals(
    redactedBody({
      event_id: "evt-1",
      guest_id: "zara@example.com",
      status: "declined",
    }),
    { event_id: "evt-1", guest_id: "z…@example.com", status: "declined" },
  );
  const event = {
    name: "Jam",
    description_md: "Write to host@example.com or +91 98765 43210",
  };
  assertEquals(redactedBody(event), event);
});

Deno.test("whatever was thrown has a reason", () => {
  assertEquals(reasonOf(new Error("no zara@example.com")), "no z…@example.com");
  assertEquals(reasonOf("thrown zara@example.com"), "thrown z…@example.com");
});
