/** The chapter of the story in which webhooks are lost, and a pull heals what they did not tell. */
import * as app from "./app.ts";
import { expect, type Stage } from "./stage.ts";
import { waitFor } from "./wait.ts";

/** Bangalore's calendar. */
const CALENDAR = "cal-ZVonmjVxLk7F2oM";

/** Of supabase/seed.sql. */
const CHRIS = { id: "seed-chris", email: "chris.founder@example.com" };

const SUPPER = "Slow Supper";
const FEED = "Kite Making";

/** For an event that a host has made on Luma, and that both sides have. */
export class PullStory {
  /** What the app's worker took from the feed, before the sync was there. */
  #feedRow = "";
  #feedPage = "";

  constructor(
    private readonly stage: Stage,
    private readonly event: { eventId: string; lumaId: string },
  ) {}

  /** Luma's webhooks are lost from now on, until `heal()`; the host and guests go on. */
  async lose(): Promise<void> {
    const { out, stack } = this.stage;
    const { sql, simulator } = stack;
    const { eventId, lumaId } = this.event;
    out.step("Webhooks are lost, and both sides go on");
    const lost = simulator.faults.add({ on: "webhook", drop: true });
    out.does(`On Luma: "${SUPPER}" is made, another event is moved by a day,`);
    out.does(`and ${CHRIS.email} registers for that one`);
    const start = Date.now() + 15 * 86_400_000;
    const times = (ms: number) => ({
      start_at: new Date(ms).toISOString(),
      end_at: new Date(ms + 2 * 3_600_000).toISOString(),
    });
    const place = { name: SUPPER, timezone: "Asia/Kolkata", ...times(start) };
    simulator.host.createEvent(CALENDAR, place);
    simulator.host.updateEvent(lumaId, times(start - 86_400_000));
    simulator.guest.register(lumaId, { name: "Chris", email: CHRIS.email });
    const kites = simulator.host.createEvent(CALENDAR, {
      ...place,
      name: FEED,
      description_md: "Paper, *bamboo*, string.",
    });
    this.#feedPage = `https://lu.ma/${kites.slug}?utm_source=ics`;
    this.#feedRow = await app.importFeed(sql, {
      title: FEED,
      page: this.#feedPage,
      startsAt: new Date(start),
    });
    out.does(`And the app's iCal worker has a row for ${this.#feedPage}`);
    await simulator.webhooksIdle();
    lost.remove();
    const status = await app.rsvpStatus(sql, eventId, CHRIS.id);
    expect(status !== "going", "A webhook came through.");
    out.result("Of all this the app's rows say nothing");
  }

  /** Shows what would be done. */
  async compare(): Promise<void> {
    const { out, stack } = this.stage;
    const { sql } = stack;
    out.step("An admin compares the two sides");
    out.does(
      "select luma.reconcile(dry => true);   -- deno task status --drift",
    );
    await sql`select luma.reconcile(dry => true)`;
    await this.#pulled("compare");
    const lines = await sql<
      {
        title: string;
        what: string;
        field: string;
        ahead: string;
        action: string;
      }[]
    >`
      select title, concat_ws(' ', entity, who) as what, field, ahead, action
      from luma.drift where field <> 'external_rsvp_url' order by title, entity, field`;
    for (const { title, what, field, ahead, action } of lines) {
      out.does(`"${title}", ${what}, ${field}: ${ahead} is ahead, ${action}`);
    }
    const rows = await sql`
      select from canonical_events where title = ${SUPPER}`;
    expect(rows.length === 0, `A comparison has inserted "${SUPPER}".`);
    out.result(
      `${lines.length} differences in luma.drift, and nothing else was written`,
    );
  }

  /** Heals it. */
  async heal(): Promise<void> {
    const { out, stack } = this.stage;
    const { sql, simulator } = stack;
    const { eventId, lumaId } = this.event;
    out.step("The pull, every 15 minutes or when asked, heals it");
    out.does("select luma.pull_now();");
    const ms = await this.stage.watch(
      `"${SUPPER}", the move and the RSVP of ${CHRIS.id}`,
      () => sql`select luma.pull_now()`,
      async () => {
        const [found] = await sql<{ healed: boolean }[]>`
          select exists (select from canonical_events where title = ${SUPPER})
            and exists (select from canonical_events where id = ${eventId} and starts_at = ${
          simulator.event(lumaId)?.start_at ?? ""
        }) as healed`;
        const status = await app.rsvpStatus(sql, eventId, CHRIS.id);
        return found?.healed && status === "going" || undefined;
      },
    );
    out.result(`The new event, the move and the RSVP are there after ${ms} ms`);
    await this.#pulled("everything");
    const [adopted] = await sql<
      { id: string; source_type: string; description: string }[]
    >`
      select id, source_type, description from canonical_events where title = ${FEED}`;
    expect(
      adopted?.id === this.#feedRow && adopted.source_type === "luma",
      `The feed's row of "${FEED}" was not adopted.`,
    );
    out.result(
      `"${FEED}" was in the feed already: its row is Luma's now, with its id and a description`,
    );
    const [run] = await sql<{ calls: number; unchanged: number }[]>`
      select calls, unchanged from luma.pulls
      where calendar = 'blr' and reads = 'everything' order by requested_at desc limit 1`;
    out.result(
      `It took ${run?.calls} calls for this calendar, and wrote nothing of the ${run?.unchanged} events and guests that had not changed`,
    );
  }

  /** Waits until no pull is under way or waits. */
  async #pulled(reads: string): Promise<void> {
    const { sql } = this.stage.stack;
    await waitFor("the end of the pulls", this.stage, async () => {
      const open = await sql`
        select from luma.pulls where ended_at is null and reads = ${reads}`;
      return open.length === 0 || undefined;
    });
  }
}
