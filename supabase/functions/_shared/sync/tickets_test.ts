import { assertEquals, assertRejects } from "@std/assert";
import {
  type LumaSimulator,
  startSimulator,
} from "../../../../scripts/luma-simulator/mod.ts";
import { createLumaClient } from "../luma/client.ts";
import { LumaError } from "../luma/errors.ts";
import { ensureTicket } from "./tickets.ts";

const INR = { cents: 49900, currency: "inr" };

interface Luma {
  simulator: LumaSimulator;
  client: ReturnType<typeof createLumaClient>;
  eventId: string;
  /** Ensures a ticket, and answers which calls that made. */
  ensure(price: Parameters<typeof ensureTicket>[2]): Promise<string[]>;
  /** The event's ticket types: type, cents, currency, and whether guests see it. */
  types(): unknown[];
}

async function withEvent(test: (luma: Luma) => Promise<void>) {
  const simulator = await startSimulator();
  const client = createLumaClient({
    apiKey: "luma-key-blr",
    baseUrl: simulator.url,
  });
  try {
    const { id: eventId } = await client.createEvent({
      name: "Open mic",
      start_at: "2027-01-01T14:00:00Z",
      timezone: "Asia/Kolkata",
    });
    await test({
      simulator,
      client,
      eventId,
      async ensure(price) {
        simulator.clearRequests();
        await ensureTicket(client, eventId, price);
        return simulator.requests.map(({ path }) => path.split("/").at(-1)!);
      },
      types: () =>
        simulator.event(eventId)!.ticketTypes.map((type) => [
          type.type,
          type.cents,
          type.currency,
          type.is_hidden ? "hidden" : "visible",
        ]),
    });
  } finally {
    await simulator.stop();
  }
}

Deno.test("a price replaces the free ticket that Luma gives every event", () =>
  withEvent(async ({ ensure, types }) => {
    assertEquals(await ensure(INR), ["list", "create", "list", "delete"]);
    assertEquals(types(), [["paid", 49900, "inr", "visible"]]);
  }));

Deno.test("what is there already is left alone", () =>
  withEvent(async ({ ensure, types }) => {
    assertEquals(await ensure(null), ["list"]);
    assertEquals(types(), [["free", null, null, "visible"]]);
    await ensure(INR);
    assertEquals(await ensure(INR), ["list"]);
  }));

Deno.test("another price or currency changes the ticket that there is", () =>
  withEvent(async ({ ensure, types }) => {
    await ensure(INR);
    assertEquals(await ensure({ ...INR, cents: 100 }), ["list", "update"]);
    assertEquals(types(), [["paid", 100, "inr", "visible"]]);
    assertEquals(await ensure({ cents: 100, currency: "usd" }), [
      "list",
      "update",
    ]);
    assertEquals(types(), [["paid", 100, "usd", "visible"]]);
  }));

Deno.test("an event that becomes free gets a free ticket and loses the paid one", () =>
  withEvent(async ({ ensure, types }) => {
    await ensure(INR);
    assertEquals(await ensure(null), ["list", "create", "list", "delete"]);
    assertEquals(types(), [["free", null, null, "visible"]]);
  }));

Deno.test("a ticket type that guests hold is hidden, because Luma does not delete it", () =>
  withEvent(async ({ simulator, eventId, ensure, types }) => {
    simulator.guest.register(eventId, { name: "A", email: "a@example.com" });
    assertEquals(await ensure(INR), [
      "list",
      "create",
      "list",
      "delete",
      "update",
    ]);
    assertEquals(types(), [
      ["free", null, null, "hidden"],
      ["paid", 49900, "inr", "visible"],
    ]);
    // A hidden type is neither taken for a ticket nor retired once more.
    assertEquals(await ensure(INR), ["list"]);
    assertEquals(await ensure(null), ["list", "create", "list", "delete"]);
  }));

Deno.test("of several paid tickets the one with the right price stays", () =>
  withEvent(async ({ client, eventId, ensure, types }) => {
    await ensure({ ...INR, cents: 100 });
    await client.createTicketType({
      event_id: eventId,
      name: "Second",
      type: "paid",
      ...INR,
    });
    assertEquals(await ensure(INR), ["list", "delete"]);
    assertEquals(types(), [["paid", 49900, "inr", "visible"]]);
  }));

Deno.test("a ticket type that fetch made twice, because the connection broke, is there once in the end", () =>
  withEvent(async ({ simulator, eventId, types }) => {
    let repeated = 0;
    const client = createLumaClient({
      apiKey: "luma-key-blr",
      baseUrl: simulator.url,
      async fetch(input, init) {
        if (String(input).endsWith("/ticket-types/create")) {
          await (await fetch(input, init)).body?.cancel();
          repeated++;
        }
        return await fetch(input, init);
      },
    });
    await ensureTicket(client, eventId, INR);
    assertEquals(repeated, 1);
    assertEquals(types(), [["paid", 49900, "inr", "visible"]]);
    await ensureTicket(client, eventId, null);
    assertEquals(repeated, 2);
    assertEquals(types(), [["free", null, null, "visible"]]);
  }));

Deno.test("a ticket type that Luma does not list yet is not created once more", () =>
  withEvent(async ({ client, eventId, types }) => {
    const before = await client.listTicketTypes(eventId);
    const lagging = {
      ...client,
      listTicketTypes: () => Promise.resolve(before),
    };
    await ensureTicket(lagging, eventId, INR);
    assertEquals(types(), [["paid", 49900, "inr", "visible"]]);
  }));

Deno.test("a ticket that Luma refuses leaves the free one, and fails", () =>
  withEvent(async ({ simulator, client, eventId, types }) => {
    simulator.calendars[0]!.stripeConnected = false;
    const error = await assertRejects(
      () => ensureTicket(client, eventId, INR),
      LumaError,
      "Stripe is not connected",
    );
    assertEquals(error.status, 400);
    assertEquals(types(), [["free", null, null, "visible"]]);
  }));

Deno.test("a deletion that fails for another reason than sold tickets fails", () =>
  withEvent(async ({ simulator, client, eventId, types }) => {
    simulator.faults.add({
      path: "/v1/events/ticket-types/delete",
      status: 503,
      count: 1,
    });
    await assertRejects(
      () => ensureTicket(client, eventId, INR),
      LumaError,
      "503",
    );
    // The next attempt ends what this one began.
    await ensureTicket(client, eventId, INR);
    assertEquals(types(), [["paid", 49900, "inr", "visible"]]);
  }));
