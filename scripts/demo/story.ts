/**
 * The story that the demo plays on a stack with webhooks: an event of the app on its way to Luma and back, step by
 * step. Every write is one that the app or an admin makes (app.ts); the sync is never called by hand, except to show
 * that it has nothing to do.
 */
import type { SimEvent } from "../luma-simulator/mod.ts";
import type { Stack } from "../stack/mod.ts";
import * as app from "./app.ts";
import { expect, Stage, type StageOptions } from "./stage.ts";
import { LumaStory } from "./story_luma.ts";
import { PullStory } from "./story_pull.ts";
import { RsvpStory } from "./story_rsvps.ts";
import type { TimelineRow } from "./timeline.ts";
import { StoryError } from "./wait.ts";

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

/** Plays the story and answers its timeline. Throws StoryError when a step does not come true. */
export async function playStory(options: StageOptions): Promise<TimelineRow[]> {
  const stage = new Stage(options);
  const events = new EventStory(stage);
  await events.goLive();
  await events.propose();
  await events.approve();
  await events.editQuickly();
  await events.move();
  const rsvps = new RsvpStory(stage, events.pushed);
  await rsvps.refuse();
  await rsvps.burst();
  await rsvps.answer();
  await rsvps.promote();
  const luma = new LumaStory(stage, events.pushed);
  await luma.publish();
  await luma.register();
  await luma.welcome();
  await luma.edit();
  const pulls = new PullStory(stage, luma.published);
  await pulls.lose();
  await pulls.compare();
  await pulls.heal();
  await events.cancel();
  return stage.timeline;
}

class EventStory {
  readonly #sql: Stack["sql"];
  #eventId = "";
  #lumaId = "";

  constructor(private readonly stage: Stage) {
    this.#sql = stage.stack.sql;
  }

  /** The event of the story, once it is on Luma. */
  get pushed(): { eventId: string; lumaId: string } {
    return { eventId: this.#eventId, lumaId: this.#lumaId };
  }

  async goLive(): Promise<void> {
    const { out, stack } = this.stage;
    out.step("The sync goes live");
    out.does("select luma.set_mode('live');");
    await this.stage.follow(
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
    const { out, stack } = this.stage;
    out.step("A citizen proposes an event in the app");
    out.does(
      "insert into canonical_events (..., submission_status) values (..., 'pending');",
    );
    this.#eventId = await app.propose(this.#sql, TITLE, ROOFTOP);
    // A run of the drain, waited for, proves more than that nothing came yet.
    await this.stage.drain();
    const known = stack.simulator.events().some((e) => e.name === TITLE);
    expect(!known, `"${TITLE}" is on Luma although nobody approved it.`);
    out.result("It waits for an admin; a run of the drain sends nothing");
  }

  async approve(): Promise<void> {
    const { out, stack } = this.stage;
    out.step("An admin approves it");
    out.does(
      "update canonical_events set submission_status = 'approved' where id = ...;",
    );
    const row = await this.stage.follow(
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
    out.result(`guests    ${this.#host(event)}`);
  }

  async editQuickly(): Promise<void> {
    const { out } = this.stage;
    const titles = ["at Dusk", "at Dusk, with Tea", "at Dusk, with Chai"].map(
      (ending) => `${TITLE} ${ending}`,
    );
    out.step("The host edits the title three times in a row");
    out.does("update canonical_events set title = ... where id = ...;  -- × 3");
    await this.stage.follow(
      "edited 3 times",
      async () => {
        for (const title of titles) {
          await app.rename(this.#sql, this.#eventId, title);
        }
      },
      `the last title on Luma`,
      () => this.#lumaEvent().name === titles.at(-1) || undefined,
    );
    const calls = this.stage.lastCalls;
    expect(
      calls <= titles.length,
      `${titles.length} edits made ${calls} calls to Luma.`,
    );
    const count = calls === 1 ? "1 call" : `${calls} calls`;
    out.result(`"${this.#lumaEvent().name}" on Luma, after ${count}`);
  }

  async move(): Promise<void> {
    const { out, stack } = this.stage;
    out.step("The host moves it to another place");
    out.does(
      "update canonical_events set lat = ..., lng = ..., location_name = ... where id = ...;",
    );
    await this.stage.follow(
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
    const { out } = this.stage;
    out.step("The host cancels");
    out.does(
      "update canonical_events set submission_status = 'cancelled' where id = ...;",
    );
    await this.stage.follow(
      "cancelled",
      () => app.cancel(this.#sql, this.#eventId),
      "the event private on Luma",
      () => this.#lumaEvent().visibility === "private" || undefined,
    );
    out.result(
      `Private on Luma: nobody finds it, and its ${this.#lumaEvent().guests.length} guests are kept (luma_sync_status ${
        (await this.#row()).luma_sync_status
      })`,
    );
  }

  async #row(): Promise<EventRow> {
    const [row] = await this.#sql<EventRow[]>`
      select luma_event_id, external_rsvp_url, luma_sync_status
      from canonical_events where id = ${this.#eventId}`;
    if (!row) throw new StoryError(`The row ${this.#eventId} is gone.`);
    return row;
  }

  #lumaEvent(): SimEvent {
    const event = this.stage.stack.simulator.event(this.#lumaId);
    if (!event) throw new StoryError(`Luma has no event ${this.#lumaId}.`);
    return event;
  }

  /** The only guest, who was there before the event was on Luma. */
  #host({ guests }: SimEvent): string {
    const [host, ...others] = guests;
    expect(
      host?.approval_status === "approved" && others.length === 0 &&
        host.user_email === app.HOST_EMAIL,
      `The guest list is not the host alone: ${JSON.stringify(guests)}`,
    );
    return `${host?.user_name}, whose RSVP had waited for the event`;
  }

  async #cover(event: SimEvent): Promise<string> {
    const bytes = this.stage.stack.simulator.image(event.cover_url)?.length;
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
