/** What a section of the benchmark is, and what it answers. */
import type { Stack } from "../stack/mod.ts";
import { startStack } from "../stack/mod.ts";
import type { StackOptions } from "../stack/mod.ts";

/** One line of the table. */
export interface Measure {
  section: string;
  /** What was measured, for example "10,000 rows in one update". */
  what: string;
  /** Who: "ours", or a peer. */
  side: string;
  /** What the rounds gave, in their order; the line shows their median. */
  rounds: number[];
  unit: string;
  /** For example "at most 15". */
  aim?: string;
  /** Whether the median meets the aim. */
  met?: boolean;
}

export interface BenchOptions {
  /** How often each thing is measured. */
  rounds: number;
  /** Small amounts and short times: shows that it works, and roughly how it stands. */
  quick: boolean;
  /** As in StackOptions. */
  postgres?: string;
  /** Takes a line that says what is being done. */
  say: (line: string) => void;
}

export interface Section {
  name: string;
  /** What it shows, for --help. */
  title: string;
  run: (options: BenchOptions) => Promise<Measure[]>;
}

/** As on a server whose data matters; log_lock_waits tells of every wait of 10 ms. */
const SERVER = {
  fsync: "on",
  full_page_writes: "on",
  shared_buffers: "128MB",
  log_lock_waits: "on",
  deadlock_timeout: "10ms",
  // A checkpoint in one of two rounds would be a difference of its own.
  max_wal_size: "4GB",
  checkpoint_timeout: "30min",
};

/** A stack for one section: nothing runs in it but what the section does. */
export function benchStack(
  { postgres }: BenchOptions,
  options: StackOptions = {},
): Promise<Stack> {
  return startStack({
    postgres,
    settings: SERVER,
    seed: false,
    net: false,
    cron: false,
    functions: false,
    dataApi: false,
    simulator: false,
    ...options,
  });
}
