import { assertEquals, assertNotEquals } from "@std/assert";
import { coverCandidates } from "../../supabase/functions/_shared/covers/candidates.ts";
import {
  colourAt,
  pixelsOf,
} from "../../supabase/functions/_shared/covers/images_for_tests.ts";
import { appFile } from "./app_files.ts";

const BASE = "http://127.0.0.1:1";

async function corner(address: string) {
  const response = appFile(new URL(address).pathname);
  assertEquals(response?.headers.get("content-type"), "image/png", address);
  const bytes = await response?.bytes() ?? new Uint8Array();
  // The last chunk with its checksum, the same in every PNG; the decoder below does not look at checksums.
  assertEquals(bytes.subarray(-8).toHex(), "49454e44ae426082");
  const pixels = await pixelsOf({ type: "image/png", bytes, converted: false });
  assertEquals([pixels.width, pixels.height], [320, 320]);
  // Two stripes: one in the image's colour, one white.
  assertEquals(colourAt(pixels, 60, 0), [255, 255, 255, 255]);
  return colourAt(pixels, 0, 0);
}

Deno.test("every address that a cover can have in the app is an image of its own colour", async () => {
  const [own = "", sticker = "", placeholder = ""] = coverCandidates({
    coverImageUrl: "/covers/masala.png",
    stickerFile: "Default (2).jpg",
  }, BASE);
  const colours = [
    await corner(own),
    await corner(sticker),
    await corner(placeholder),
  ];
  assertNotEquals(colours[0], colours[1]);
  assertNotEquals(colours[1], colours[2]);
});

Deno.test("what is no image of the app is left to others", () => {
  for (
    const path of [
      "/",
      "/rest/v1/users",
      "/covers/",
      "/covers/lost.txt",
      "/covers/a/b.png",
      "/elsewhere/a.png",
      "/covers/%E0%A4%A.png",
    ]
  ) {
    assertEquals(appFile(path), undefined, path);
  }
});
