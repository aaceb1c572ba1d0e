/** The chapter of the story in which people of the app become guests on Luma. */
import postgres from "postgres";
import type { GuestStatus } from "../luma-simulator/mod.ts";
import * as app from "./app.ts";
import { expect, type Stage } from "./stage.ts";

const REFUSAL = "Add your email in Profile to RSVP for events.";
const CROWD = 120;
const INSERT =
  "insert into event_rsvps (event_id, user_id, status, rsvp_type) values";

/** Somebody of supabase/seed.sql, with the address that the seed does not have. */
const DHRUV: app.Member = { id: "seed-dhruv", email: "dhruv@example.com" };

/** For an event that is on Luma and approved, with its host as the only guest. */
export class RsvpStory {
  readonly #eventId: string;
  readonly #lumaId: string;
  #crowd: app.Member[] = [];
  #latecomers: app.Member[] = [];

  constructor(
    private readonly stage: Stage,
    event: { eventId: string; lumaId: string },
  ) {
    this.#eventId = event.eventId;
    this.#lumaId = event.lumaId;
  }

  async refuse(): Promise<void> {
    const { out, stack } = this.stage;
    const { id, email } = DHRUV;
    const insert = `${INSERT} (..., '${id}', 'going', 'standard');`;
    const rsvp = () => app.rsvp(stack.sql, this.#eventId, id, "going");
    out.step("Somebody without an e-mail address wants to come");
    out.does(insert);
    const calls = stack.simulator.requests.length;
    const refusal = await rsvp().then(() => null, (error: unknown) => error);
    expect(
      refusal instanceof postgres.PostgresError &&
        refusal.code === "PT422" && refusal.message === REFUSAL,
      `The RSVP of ${id} was not refused with PT422: ${refusal}`,
    );
    out.result(`Refused with PT422: "${REFUSAL}"`);
    await this.stage.drain();
    expect(
      stack.simulator.requests.length === calls,
      `Luma was called although the RSVP of ${id} was refused.`,
    );
    out.result("A run of the drain sends nothing");

    await app.setEmail(stack.sql, DHRUV);
    out.does(`update users set email = '${email}' where id = '${id}';`);
    out.does(insert);
    await this.stage.follow(
      "RSVP",
      rsvp,
      `${email} on the guest list`,
      () => this.#are([DHRUV], "approved"),
    );
    out.result(`With an address it is taken: ${email} is approved on Luma`);
  }

  async burst(): Promise<void> {
    const { out, stack } = this.stage;
    const people = await app.signUp(stack.sql, CROWD + 2);
    this.#crowd = people.slice(0, CROWD);
    this.#latecomers = people.slice(CROWD);
    out.step(`${CROWD} people ask the host at once whether they may come`);
    out.does(`${INSERT} (..., 'interested', 'standard');  -- × ${CROWD}`);
    await this.stage.follow(
      `${CROWD} RSVPs`,
      async () => {
        await Promise.all(
          this.#crowd.map(({ id }) =>
            app.rsvp(stack.sql, this.#eventId, id, "interested")
          ),
        );
      },
      `${CROWD} people on the guest list`,
      () => this.#are(this.#crowd, "pending_approval"),
    );
    const calls = this.stage.lastCalls;
    expect(
      calls <= CROWD / 10,
      `${CROWD} RSVPs made ${calls} calls to Luma.`,
    );
    out.result(`${CROWD} are pending_approval on Luma, after ${calls} calls`);
  }

  async answer(): Promise<void> {
    const { out, stack } = this.stage;
    const [first, second, third] = this.#crowd;
    if (!first || !second || !third) throw new Error("There is no crowd.");
    const set = (
      who: app.Member,
      status: "approved" | "rejected" | "cancelled",
    ) => app.setRsvp(stack.sql, this.#eventId, who.id, status);
    out.step("The host approves one and rejects another; a third one cancels");
    out.does(
      "update event_rsvps set status = ... where event_id = ... and user_id = ...;  -- × 3",
    );
    await this.stage.follow(
      "3 answers",
      async () => {
        await set(first, "approved");
        await set(second, "rejected");
        await set(third, "cancelled");
      },
      "the three answers on the guest list",
      () =>
        this.#are([first], "approved") &&
        this.#are([second, third], "declined"),
    );
    const calls = this.stage.lastCalls;
    expect(calls === 3, `3 answers made ${calls} calls to Luma.`);
    out.result("1 is approved and 2 are declined on Luma, after a call each");
  }

  async promote(): Promise<void> {
    const { out, stack } = this.stage;
    const { taken, all } = await app.seats(stack.sql, this.#eventId);
    expect(taken === all, `${taken} of ${all} places are taken, not all.`);
    const [next, last] = this.#latecomers;
    if (!next || !last) throw new Error("There are no latecomers.");
    out.step(`All ${all} places are taken: two people wait, then one leaves`);
    out.does(`${INSERT} (..., 'waitlist', 'standard');  -- × 2`);
    await this.stage.follow(
      "2 waitlisted",
      async () => {
        for (const { id } of [next, last]) {
          await app.rsvp(stack.sql, this.#eventId, id, "waitlist");
        }
      },
      "two people on Luma's waitlist",
      () => this.#are([next, last], "waitlist"),
    );
    out.does(
      `update event_rsvps set status = 'cancelled' where event_id = ... and user_id = '${DHRUV.id}';`,
    );
    out.does("update event_rsvps set status = 'going' where id = ...;");
    await this.stage.follow(
      "1 left, 1 moved up",
      async () => {
        await app.setRsvp(stack.sql, this.#eventId, DHRUV.id, "cancelled");
        await app.promoteOldest(stack.sql, this.#eventId);
      },
      "the free place given away on Luma",
      () => this.#are([DHRUV], "declined") && this.#are([next], "approved"),
    );
    expect(this.#are([last], "waitlist"), `${last.email} does not wait.`);
    out.result(`${DHRUV.email} is declined on Luma, ${next.email} approved`);
    out.result(await this.#summary());
  }

  /** True when Luma has all of them with this status; never false, as waitFor() wants it. */
  #are(people: app.Member[], status: GuestStatus): true | undefined {
    const guests = this.stage.stack.simulator.event(this.#lumaId)?.guests ?? [];
    const statuses = new Map(
      guests.map((guest) => [guest.user_email, guest.approval_status]),
    );
    return people.every(({ email }) => statuses.get(email) === status) ||
      undefined;
  }

  /** What luma.rsvp_status says of all RSVPs of the event. */
  async #summary(): Promise<string> {
    const rows = await this.stage.stack.sql<{ status: string; note: string }[]>`
      select distinct status, note from luma.rsvp_status
      where event_id = ${this.#eventId} and status <> 'on Luma'`;
    expect(rows.length === 0, `luma.rsvp_status: ${JSON.stringify(rows)}`);
    const guests = this.stage.stack.simulator.event(this.#lumaId)?.guests ?? [];
    return `luma.rsvp_status: all ${guests.length} RSVPs are on Luma`;
  }
}
