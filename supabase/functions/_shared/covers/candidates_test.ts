import { assertEquals } from "@std/assert";
import { coverCandidates } from "./candidates.ts";

const BASE = "https://game.zo.xyz";
const PLACEHOLDER = `${BASE}/dashboard-assets/event-placeholder.jpg`;

Deno.test("the row's cover comes first, then its culture's sticker, then the placeholder", () => {
  assertEquals(
    coverCandidates({
      coverImageUrl:
        "https://abc.supabase.co/storage/v1/object/public/covers/a.webp?v=2",
      stickerFile: "Food.png",
    }, BASE),
    [
      "https://abc.supabase.co/storage/v1/object/public/covers/a.webp?v=2",
      `${BASE}/Cultural%20Stickers/Food.png`,
      PLACEHOLDER,
    ],
  );
});

Deno.test("without a cover or a sticker the placeholder is left", () => {
  for (const nothing of [null, "", "  "]) {
    assertEquals(
      coverCandidates({ coverImageUrl: nothing, stickerFile: nothing }, BASE),
      [
        PLACEHOLDER,
      ],
    );
  }
});

Deno.test("sticker files are encoded so that a web server finds them", () => {
  const files = {
    "Science&Technology.png": "Science%26Technology.png",
    "Default (2).jpg": "Default%20(2).jpg",
    "100% Fun #1?.png": "100%25%20Fun%20%231%3F.png",
  };
  for (const [stickerFile, encoded] of Object.entries(files)) {
    const [sticker] = coverCandidates(
      { coverImageUrl: null, stickerFile },
      BASE,
    );
    assertEquals(sticker, `${BASE}/Cultural%20Stickers/${encoded}`);
    const name = new URL(sticker ?? "").pathname.split("/").at(-1);
    assertEquals(decodeURIComponent(name ?? ""), stickerFile);
  }
});

Deno.test("a cover that is a path is one of the app's own files", () => {
  for (
    const path of ["/Cultural Stickers/Food.png", "Cultural Stickers/Food.png"]
  ) {
    assertEquals(
      coverCandidates(
        { coverImageUrl: path, stickerFile: null },
        `${BASE}/`,
      )[0],
      `${BASE}/Cultural%20Stickers/Food.png`,
    );
  }
});

Deno.test("an address that cannot be used stays in the list, for its refusal to be told", () => {
  for (const address of ["data:image/png;base64,AAAA", "https://"]) {
    assertEquals(
      coverCandidates({ coverImageUrl: address, stickerFile: null }, BASE),
      [
        address,
        PLACEHOLDER,
      ],
    );
  }
});
