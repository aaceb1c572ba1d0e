/** The chapter of the story in which hosts and guests act on Luma, and the app's rows follow. */
import * as app from "./app.ts";
import { expect, type Stage } from "./stage.ts";

/** Bangalore's calendar. */
const CALENDAR = "cal-ZVonmjVxLk7F2oM";

/** Of supabase/seed.sql. On Luma she writes her address in another way. */
const ESHA = { id: "seed-esha", email: "Esha.Guest@Example.com" };

const STRANGER = {
  id: "demo-kiran",
  name: "Kiran",
  email: "kiran@example.com",
  phone: "+919812345678",
  /** As the app keeps it. */
  national: "98123 45678",
};

/** For an event of the app's that is on Luma and approved, to be edited on both sides. */
export class LumaStory {
  #published = { eventId: "", lumaId: "" };

  constructor(
    private readonly stage: Stage,
    private readonly event: { eventId: string; lumaId: string },
  ) {}

  /** The host's event, once it is there and here. */
  get published(): { eventId: string; lumaId: string } {
    return this.#published;
  }

  async publish(): Promise<void> {
    const { out, stack } = this.stage;
    const { sql, simulator } = stack;
    const name = "Full Moon Swim";
    out.step("A host makes an event on Luma");
    out.does(`"${name}" is published on Luma`);
    const start = Date.now() + 12 * 86_400_000;
    const ms = await this.stage.watch(
      `"${name}" in canonical_events`,
      () => {
        const { id } = simulator.host.createEvent(CALENDAR, {
          name,
          start_at: new Date(start).toISOString(),
          timezone: "Asia/Kolkata",
          description_md: "Bring a towel.",
          coordinate: { latitude: 12.9141, longitude: 74.856 },
          geo_address_json: { type: "manual", address: "Panambur Beach" },
        });
        this.#published.lumaId = id;
      },
      async () => {
        const [row] = await sql<{ id: string }[]>`
          select id from canonical_events
          where title = ${name} and source_type = 'luma' and submission_status = 'approved' and lat is not null`;
        this.#published.eventId = row?.id ?? "";
        return row ? true : undefined;
      },
    );
    out.result(`It is a row of the app's, approved, after ${ms} ms`);
  }

  async register(): Promise<void> {
    const { out, stack } = this.stage;
    const { eventId, lumaId } = this.#published;
    out.step("A user of the app registers on Luma");
    out.does(`${ESHA.email} registers on its Luma page`);
    const ms = await this.stage.watch(
      `an RSVP of ${ESHA.id}`,
      () =>
        stack.simulator.guest.register(lumaId, {
          name: "Esha",
          email: ESHA.email,
        }),
      async () =>
        (await app.rsvpStatus(stack.sql, eventId, ESHA.id)) === "going" ||
        undefined,
    );
    out.result(
      `${ESHA.id} is going in event_rsvps after ${ms} ms, matched by e-mail`,
    );
  }

  async welcome(): Promise<void> {
    const { out, stack } = this.stage;
    const { sql, simulator } = stack;
    const { eventId, lumaId } = this.#published;
    const { id, name, email, phone, national } = STRANGER;
    const before = await app.seats(sql, eventId);
    out.step("So does somebody whom the app does not know, and then joins it");
    out.does(`${name} (${phone}) registers on Luma`);
    await this.stage.watch(
      `${name} in luma.external_guests`,
      () =>
        simulator.guest.register(lumaId, { name, email, phone_number: phone }),
      async () => {
        const found = await sql`
          select from luma.external_guests where event_id = ${eventId} and name = ${name}`;
        return found.length === 1 || undefined;
      },
    );
    const { taken } = await app.seats(sql, eventId);
    expect(
      taken === before.taken + 1,
      `${taken} places are taken, not one more than ${before.taken}.`,
    );
    out.result(
      `Nobody's RSVP yet, and counted all the same: current_rsvp_count is ${taken}`,
    );
    out.does(
      `insert into users (id, name, phone) values ('${id}', '${name}', '${national}');`,
    );
    const ms = await this.stage.watch(
      `an RSVP of ${id}`,
      () => app.join(sql, { id, name, phone: national }),
      async () =>
        (await app.rsvpStatus(sql, eventId, id)) === "going" || undefined,
    );
    out.result(`${id} is going after ${ms} ms, matched by phone number`);
  }

  async edit(): Promise<void> {
    const { out, stack } = this.stage;
    const { sql, simulator } = stack;
    const { eventId, lumaId } = this.event;
    const title = "Drum Circle under the Stars";
    const description = "Bring a drum, or *three spoons*.";
    out.step("The title is edited on Luma while the app edits the description");
    out.does(`"${title}", says the host's page on Luma`);
    out.does("update canonical_events set description = ... where id = ...;");
    const ms = await this.stage.watch(
      "both edits on both sides",
      async () => {
        simulator.host.updateEvent(lumaId, { name: title });
        await app.describe(sql, eventId, description);
      },
      async () => {
        const row = await app.texts(sql, eventId);
        const event = simulator.event(lumaId);
        return row.title === title && row.description === description &&
            event?.name === title && event.description_md === description ||
          undefined;
      },
    );
    out.result(`Both edits are on both sides after ${ms} ms`);
  }
}
