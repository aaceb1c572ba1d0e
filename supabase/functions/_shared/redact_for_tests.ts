/** What both redactions, in TypeScript and in SQL, have to make of texts. */

export const CASES: [text: string, shown: string][] = [
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

/** Nothing is in them that has to be taken out. */
export const LEFT_ALONE = [
  "POST /v1/events/guests/add answered 400: guests.0 is wrong",
  "rsvp 3f2a9c1b-7d00-4000-8000-000000000000: evt-Ab12Cd34 at 2026-11-26T20:31:17.123456+00:00",
  "between 2026-11-26 20:31:17+00 2026-11-27 and 12.9716, 77.5946",
  "The body is larger than 1048576 bytes after 1722470400123 ms",
  "set it with `supabase secrets set LUMA_BLR_API_KEY=…`, then @mention nobody",
];
