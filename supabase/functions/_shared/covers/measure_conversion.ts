/**
 * Measures what one conversion costs: CPU time of all threads, and memory at its highest, in a
 * fresh process for each image. Linux only (it reads /proc).
 *
 *     deno run -A supabase/functions/_shared/covers/measure_conversion.ts
 */
import process from "node:process";
import { toUploadable } from "./convert_image.ts";
import { type Image, imageType } from "./image.ts";
import { gif, photograph, webp } from "./images_for_tests.ts";

const CASES: [name: string, make: () => Promise<Image> | Image][] = [
  [
    "WebP, 12 MP, lossy",
    () => webp(photograph(4000, 3000, { grain: 60 }), { quality: 88 }),
  ],
  [
    "WebP, 12 MP, transparent",
    () =>
      webp(photograph(4000, 3000, { grain: 60, transparent: true }), {
        quality: 84,
      }),
  ],
  [
    "WebP, 12 MP, lossless",
    () => webp(photograph(4000, 3000, { grain: 0 }), { lossless: 1 }),
  ],
  [
    "WebP, 4 MP, lossless",
    () => webp(photograph(2400, 1600, { grain: 8 }), { lossless: 1 }),
  ],
  [
    "WebP, 8 MP, lossy",
    () => webp(photograph(3264, 2448, { grain: 60 }), { quality: 85 }),
  ],
  [
    "WebP, 2 MP, lossy",
    () => webp(photograph(1920, 1080, { grain: 40 }), { quality: 80 }),
  ],
  [
    "WebP, 1 MP, lossy",
    () => webp(photograph(1080, 1080, { grain: 40 }), { quality: 80 }),
  ],
  ["GIF, 12 MP", () => stripes(4000, 3000)],
  ["GIF, 0.5 MP", () => stripes(800, 600)],
];

function stripes(width: number, height: number): Image {
  const indices = new Uint8Array(width * height).map((_, i) => (i >> 3) % 4);
  return gif(width, height, [0, 0xff0000, 0x00ff00, 0x0000ff], [indices]);
}

function peakMegabytes(): number {
  const status = Deno.readTextFileSync("/proc/self/status");
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

async function convert(file: string) {
  const bytes = await Deno.readFile(file);
  const type = imageType(bytes);
  if (!type) throw new Error(`${file} is not an image`);
  const [before, cpu] = [peakMegabytes(), process.cpuUsage()];
  const result = await toUploadable({ url: file, type, bytes });
  const { user, system } = process.cpuUsage(cpu);
  const ms = Math.round((user + system) / 1000);
  const added = Math.round(peakMegabytes() - before);
  const size = (count: number) => `${Math.round(count / 1024)} kB`;
  console.log(
    `${ms} ms CPU, +${added} MB (${Math.round(peakMegabytes())} MB in all), ` +
      `${size(bytes.length)} -> ${size(result.bytes.length)} ${result.type}`,
  );
}

async function measureAll() {
  const file = await Deno.makeTempFile();
  try {
    for (const [name, make] of CASES) {
      await Deno.writeFile(file, (await make()).bytes);
      console.log(name);
      await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", import.meta.url, file],
        stdout: "inherit",
        stderr: "inherit",
      }).spawn().status;
    }
  } finally {
    await Deno.remove(file);
  }
}

if (import.meta.main) {
  const [file] = Deno.args;
  await (file ? convert(file) : measureAll());
}
