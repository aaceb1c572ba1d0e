/** What a history is made of: plain data, so that it can be kept, cut short and played again. */

/** Fields that both sides edit, by the app's column. */
export const FIELDS = [
  "title",
  "description",
  "meeting_url",
  "ends_at",
] as const;
export type Field = typeof FIELDS[number];

/** Events have the number of the act that made them; `n` makes a value that no other act writes. */
export type AppAct =
  | {
    do: "create";
    event: number;
    culture: string | null;
    priced: boolean;
    going: string | null;
  }
  | { do: "edit"; event: number; field: Field; n: number }
  | { do: "culture"; event: number; culture: string }
  | { do: "price"; event: number; n: number }
  | { do: "rsvp"; event: number; user: string; status: string }
  | { do: "unrsvp"; event: number; user: string }
  | { do: "status"; event: number; status: "cancelled" | "approved" }
  | { do: "delete"; event: number }
  /** Transactions of the app's at the same time. */
  | { do: "together"; acts: AppAct[] };

export type LumaAct =
  | { do: "host-create"; event: number }
  | { do: "host-edit"; event: number; field: Field; n: number }
  | { do: "host-cancel"; event: number }
  | {
    do: "host-guest";
    event: number;
    user: string;
    status: "approved" | "declined" | "waitlist";
  }
  | { do: "register"; event: number; user: string };

export type AdminAct =
  | { do: "pull" | "drain" | "retry" }
  | { do: "pause" | "resume"; calendar: string }
  | { do: "mode"; mode: "off" | "live" };

/** What happens at a kill point, to the next call that comes there. */
export const HOWS = [
  "kill",
  "lost",
  "refused",
  "limited",
  "slow",
  "stale",
  "freeze",
] as const;
export type How = typeof HOWS[number];

/** A kill point: a route of Luma's or a function of the Data API, before or after its effect. */
export interface Trap {
  point: string;
  when: "before" | "after";
  how: How;
}

export type FaultAct =
  | { do: "trap" } & Trap
  | {
    do: "webhooks";
    how: "drop" | "duplicate" | "delay" | "reorder";
    count: number;
  }
  | { do: "kill"; name: "luma-drain" | "luma-pull" | "luma-webhook" }
  | { do: "functions"; up: boolean }
  | { do: "crash-database"; signal: "SIGQUIT" | "SIGINT"; meanwhile: LumaAct[] }
  | { do: "terminate" | "wipe-net" }
  | { do: "cron"; on: boolean }
  /** In process only: a real machine's clock is not ours to set. */
  | { do: "clock"; whose: "functions" | "database"; ms: number }
  /** For what a dead drain has left, and for what waits to be tried again, time passes. */
  | { do: "time" }
  /** Everything is up, and nobody acts until the jobs of dead drains were claimed again: how long takes that? */
  | { do: "recover" };

/** Breaks the rules behind the product's back: what the tests of the invariants do. */
export type TamperAct = {
  do: "tamper";
  what: "second-luma-event";
  event: number;
};

export type Act = (AppAct | LumaAct | AdminAct | FaultAct | TamperAct) & {
  /** How long the actors leave the system alone afterwards, in milliseconds. */
  pause?: number;
};

/** What holds from the first act to the last. */
export interface Config {
  /** Webhooks may be lost for good. */
  lossy: boolean;
  /** Both sides may edit the same field before they have heard of each other: see may_write.ts. */
  contended: boolean;
  cancelOnLuma: boolean;
  /** Luma's limit for a calendar; the sync's own is a tenth below. */
  callsPerMinute: number;
}

export interface History {
  seed: number;
  config: Config;
  acts: Act[];
}
