/**
 * The story that the demo plays on a stack: an event of the app on its way to Luma, step by step.
 * Every write is one that the app or an admin makes (app.ts); the sync is never called by hand, except once to
 * show that it has nothing to do.
 */
import type { SimEvent } from "../luma-simulator/mod.ts";
import type { Stack } from "../stack/mod.ts";
import * as app from "./app.ts";
import type { Terminal } from "./terminal.ts";
import {
  callLines,
  newestAttempt,
  type TimelineRow,
  timelineRow,
} from "./timeline.ts";
import { StoryError, waitFor } from "./wait.ts";

const TITLE = "Rooftop Drum Circle";

const ROOFTOP: app.Place = {
  lat: 12.9352,
  lng: 77.6245,
  name: "Koramangala Rooftop",
  address: "5th Block, Koramangala, Bengaluru",
  meetingPoint: null,
};

const TERRACE: app.Place = {
  lat: 12.9784,
  lng: 77.6408,
  name: "Indiranagar Terrace",
  address: "100 Feet Road, Indiranagar, Bengaluru",
  meetingPoint: "Lift, then stairs",
};

interface EventRow {
  luma_event_id: string | null;
  external_rsvp_url: string | null;
  luma_sync_status: string | null;
}

export interface StoryOptions {
  /** With the seed's rows, and the mode off. */
  stack: Stack;
  out: Terminal;
  /** How long each wait may take. */
  timeoutMs: number;
}

/** Plays the story and answers its timeline. Throws StoryError when a step does not come true. */
export async function playStory(options: StoryOptions): Promise<TimelineRow[]> {
  const story = new Story(options);
  await story.goLive();
  await story.propose();
  await story.approve();
  await story.editQuickly();
  await story.move();
  await story.cancel();
  return story.timeline;
}

class Story {
  readonly timeline: TimelineRow[] = [];
  readonly #sql: Stack["sql"];
  #eventId = "";
  #lumaId = "";

  constructor(private readonly options: StoryOptions) {
    this.#sql = options.stack.sql;
  }

