import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Client, EVENT, PNG, withSimulator } from "./testing.ts";

async function uploadAddress({ post }: Client, content_type: string | null) {
  const { body } = await post("/v1/images/create-upload-url", { content_type });
  return {
    uploadUrl: String(body["upload_url"]),
    fileUrl: String(body["file_url"]),
  };
}

function put(url: string, type: string, body: Uint8Array<ArrayBuffer>) {
  return fetch(url, { method: "PUT", headers: { "content-type": type }, body });
}

Deno.test("an uploaded image becomes a cover, and its bytes can be read", async () => {
  await withSimulator({}, async (client) => {
    const { uploadUrl, fileUrl } = await uploadAddress(client, "image/png");
    assertStringIncludes(fileUrl, "https://images.lumacdn.com/");
    assertEquals((await put(uploadUrl, "image/png", PNG)).status, 200);
    const event = client.simulator.event(
      await client.create({ cover_url: fileUrl }),
    );
    assertEquals(event?.cover_url, fileUrl);
    assertEquals(client.simulator.image(fileUrl), PNG);
    const name = fileUrl.split("/").at(-1);
    const read = await fetch(`${client.simulator.url}/_admin/images/${name}`);
    assertEquals(read.headers.get("content-type"), "image/png");
    assertEquals(await read.bytes(), PNG);
  });
});

Deno.test("a cover that was not uploaded, or that the CDN never gave out, is refused", async () => {
  await withSimulator({}, async (client) => {
    const { fileUrl } = await uploadAddress(client, null);
    const covers = [fileUrl, "https://images.lumacdn.com/uploads/other"];
    const messages = ["nothing has been uploaded", "is not an address that"];
    for (const [i, cover_url] of covers.entries()) {
      const answer = await client.post("/v1/events/create", {
        ...EVENT,
        cover_url,
      });
      assertEquals(answer.status, 400);
      assertStringIncludes(String(answer.body["message"]), messages[i] ?? "?");
    }
  });
});

Deno.test("an upload of another type, or of bytes that are no such image, is refused", async () => {
  await withSimulator({}, async (client) => {
    const png = await uploadAddress(client, "image/png");
    const open = await uploadAddress(client, null);
    const jpeg = new Uint8Array([0xff, 0xd8, 0xff, 0xe0]);
    const refused = [
      await put(png.uploadUrl, "image/jpeg", jpeg),
      await put(png.uploadUrl, "image/png", jpeg),
      await put(open.uploadUrl, "image/webp", PNG),
      await put(`${client.simulator.url}/_cdn/upload/other`, "image/png", PNG),
    ];
    assertEquals(refused.map((r) => r.status), [403, 400, 400, 403]);
    assertEquals(client.simulator.image(png.fileUrl), undefined);
    assertEquals((await put(open.uploadUrl, "image/jpeg", jpeg)).status, 200);
    for (const response of refused) await response.body?.cancel();
  });
});
