import { assertEquals } from "@std/assert";
import { reasonOf, redact, redactedBody } from "./redact.ts";

const CASES: [text: string, shown: string][] = [
  [
    "zara.quux+luma@example.com is not a guest",
    "z…@example.com is not a guest",
  ],
  [
    "<Zara@Mail.example.co.uk>, b@example.com.",
    "<Z…@Mail.example.co.uk>, b…@example.com.",
  ],
  ["ज़ारा@example.com", "ज…@example.com"],
  [
    "/v1/events/guests/get?id=zara%40example.com&x=1",
    "/v1/events/guests/get?id=z…%40example.com&x=1",
  ],
  ["z…@example.com", "z…@example.com"],
  ["+919876543210 is taken", "+…10 is taken"],
  ["call +91 98765 43210, or +1 (555) 010-9999.", "call +…10, or +…99."],
  ["98765 43210 and 9876543211.", "…10 and …11."],
  ["key secret-abcdefgh12 and whsec_abcdefgh", "key secret-… and whsec_…"],
  ["sb_secret_0123456789abcdef", "sb_secret_…"],
  ["eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoi.c2ln", "eyJ…"],
];

for (const [text, shown] of CASES) {
  Deno.test(`${text} is shown as ${shown}`, () => {
    assertEquals(redact(text), shown);
  });
}

const LEFT_ALONE = [
  "POST /v1/events/guests/add answered 400: guests.0 is wrong",
  "rsvp 3f2a9c1b-7d00-4000-8000-000000000000: evt-Ab12Cd34 at 2026-11-26T20:31:17.123456+00:00",
  "between 2026-11-26 20:31:17+00 2026-11-27 and 12.9716, 77.5946",
  "The body is larger than 1048576 bytes after 1722470400123 ms",
  "set it with `supabase secrets set LUMA_BLR_API_KEY=…`, then @mention nobody",
];

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