  async goLive(): Promise<void> {
    const { out, stack } = this.options;
    out.step("The sync goes live");
    out.does("select luma.set_mode('live');");
    await this.#follow(
      "goes live",
      async () => void await this.#sql`select luma.set_mode('live')`,
      "the seed's approved events on Luma",
      () => stack.simulator.events().length > 0 || undefined,
    );
    for (const event of stack.simulator.events()) {
      out.result(
        `"${event.name}" was approved already: now on ${
          calendar(stack, event)
        }`,
      );
    }
  }

  async propose(): Promise<void> {
    const { out, stack } = this.options;
    out.step("A citizen proposes an event in the app");
    out.does(
      "insert into canonical_events (..., submission_status) values (..., 'pending');",
    );
    this.#eventId = await app.propose(this.#sql, TITLE, ROOFTOP);
    // A run of the drain, waited for, proves more than that nothing came yet.
    const response = await fetch(`${stack.functionsUrl}/luma-drain?wait=1`, {
      method: "POST",
      headers: { "x-luma-sync-secret": stack.syncSecret },
    });
    const answer = await response.text();
    expect(response.ok, `luma-drain answered ${response.status}: ${answer}`);
    const known = stack.simulator.events().some((e) => e.name === TITLE);
    expect(!known, `"${TITLE}" is on Luma although nobody approved it.`);
    out.result("It waits for an admin; a run of the drain sends nothing");
  }

  async approve(): Promise<void> {
    const { out, stack } = this.options;
    out.step("An admin approves it");
    out.does(
      "update canonical_events set submission_status = 'approved' where id = ...;",
    );
    const row = await this.#follow(
      "approved",
      () => app.approve(this.#sql, this.#eventId),
      `luma_event_id on the row of "${TITLE}"`,
      async () => {
        const row = await this.#row();
        return row.luma_event_id ? row : undefined;
      },
    );
    this.#lumaId = row.luma_event_id ?? "";
    const event = this.#lumaEvent();
    const page = `https://luma.com/${event.slug}`;
    expect(
      row.external_rsvp_url === page,
      `external_rsvp_url is ${row.external_rsvp_url}, not ${page}.`,
    );
    out.result(`"${event.name}" is ${event.visibility} on Luma`);
    out.result(`page      ${page} (also external_rsvp_url on the row)`);
    out.result(`calendar  ${calendar(stack, event)}`);
    out.result(`cover     ${await this.#cover(event)}`);
    out.result(`tag       ${event.tags.map((tag) => tag.name).join(", ")}`);
  }

  async editQuickly(): Promise<void> {
    const { out } = this.options;
    const titles = ["at Dusk", "at Dusk, with Tea", "at Dusk, with Chai"].map(
      (ending) => `${TITLE} ${ending}`,
    );
    out.step("The host edits the title three times in a row");
    out.does("update canonical_events set title = ... where id = ...;  -- × 3");
    await this.#follow(
      "edited 3 times",
      async () => {
        for (const title of titles) {
          await app.rename(this.#sql, this.#eventId, title);
        }
      },
      `the last title on Luma`,
      () => this.#lumaEvent().name === titles.at(-1) || undefined,
    );
    const calls = this.timeline.at(-1)?.calls.length ?? 0;
    expect(
      calls <= titles.length,
      `${titles.length} edits made ${calls} calls to Luma.`,
    );
    const count = calls === 1 ? "1 call" : `${calls} calls`;
    out.result(`"${this.#lumaEvent().name}" on Luma, after ${count}`);
  }

  async move(): Promise<void> {
    const { out, stack } = this.options;
    out.step("The host moves it to another place");
    out.does(
      "update canonical_events set lat = ..., lng = ..., location_name = ... where id = ...;",
    );
    await this.#follow(
      "moved",
      () => app.move(this.#sql, this.#eventId, TERRACE),
      "the new place on Luma",
      () => this.#lumaEvent().coordinate?.latitude === TERRACE.lat || undefined,
    );
    const event = this.#lumaEvent();
    out.result(
      `${event.geo_address_json?.address}, still on ${calendar(stack, event)}`,
    );
  }

  async cancel(): Promise<void> {
    const { out } = this.options;
    out.step("The host cancels");
    out.does(
      "update canonical_events set submission_status = 'cancelled' where id = ...;",
    );
    await this.#follow(
      "cancelled",
      () => app.cancel(this.#sql, this.#eventId),
      "the event private on Luma",
      () => this.#lumaEvent().visibility === "private" || undefined,
    );
    out.result(
      `Private on Luma: nobody finds it, and its guests are kept (luma_sync_status ${
        (await this.#row()).luma_sync_status
      })`,
    );
  }

  /** Makes a change, waits until Luma shows it and the outbox is empty, and adds it to the timeline. */
  async #follow<T>(
    change: string,
    write: () => Promise<void>,
    what: string,
    look: () => T | undefined | Promise<T | undefined>,
  ): Promise<T> {
    const { out } = this.options;
    const before = await newestAttempt(this.#sql);
    const sentAt = Date.now();
    await write();
    const committedAt = Date.now();
    const found = await waitFor(what, this.options, look);
    await waitFor("the outbox to be empty", this.options, async () => {
      const [health] = await this.#sql<{ busy: boolean }[]>`
        select waiting > 0 or in_flight > 0 as busy from luma.health`;
      return health?.busy ? undefined : true;
    });
    const row = await timelineRow(this.#sql, before, {
      change,
      sentAt,
      committedAt,
    });
    for (const line of callLines(row.calls)) out.does(`  ${line}`);
    this.timeline.push(row);
    return found;
  }

  async #row(): Promise<EventRow> {
    const [row] = await this.#sql<EventRow[]>`
      select luma_event_id, external_rsvp_url, luma_sync_status
      from canonical_events where id = ${this.#eventId}`;
    if (!row) throw new StoryError(`The row ${this.#eventId} is gone.`);
    return row;
  }

  #lumaEvent(): SimEvent {
    const event = this.options.stack.simulator.event(this.#lumaId);
    if (!event) throw new StoryError(`Luma has no event ${this.#lumaId}.`);
    return event;
  }

  async #cover(event: SimEvent): Promise<string> {
    const bytes = this.options.stack.simulator.image(event.cover_url)?.length;
    const [cover] = await this.#sql<{ source_url: string }[]>`
      select source_url from luma.covers where luma_url = ${event.cover_url}`;
    expect(bytes && cover, `No image was uploaded for ${event.cover_url}.`);
    const source = new URL(cover?.source_url ?? "").pathname;
    return `${event.cover_url} (${bytes} bytes of ${
      decodeURIComponent(source)
    })`;
  }
}

function calendar({ simulator }: Stack, event: SimEvent): string {
  const found = simulator.calendars.find(({ id }) => id === event.calendar_id);
  return `${found?.name} (${event.calendar_id})`;
}

function expect(condition: unknown, otherwise: string): void {
  if (!condition) throw new StoryError(otherwise);
}
