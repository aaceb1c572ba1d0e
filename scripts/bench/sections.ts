/** The sections, in the order in which they run. */
import type { Section } from "./section.ts";
import { depth } from "./depth.ts";
import { queue } from "./queue.ts";
import { writePath } from "./write_path.ts";

export const SECTIONS: readonly Section[] = [
  {
    name: "write-path",
    title: "what the app pays for being synced, while it writes",
    run: writePath,
  },
  {
    name: "queue",
    title: "how many jobs a second are claimed and acknowledged",
    run: queue,
  },
  {
    name: "depth",
    title: "whether a claim takes longer the fuller the outbox is",
    run: depth,
  },
];
