/** A cover's address, which any user of the app can write, makes the function reach nothing but images of the app. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { allowedUrl } from "./allowed_host.ts";
import { toUploadable } from "./convert_image.ts";
import { CoverError } from "./cover_error.ts";
import { fetchImage, type FetchImageOptions } from "./fetch_image.ts";
import { filled, image, png } from "./images_for_tests.ts";
import { isPrivateAddress, resolveHost } from "./private_address.ts";

const PNG = (await png(filled(8, 8, [220, 30, 40, 255]))).bytes;

/** Even with entries that allow too much. */
const CARELESS = [
  ...["game.zo.xyz", "*.example.org", "*", "*.", "*.internal", "*.local"],
  ...["127.0.0.1", "169.254.169.254", "[::1]", "localhost", "metadata"],
];

/** Every way to write an address of a private network, and names that mean one. */
const HIDDEN = [
  ...[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
  ],
  ...["0x7f.0.0.1", "0", "0.0.0.0", "017700000001", "127.0.0.1."],
  ...["169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376"],
  ...["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"],
  ...[
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[fd00:ec2::254]",
  ],
  ...["[fe80::1]", "[64:ff9b::7f00:1]", "[0:0:0:0:0:0:0:1]"],
  ...[
    "localhost",
    "localhost.",
    "LOCALHOST",
    "sub.localhost",
    "sub.localhost.",
  ],
  // Digits that Unicode calls equal, and a dot.
  ...["①②⑦.⓪.⓪.①", "127。0。0。1", "ⓛocalhost"],
];

for (const host of HIDDEN) {
  Deno.test(`covers are not fetched from ${host}`, () => {
    const error = assertThrows(
      () => allowedUrl(`https://${host}/latest/meta-data`, CARELESS),
      CoverError,
    );
    assert(["host_not_allowed", "invalid_url"].includes(error.reason));
    assertThrows(() => allowedUrl(`http://${host}/`, CARELESS), CoverError);
  });
}

Deno.test("an address that looks like the app's to a person is not taken for it", () => {
  for (
    const address of [
      "https://game.zo.xyz@evil.example/a.png",
      "https://evil.example#@game.zo.xyz/a.png",
      "https://evil.example\\@game.zo.xyz/a.png",
      "https://evil.example%2f@game.zo.xyz/a.png",
      "https:evil.example/game.zo.xyz",
      "//evil.example/a.png",
      "https://game.zo.xyz%00.evil.example/a.png",
      "https://game.zo.xyz\t.evil.example/a.png",
      "https://gаme.zo.xyz/a.png", // a Cyrillic а
    ]
  ) {
    assertThrows(() => allowedUrl(address, CARELESS), CoverError);
  }
});

Deno.test("public and private addresses are told apart", () => {
  for (
    const address of [
      ...[
        "0.1.2.3",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.8.9.1",
      ],
      ...[
        "169.254.169.254",
        "172.31.0.1",
        "192.168.0.1",
        "198.19.0.1",
        "224.0.0.1",
      ],
      ...[
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:a00:1",
      ],
      ...[
        "::7f00:1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001::1",
        "fc00::1",
        "fdff::1",
      ],
      ...["fe80::1", "febf::1", "ff02::1", "", "game.zo.xyz", "1.2.3"],
    ]
  ) {
    assert(isPrivateAddress(address), address);
  }
  for (
    const address of [
      ...[
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
      ],
      ...[
        "128.0.0.1",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.1.1",
        "198.20.0.1",
      ],
      ...[
        "223.255.255.255",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "::ffff:1.1.1.1",
      ],
    ]
  ) {
    assertFalse(isPrivateAddress(address), address);
  }
});

/** Counts what is fetched; each name leads where `names` says. */
function resolving(names: Record<string, string[]>) {
  const asked: string[] = [];
  const options: FetchImageOptions = {
    fetch: (url) => {
      asked.push(String(url));
      return Promise.resolve(
        String(url).includes("moved")
          ? new Response(null, {
            status: 302,
            headers: { location: "https://inside.example.org/a.png" },
          })
          : new Response(PNG),
      );
    },
    allowedHosts: ["game.zo.xyz", "*.example.org", "127.0.0.1:54321"],
    resolve: (host) => Promise.resolve(names[host] ?? []),
  };
  return { asked, options };
}

