import { assert, assertEquals } from "@std/assert";
import { filled, png, webp } from "../covers/images_for_tests.ts";
import { LumaError } from "../luma/errors.ts";
import { type CoverDeps, NextRun, resolveCover } from "./cover.ts";
import type { CoverBegin } from "./job.ts";
import { JOB, stateWith } from "./testing.ts";

const OWN = "https://app.test/covers/own.png";
const STICKER = "https://app.test/Cultural%20Stickers/Music%26Art.png";
const PLACEHOLDER = "https://app.test/dashboard-assets/event-placeholder.jpg";
const UPLOADED: CoverBegin = {
  state: "uploaded",
  luma_url: "https://images.lumacdn.com/known",
};

const PNG = (await png(filled(2, 2, [255, 0, 0, 255]))).bytes;
const WEBP = (await webp(filled(2, 2, [255, 0, 0, 255]))).bytes;

interface World {
  /** What the database says of a source, in turn; then and otherwise `upload`. */
  begins: Record<string, CoverBegin[]>;
  /** What the app serves; everything else is 404. */
  served: Record<string, Uint8Array<ArrayBuffer> | number>;
  conversions: number;
  /** What Luma's two calls fail with. */
  createUploadUrl?: Error;
  uploadImage?: Error;
}

/** Resolves a cover, and tells everything that was done for it. */
async function resolve(world: Partial<World>, own: string | null = OWN) {
  const log: string[] = [];
  const name = (source: string) =>
    ({ [OWN]: "own", [STICKER]: "sticker", [PLACEHOLDER]: "placeholder" })[
      source
    ] ?? source;
  let conversions = world.conversions ?? 1;
  const deps: CoverDeps = {
    store: {
      coverBegin(source) {
        log.push(`begin ${name(source)}`);
        const next = world.begins?.[source]?.shift();
        return Promise.resolve(next ?? { state: "upload" });
      },
      coverUploaded(source, url) {
        log.push(`uploaded ${name(source)} ${url}`);
        return Promise.resolve();
      },
      coverFreed(source) {
        log.push(`freed ${name(source)}`);
        return Promise.resolve();
      },
      coverFailed(source, error, transient) {
        assert(error.length > 20, error);
        log.push(
          `failed ${name(source)} ${transient ? "for now" : "for good"}`,
        );
        return Promise.resolve();
      },
    },
    fetch: (input) => {
      const source = String(input);
      log.push(`fetch ${name(source)}`);
      const found = world.served?.[source] ?? 404;
      return Promise.resolve(
        typeof found === "number"
          ? new Response("no", { status: found })
          : new Response(found),
      );
    },
    appUrl: "https://app.test",
    coverHosts: ["app.test"],
    sleep: (ms) => {
      log.push(`sleep ${ms}`);
      return Promise.resolve();
    },
    mayConvert: () => conversions-- > 0,
  };
  const client = {
    createUploadUrl(type: string) {
      log.push(`createUploadUrl ${type}`);
      if (world.createUploadUrl) return Promise.reject(world.createUploadUrl);
      return Promise.resolve({
        upload_url: "https://upload.test/1",
        file_url: "https://images.lumacdn.com/new",
      });
    },
    uploadImage(url: string, bytes: Uint8Array<ArrayBuffer>, type: string) {
      assertEquals(url, "https://upload.test/1");
      assert(bytes.length > 0);
      log.push(`uploadImage ${type}`);
      if (world.uploadImage) return Promise.reject(world.uploadImage);
      return Promise.resolve();
    },
  };
  const job = {
    ...JOB,
    culture: { name: "Music", asset_file: "Music&Art.png" },
  };
  const state = stateWith({ cover_image_url: own, culture: "music" });
  const cover = resolveCover(job, state, client, deps);
  const error = await cover.then(() => null, (error: unknown) => error);
  return { log, error, cover: error ? null : await cover };
}

Deno.test("an image is fetched, uploaded and remembered", async () => {
  const { cover, log } = await resolve({ served: { [OWN]: PNG } });
  assertEquals(cover, {
    url: "https://images.lumacdn.com/new",
    warnings: [],
    pending: false,
  });
  assertEquals(log, [
    "begin own",
    "fetch own",
    "createUploadUrl image/png",
    "uploadImage image/png",
    "uploaded own https://images.lumacdn.com/new",
  ]);
});

