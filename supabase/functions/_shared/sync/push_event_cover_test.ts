import { assertEquals } from "@std/assert";
import { filled, png } from "../covers/images_for_tests.ts";
import { createLumaClient } from "../luma/client.ts";
import type { CoverBegin } from "./job.ts";
import { type Pushes, withPushes } from "./push_for_tests.ts";
import { stateWith } from "./testing.ts";

const OWN = "https://app.test/a.png";
const state = stateWith({ cover_image_url: OWN });
/** Luma's own default, which is on its CDN without an upload. */
const FALLBACK = "https://images.lumacdn.com/event-defaults/standard.png";

const uploaded = (luma_url: string): CoverBegin => ({
  state: "uploaded",
  luma_url,
});
const failed = (transient: boolean): CoverBegin => ({
  state: "failed",
  error: "no image",
  transient,
});

/** A database that knows every image already, the row's own as `cover`, and the sources that it is asked for. */
async function remember(pushes: Pushes) {
  const client = createLumaClient({
    apiKey: "luma-key-blr",
    baseUrl: pushes.simulator.url,
  });
  const { bytes } = await png(filled(1, 1, [255, 0, 0, 255]));
  const target = await client.createUploadUrl("image/png");
  await client.uploadImage(target.upload_url, bytes, "image/png");
  pushes.simulator.clearRequests();
  const cover = target.file_url;
  const notReached = () => Promise.reject(new Error("not reached"));
  const database = { cover, own: uploaded(cover), asked: [] as string[] };
  pushes.covers = {
    store: {
      coverBegin(source) {
        database.asked.push(source);
        return Promise.resolve(
          source === OWN ? database.own : uploaded(FALLBACK),
        );
      },
      coverUploaded: notReached,
      coverFreed: notReached,
      coverFailed: notReached,
    },
    fetch: notReached,
    appUrl: "https://app.test",
    coverHosts: [],
    sleep: () => Promise.resolve(),
    mayConvert: () => false,
  };
  return database;
}

Deno.test("a cover is sent with the other fields, and what is wrong with it is told", () =>
  withPushes(async (pushes) => {
    const database = await remember(pushes);
    const id = await pushes.existing({ state });
    assertEquals(database.asked, [OWN]);
    assertEquals(pushes.event().cover_url, database.cover);

    await pushes.push({ luma_event_id: id, state, changed: ["title"] });
    assertEquals(database.asked.length, 1);

    database.own = failed(false);
    const result = await pushes.push({
      luma_event_id: id,
      state,
      changed: ["cover_image_url"],
    });
    assertEquals(pushes.body(1), { event_id: id, cover_url: FALLBACK });
    assertEquals(result, {
      outcome: "done",
      luma_event_id: id,
      sent: { cover_url: FALLBACK },
      warning: "no image",
    });
  }));

Deno.test("a cover that Luma was told already is not sent again", () =>
  withPushes(async (pushes) => {
    const database = await remember(pushes);
    const luma_event_id = await pushes.existing({ state });
    const changed = ["cover_image_url"];
    const job = { luma_event_id, state, changed };
    const same = await pushes.push({ ...job, luma_cover: database.cover });
    assertEquals([pushes.calls(), same.sent], [[], {}]);

    const title = "Open stage";
    await pushes.push({
      ...job,
      state: { ...state, title },
      changed: ["title", ...changed],
      luma_cover: database.cover,
    });
    assertEquals(pushes.body(0), { event_id: luma_event_id, name: title });

    // Asked for each time: the database decides what Luma was told, not the columns.
    assertEquals(database.asked, [OWN, OWN, OWN]);
    const other = await pushes.push({ ...job, luma_cover: FALLBACK });
    assertEquals<unknown>(other.sent, { cover_url: database.cover });
  }));

Deno.test("a better cover that is not there yet is pending until it is, and one that never will be is not", () =>
  withPushes(async (pushes) => {
    const database = await remember(pushes);
    const cover = ["cover_image_url"];
    database.own = failed(true);
    const first = await pushes.push({ state });
    assertEquals(first.pending, cover);
    assertEquals<unknown>(first.sent?.cover_url, FALLBACK);

    const job = {
      luma_event_id: first.luma_event_id!,
      state,
      changed: cover,
      luma_cover: FALLBACK,
    };
    pushes.simulator.clearRequests();
    const still = await pushes.push(job);
    assertEquals([still.outcome, still.pending], ["done", cover]);
    assertEquals(pushes.calls(), []);
    // An edit of something else says nothing about the cover.
    const edited = await pushes.push({ ...job, changed: ["title"] });
    assertEquals("pending" in edited, false);

    database.own = failed(false);
    assertEquals("pending" in await pushes.push(job), false);
    database.own = uploaded(database.cover);
    assertEquals("pending" in await pushes.push(job), false);
    assertEquals(pushes.event().cover_url, database.cover);
  }));
