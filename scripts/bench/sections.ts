/** The sections, in the order in which they run. */
import { agreement } from "./agreement.ts";
import { calls } from "./calls.ts";
import { depth } from "./depth.ts";
import { finalVersion } from "./final_version.ts";
import { latency } from "./latency.ts";
import { queue } from "./queue.ts";
import { repair } from "./repair.ts";
import type { Section } from "./section.ts";
import { snapshot } from "./snapshot.ts";
import { webhooks } from "./webhooks.ts";
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
  {
    name: "snapshot",
    title: "what a transaction that is left open does to the queue",
    run: snapshot,
  },
  {
    name: "calls",
    title: "how many requests to Luma the same changes cost",
    run: calls,
  },
  {
    name: "agreement",
    title: "how long it takes until Luma has everything, at its real limit",
    run: agreement,
  },
  {
    name: "latency",
    title: "how long a change takes to the other side",
    run: latency,
  },
  {
    name: "webhooks",
    title: "how fast a webhook is acknowledged, and that none is lost then",
    run: webhooks,
  },
  {
    name: "repair",
    title: "what pulls cost, and whether they find what nobody was told of",
    run: repair,
  },
  {
    name: "final-version",
    title: "whether the last version of a row always gets through",
    run: finalVersion,
  },
];