Deno.test("an image that is remembered costs no call", async () => {
  const { cover, log } = await resolve({ begins: { [OWN]: [UPLOADED] } });
  assertEquals(cover, {
    url: UPLOADED.luma_url,
    warnings: [],
    pending: false,
  });
  assertEquals(log, ["begin own"]);
});

Deno.test("an image that another run uploads is waited for", async () => {
  const begins = { [OWN]: [{ state: "busy" }, { state: "busy" }, UPLOADED] };
  const { cover, log } = await resolve({ begins: begins as World["begins"] });
  assertEquals(cover?.url, UPLOADED.luma_url);
  assertEquals(log, [
    "begin own",
    "sleep 250",
    "begin own",
    "sleep 250",
    "begin own",
  ]);
});

Deno.test("an image that another run uploads for ever is given up for the next best, with a warning", async () => {
  const busy = Array<CoverBegin>(100).fill({ state: "busy" });
  const { cover, log } = await resolve({
    begins: { [OWN]: busy, [STICKER]: [UPLOADED] },
  });
  assertEquals(cover, {
    url: UPLOADED.luma_url,
    warnings: [`${OWN} is still being uploaded by another run.`],
    pending: true,
  });
  assertEquals(log.filter((line) => line === "begin own").length, 20);
});

Deno.test("the order is the row's image, the culture's sticker, the placeholder, none", async () => {
  const { cover, log } = await resolve({});
  assertEquals(cover?.url, undefined);
  assertEquals(log, [
    ...["begin own", "fetch own", "failed own for good"],
    ...["begin sticker", "fetch sticker", "failed sticker for good"],
    ...[
      "begin placeholder",
      "fetch placeholder",
      "failed placeholder for good",
    ],
  ]);
  assertEquals(cover?.pending, false);
  // The host's own image is what somebody can mend.
  assertEquals(cover?.warnings.length, 1);
  assert(cover?.warnings[0]?.includes(OWN), cover?.warnings[0]);
});

Deno.test("an event without an image of its own shows the sticker without a warning, whatever that is", async () => {
  const sticker = await resolve({ served: { [STICKER]: PNG } }, null);
  assertEquals(sticker.cover, {
    url: "https://images.lumacdn.com/new",
    warnings: [],
    pending: false,
  });
  const placeholder = await resolve({ served: { [PLACEHOLDER]: PNG } }, "  ");
  assertEquals(placeholder.cover, {
    url: "https://images.lumacdn.com/new",
    warnings: [],
    pending: false,
  });
});

Deno.test("an image that failed before is passed over without a fetch, with what was wrong", async () => {
  const { cover, log } = await resolve({
    begins: {
      [OWN]: [{ state: "failed", error: "too large", transient: false }],
      [STICKER]: [UPLOADED],
    },
  });
  assertEquals(cover, {
    url: UPLOADED.luma_url,
    warnings: ["too large"],
    pending: false,
  });
  assertEquals(log, ["begin own", "begin sticker"]);
});

Deno.test("a better cover is pending while what is wrong with it may pass, whichever it is", async () => {
  const failed = (transient: boolean): CoverBegin[] => [
    { state: "failed", error: "no image", transient },
  ];
  const pending = async (...begins: CoverBegin[][]) => {
    const [own, sticker, placeholder] = begins;
    const { cover } = await resolve({
      begins: {
        [OWN]: own!,
        [STICKER]: sticker ?? [UPLOADED],
        [PLACEHOLDER]: placeholder ?? [UPLOADED],
      },
    });
    return [cover?.url, cover?.pending];
  };
  const { luma_url } = UPLOADED;
  assertEquals(await pending(failed(true)), [luma_url, true]);
  assertEquals(await pending(failed(false)), [luma_url, false]);
  assertEquals(await pending(failed(true), failed(false)), [luma_url, true]);
  assertEquals(await pending(failed(false), failed(true)), [luma_url, true]);
  assertEquals(await pending(failed(false), failed(false)), [luma_url, false]);
  const [now, ever] = [true, false].map((transient) =>
    pending(failed(false), failed(false), failed(transient))
  );
  assertEquals(await now, [undefined, true]);
  assertEquals(await ever, [undefined, false]);
  // Nothing is better than the row's own image.
  assertEquals(await pending([UPLOADED], failed(true)), [luma_url, false]);
});

