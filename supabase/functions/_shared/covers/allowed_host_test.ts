import { assertEquals, assertFalse, assertThrows } from "@std/assert";
import { allowedUrl } from "./allowed_host.ts";
import { CoverError, type CoverReason } from "./cover_error.ts";

const HOSTS = [
  "game.zo.xyz",
  "*.supabase.co",
  "127.0.0.1:54321",
  // Entries that must not work: an address literal and localhost without a port, too wide wildcards.
  "10.0.0.1",
  "localhost",
  "*",
  "*.",
  "*.xyz",
];

Deno.test("the app's hosts, names below a wildcard and a named local port are allowed", () => {
  for (
    const address of [
      "https://game.zo.xyz/a.png",
      "https://GAME.zo.xyz:443/a.png",
      "https://abc.supabase.co/storage/v1/object/public/covers/a.webp",
      "https://abc.storage.supabase.co/a.webp",
      "http://127.0.0.1:54321/storage/a.png",
      "https://127.0.0.1:54321/storage/a.png",
    ]
  ) {
    assertEquals(allowedUrl(address, HOSTS).href, new URL(address).href);
  }
});

const REFUSED: [address: string, reason: CoverReason][] = [
  ["cover.png", "invalid_url"],
  ["https://", "invalid_url"],
  ["https://user:secret@game.zo.xyz/a.png", "invalid_url"],
  ["http://game.zo.xyz/a.png", "not_https"],
  ["data:image/png;base64,iVBORw0KGgo=", "not_https"],
  ["file:///etc/passwd", "not_https"],
  ["blob:https://game.zo.xyz/1", "not_https"],
  ["ftp://game.zo.xyz/a.png", "not_https"],
  ["https://evil.example/a.png", "host_not_allowed"],
  ["https://game.zo.xyz.evil.example/a.png", "host_not_allowed"],
  ["https://evilgame.zo.xyz/a.png", "host_not_allowed"],
  ["https://supabase.co/a.png", "host_not_allowed"],
  ["https://evilsupabase.co/a.png", "host_not_allowed"],
  ["https://other.xyz/a.png", "host_not_allowed"],
  ["https://game.zo.xyz./a.png", "host_not_allowed"],
  ["https://game.zo.xyz:8443/a.png", "host_not_allowed"],
  ["https://localhost/a.png", "host_not_allowed"],
  ["https://a.localhost/a.png", "host_not_allowed"],
  ["https://10.0.0.1/a.png", "host_not_allowed"],
  ["https://169.254.169.254/latest/meta-data", "host_not_allowed"],
  ["https://2130706433/a.png", "host_not_allowed"],
  ["https://0x7f.1/a.png", "host_not_allowed"],
  ["https://[::1]/a.png", "host_not_allowed"],
  ["https://[::ffff:127.0.0.1]:54321/a.png", "host_not_allowed"],
  ["http://127.0.0.1:54322/a.png", "not_https"],
  ["http://127.0.0.1/a.png", "not_https"],
  ["ws://127.0.0.1:54321/a.png", "not_https"],
];

for (const [address, reason] of REFUSED) {
  Deno.test(`${address} is refused as ${reason}`, () => {
    const error = assertThrows(() => allowedUrl(address, HOSTS), CoverError);
    assertEquals([error.reason, error.transient], [reason, false]);
    assertFalse(error.message.includes("secret"));
  });
}
