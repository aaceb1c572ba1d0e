/** Webhooks as Luma sends them when people register. */
import { sign } from "../../supabase/functions/_shared/luma/signature.ts";
import type { Stack } from "../stack/mod.ts";

/** guest.registered, guest.updated and ticket.registered. */
const DELIVERIES_EACH = 3;

/** A request that can be sent to a webhook's address. */
export interface Delivery {
  id: string;
  request: RequestInit;
}

/** Lets people register on Luma, and keeps what it would send. */
export class Registrations {
  readonly #stack: Stack;
  readonly #secrets: Map<string, string>;
  #people = 0;

  private constructor(stack: Stack, secrets: Map<string, string>) {
    this.#stack = stack;
    this.#secrets = secrets;
  }

  /** On the events that there are, whose calendars have a webhook each. */
  static async of(stack: Stack): Promise<Registrations> {
    const state: { webhooks: { calendar_id: string; secret: string }[] } =
      await (await fetch(`${stack.simulator.url}/_admin/state`)).json();
    return new Registrations(
      stack,
      new Map(state.webhooks.map((hook) => [hook.calendar_id, hook.secret])),
    );
  }

  /**
   * So many deliveries of new people, each of whom makes three, for one event after the other. That they have news
   * matters: what says nothing new writes no row. `secret`: signed with another one.
   */
  async deliveries(count: number, secret?: string): Promise<Delivery[]> {
    const { simulator } = this.#stack;
    const events = simulator.events();
    const fault = simulator.faults.add({ on: "webhook", drop: true });
    const registrations = Math.ceil(count / DELIVERIES_EACH);
    for (let n = 0; n < registrations; n++) {
      const person = `guest ${++this.#people}`;
      simulator.guest.register(events[this.#people % events.length]!.id, {
        name: person,
        email: `${person.replace(" ", "-")}@example.com`,
      });
    }
    const made = simulator.deliveries.slice(-registrations * DELIVERIES_EACH);
    await simulator.webhooksIdle();
    fault.remove();
    return await Promise.all(
      made.slice(0, count).map(async ({ calendar_id, body: text }) => {
        const id = `whd-${crypto.randomUUID()}`;
        const body = new TextEncoder().encode(text);
        const signature = await sign({
          body,
          secret: secret ?? this.#secrets.get(calendar_id)!,
          at: new Date(),
        });
        const headers = { "webhook-id": id, "webhook-signature": signature };
        return { id, request: { method: "POST", headers, body } };
      }),
    );
  }
}