Deno.test("an allowed name that leads to a private address is not asked", async () => {
  for (
    const addresses of [
      ["10.0.0.1"],
      ["::ffff:169.254.169.254"],
      // One of them is enough: which is taken nobody knows.
      ["1.1.1.1", "fd00::1"],
    ]
  ) {
    const { asked, options } = resolving({ "game.zo.xyz": addresses });
    const error = await assertRejects(
      () => fetchImage("https://game.zo.xyz/a.png?token=secret", options),
      CoverError,
      "private address",
    );
    assertEquals([error.reason, error.transient], ["host_not_allowed", false]);
    assertFalse(error.message.includes("secret"));
    assertEquals(asked, []);
  }
});

Deno.test("nor is one that a redirect names", async () => {
  const { asked, options } = resolving({
    "game.zo.xyz": ["1.1.1.1"],
    "inside.example.org": ["192.168.0.10"],
  });
  await assertRejects(
    () => fetchImage("https://game.zo.xyz/moved", options),
    CoverError,
    "private address",
  );
  assertEquals(asked, ["https://game.zo.xyz/moved"]);
});

Deno.test("public names, names that nobody can resolve, and a named port are asked", async () => {
  const { asked, options } = resolving({
    "game.zo.xyz": ["1.1.1.1", "2606:4700::1111"],
    "127.0.0.1": ["127.0.0.1"],
  });
  for (
    const address of [
      "https://game.zo.xyz/a.png",
      "https://unknown.example.org/a.png",
      "http://127.0.0.1:54321/a.png",
    ]
  ) {
    await fetchImage(address, options);
  }
  assertEquals(asked.length, 3);
});

Deno.test("a name that cannot be resolved takes no more than a moment", async () => {
  const before = performance.now();
  assertEquals(await resolveHost("nowhere.invalid"), []);
  assertLess(performance.now() - before, 5000);
});

/** Serves one body while `test` runs. */
async function serving(
  respond: () => Response,
  test: (address: string, options: FetchImageOptions) => Promise<void>,
) {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    respond,
  );
  const host = `127.0.0.1:${server.addr.port}`;
  await test(`http://${host}/a.png`, { fetch, allowedHosts: [host] });
}

Deno.test("a body that unpacks to a gigabyte is left at the limit", async () => {
  const zeros = new Uint8Array(1 << 20);
  let unpacked = 0;
  const bomb = await new Response(
    new ReadableStream({
      pull(controller) {
        controller.enqueue(zeros);
        if (++unpacked === 256) controller.close();
      },
    }).pipeThrough(new CompressionStream("gzip")),
  ).bytes();
  assertLess(bomb.length, 1 << 20);
  await serving(
    () =>
      new Response(bomb, {
        headers: { "content-encoding": "gzip", "content-type": "image/png" },
      }),
    async (address, options) => {
      const before = performance.now();
      const error = await assertRejects(
        () => fetchImage(address, options),
        CoverError,
      );
      assertEquals(error.reason, "too_large");
      assertLess(performance.now() - before, 3000);
    },
  );
});

/** A RIFF container with these chunks. */
function riff(
  ...chunks: [name: string, data: number[]][]
): Uint8Array<ArrayBuffer> {
  const bytes = chunks.flatMap(([name, data]) => [
    ...new TextEncoder().encode(name),
    ...[0, 8, 16, 24].map((bits) => (data.length >> bits) & 255),
    ...data,
    ...(data.length % 2 ? [0] : []),
  ]);
  const size = bytes.length + 4;
  return new Uint8Array([
    ...new TextEncoder().encode("RIFF"),
    ...[0, 8, 16, 24].map((bits) => (size >> bits) & 255),
    ...new TextEncoder().encode("WEBP"),
    ...bytes,
  ]);
}

Deno.test("an image whose parts are larger than the whole says is not unpacked", async () => {
  // 16 × 16 says the header, 16383 × 16383 (a gigabyte of pixels) the image within.
  const header = [0, 0, 0, 0, 15, 0, 0, 15, 0, 0];
  const within = [0x2f, 0xfe, 0xbf, 0xff, 0x0f, ...Array(64).fill(0)];
  const bytes = riff(["VP8X", header], ["VP8L", within]);
  const before = performance.now();
  const error = await assertRejects(
    () => toUploadable(image("image/webp", bytes)),
    CoverError,
  );
  assertEquals(error.reason, "undecodable");
  assertLess(performance.now() - before, 3000);
});
