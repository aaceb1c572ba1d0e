import { assertEquals } from "@std/assert";
import {
  atEvent,
  counted,
  dayAndClock,
  duration,
  relative,
  shortened,
  shown,
} from "./format.ts";

Deno.test("an address is shortened wherever it stands", () => {
  const plain = (text: string) => shortened(text).replaceAll("\u2060", "");
  for (
    const [text, short] of [
      ["asha.host+luma@example.com", "a…@example.com"],
      ["no: x@a.co, yy@b.example.org.", "no: x…@a.co, y…@b.example.org."],
      ['{"email":"Ünal_1@münchen.example"}', '{"email":"Ü…@münchen.example"}'],
      ["mailto:zoe@example.com?x", "mailto:z…@example.com?x"],
      ["o'brien@example.com", "o…@example.com"],
      ["meet @ 7, @zo, a@b", "meet @ 7, @zo, a@b"],
    ] as const
  ) assertEquals(plain(text), short);
  assertEquals(shown(null), "nothing");
  assertEquals(shown({ a: [1] }), '{"a":[1]}');
});

Deno.test("times and numbers are short", () => {
  assertEquals(
    [0, 999.4, 1_000, 1_250, 90_000, 7_200_000, 86_400_000].map(duration),
    ["0 ms", "999 ms", "1 s", "1.3 s", "1.5 min", "2 h", "1 d"],
  );
  const now = new Date("2026-11-26T12:00:00Z");
  const after = (ms: number) => relative(new Date(now.getTime() + ms), now);
  assertEquals(
    [-400, -61_000, 61_000, -3_600_000, 172_800_000].map(after),
    ["now", "1 min ago", "in 1 min", "1 h ago", "in 2 d"],
  );
  assertEquals([counted(1, "event"), counted(1_200, "event")], [
    "1 event",
    "1,200 events",
  ]);
  assertEquals(
    [atEvent(now, "Asia/Kolkata"), atEvent(now, "Mars/Olympus")],
    ["Thu, 26 Nov 2026, 17:30", "Thu, 26 Nov 2026, 12:00"],
  );
  const local = new Date(2026, 0, 2, 3, 4, 5);
  assertEquals(dayAndClock(local, now), "2 Jan, 03:04:05");
  assertEquals(
    dayAndClock(local, new Date(2027, 0, 1)),
    "2 Jan 2026, 03:04:05",
  );
});
