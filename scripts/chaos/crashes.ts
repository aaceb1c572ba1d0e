/** What crashes leave behind, and how long until somebody works on it again. */
import type postgres from "postgres";
import type { RpcCall } from "./data_api_proxy.ts";

export class Crashes {
  /** `now`: a monotonic clock, in milliseconds. */
  constructor(readonly now: () => number) {}

  /** Milliseconds from a crash until its job was claimed again, where no outage kept everybody from it. */
  readonly retriedAfterMs: number[] = [];
  /** Crashes by kill point; "" for those at no point in particular. */
  readonly byPoint = new Map<string, number>();
  #left = new Map<string, { at: number; isHindered: boolean }>();
  #outages = new Set<string>();

  get count(): number {
    return [...this.byPoint.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Jobs that nobody has claimed since their drain died. */
  get waiting(): number {
    return this.#left.size;
  }

  /** Right after the drain's process has ended. */
  async note(sql: postgres.Sql, point: string): Promise<void> {
    this.byPoint.set(point, (this.byPoint.get(point) ?? 0) + 1);
    const left = { at: this.now(), isHindered: this.#outages.size > 0 };
    const leased = await sql`
      select entity_id from luma.sync_outbox where lease is not null and entity in ('event', 'rsvp')`;
    for (const { entity_id } of leased) {
      if (!this.#left.has(entity_id)) this.#left.set(entity_id, left);
    }
  }

  /** From now on nobody can, or may, work: all functions are down, say. How long that takes says nothing of the retry. */
  beginOutage(what: string): void {
    this.#outages.add(what);
    for (const left of this.#left.values()) left.isHindered = true;
  }

  endOutage(what: string): void {
    this.#outages.delete(what);
  }

  /** From here on time is made to pass, which is no measure. */
  forget(): void {
    this.#left.clear();
  }

  heard({ name }: RpcCall, answer: string): void {
    if (name !== "luma_claim" || this.#left.size === 0) return;
    const claim = parsed(answer);
    for (const id of (claim?.jobs ?? []).flatMap(entitiesOf)) {
      const left = this.#left.get(id);
      if (left === undefined) continue;
      this.#left.delete(id);
      if (left.isHindered) continue;
      this.retriedAfterMs.push(Math.round(this.now() - left.at));
    }
  }
}

interface ClaimedJob {
  entity: string;
  id: string;
  guests?: { rsvp_id?: string }[];
}

function parsed(text: string): { jobs?: ClaimedJob[] } | null {
  try {
    return JSON.parse(text);
  } catch {
    return null; // A gateway's error.
  }
}

function entitiesOf({ entity, id, guests = [] }: ClaimedJob): string[] {
  return entity === "event"
    ? [id]
    : guests.flatMap(({ rsvp_id }) => rsvp_id ?? []);
}
