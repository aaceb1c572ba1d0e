/** What the numbers were measured on. */
import { cpus } from "node:os";
import type postgres from "postgres";

export interface Machine {
  cpu: string;
  cores: number;
  memory_gb: number;
  os: string;
  deno: string;
  postgres: string;
  settings: Record<string, string>;
}

const SETTINGS = [
  "fsync",
  "full_page_writes",
  "synchronous_commit",
  "shared_buffers",
  "work_mem",
  "max_wal_size",
  "deadlock_timeout",
];

/** Describes this machine and this Postgres. */
export async function describeMachine(sql: postgres.Sql): Promise<Machine> {
  const settings = await sql<{ name: string; value: string }[]>`
    select name, current_setting(name) as value from pg_settings where name = any (${SETTINGS}) order by name`;
  const [version] = await sql<{ version: string }[]>`
    select current_setting('server_version') as version`;
  const { os, arch } = Deno.build;
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: navigator.hardwareConcurrency,
    memory_gb: Math.round(Deno.systemMemoryInfo().total / 2 ** 30),
    os: `${os} ${Deno.osRelease()} ${arch}`,
    deno: Deno.version.deno,
    postgres: version?.version ?? "unknown",
    settings: Object.fromEntries(
      settings.map(({ name, value }) => [name, value]),
    ),
  };
}

/** The same in a few lines. */
export function machineLines(machine: Machine): string {
  const { cpu, cores, memory_gb, os, deno, postgres, settings } = machine;
  const set = Object.entries(settings).map((pair) => pair.join("=")).join(", ");
  return `${cores} cores of ${cpu}, ${memory_gb} GB, ${os}, Deno ${deno}\n` +
    `Postgres ${postgres}: ${set}`;
}