Deno.test("what is wrong with an image is remembered, and whether it may pass", async () => {
  const cases: [World["served"][string], string][] = [
    [new TextEncoder().encode("<html>"), "for good"],
    [404, "for good"],
    [403, "for good"],
    [503, "for now"],
    [429, "for now"],
  ];
  for (const [answer, until] of cases) {
    const { log, cover } = await resolve({
      served: { [OWN]: answer },
      begins: { [STICKER]: [UPLOADED] },
    });
    assertEquals(log, [
      "begin own",
      "fetch own",
      `failed own ${until}`,
      "begin sticker",
    ]);
    assertEquals([cover?.url, cover?.warnings.length], [UPLOADED.luma_url, 1]);
    assertEquals(cover?.pending, until === "for now", `${answer}`);
  }
});

Deno.test("an image of a host that is not allowed is never fetched", async () => {
  const { log } = await resolve({
    begins: { [STICKER]: [UPLOADED] },
  }, "http://169.254.169.254/latest");
  assertEquals(log, [
    "begin http://169.254.169.254/latest",
    "failed http://169.254.169.254/latest for good",
    "begin sticker",
  ]);
});

Deno.test("WebP is converted to what Luma takes", async () => {
  const { log, cover } = await resolve({ served: { [OWN]: WEBP } });
  assertEquals(cover?.url, "https://images.lumacdn.com/new");
  assertEquals(log.filter((line) => line.includes("image/")), [
    "createUploadUrl image/jpeg",
    "uploadImage image/jpeg",
  ]);
});

Deno.test("a second conversion is left to the next run, but JPEG and PNG are not", async () => {
  const { log, error } = await resolve({
    served: { [OWN]: WEBP },
    conversions: 0,
  });
  assert(error instanceof NextRun, String(error));
  assertEquals(log, ["begin own", "fetch own", "freed own"]);
  const plain = await resolve({ served: { [OWN]: PNG }, conversions: 0 });
  assertEquals(plain.cover?.url, "https://images.lumacdn.com/new");
});

const upload = (status: number, route = "PUT upload_url") =>
  new LumaError({ kind: "http", route, status, lumaMessage: "no" });

const signing = (status: number) =>
  upload(status, "POST /v1/images/create-upload-url");

for (
  const { what, refusals, lasts } of [
    {
      what: "an image that Luma will not have",
      refusals: [
        ...[400, 413].map((status) => ({ uploadImage: upload(status) })),
        ...[400, 415, 422].map((status) => ({
          createUploadUrl: signing(status),
        })),
      ],
      lasts: "for good",
    },
    {
      what: "an image whose upload address has run out",
      refusals: [401, 403].map((status) => ({ uploadImage: upload(status) })),
      lasts: "for now",
    },
  ]
) {
  Deno.test(`${what} gives way to the next best ${lasts}, and blocks nothing`, async () => {
    for (const refusal of refusals) {
      const { cover, log } = await resolve({
        ...refusal,
        served: { [OWN]: PNG },
        begins: { [STICKER]: [UPLOADED] },
      });
      assertEquals(cover?.url, UPLOADED.luma_url);
      assert(cover?.warnings[0]?.includes("answered 4"), cover?.warnings[0]);
      assertEquals(log.slice(-2), [`failed own ${lasts}`, "begin sticker"]);
      assertEquals(cover?.pending, lasts === "for now");
    }
  });
}

Deno.test("trouble with Luma frees the image and fails the job", async () => {
  const api = "POST /v1/images/create-upload-url";
  const troubles = [
    { uploadImage: upload(500) },
    {
      uploadImage: new LumaError({ kind: "timeout", route: "PUT upload_url" }),
    },
    ...[401, 403, 429, 503].map((status) => ({
      createUploadUrl: upload(status, api),
    })),
  ];
  for (const trouble of troubles) {
    const { error, log } = await resolve({
      ...trouble,
      served: { [OWN]: PNG },
    });
    assertEquals(error, Object.values(trouble)[0]);
    assertEquals(log.at(-1), "freed own");
  }
});

Deno.test("a database that cannot be reached fails the job", async () => {
  const { error } = await resolve({
    get begins(): World["begins"] {
      throw new Error("no database");
    },
  });
  assertEquals(String(error), "Error: no database");
});
