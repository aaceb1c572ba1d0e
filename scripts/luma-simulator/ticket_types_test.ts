import { assertEquals, assertStringIncludes } from "@std/assert";
import { BLR, withSimulator } from "./testing.ts";

const PATH = "/v1/events/ticket-types";
const PAID = { name: "Entry", type: "paid", cents: 50_000, currency: "inr" };

Deno.test("an event starts with one free ticket type, and can be made paid by adding one and deleting it", async () => {
  await withSimulator({}, async ({ create, post, get }) => {
    const event_id = await create();
    const list = async () => {
      const { body } = await get(`${PATH}/list`, { event_id });
      return body["entries"] as { id: string; type: string }[];
    };
    const [free] = await list();
    assertEquals(free?.type, "free");
    const remove = async (id?: string) =>
      (await post(`${PATH}/delete`, { event_ticket_type_id: id })).status;
    assertEquals(await remove(free?.id), 400);
    const paid = await post(`${PATH}/create`, { event_id, ...PAID });
    assertEquals([paid.status, paid.body["cents"], paid.body["currency"]], [
      200,
      50_000,
      "inr",
    ]);
    assertEquals(await remove(free?.id), 200);
    assertEquals((await list()).map((t) => t.type), ["paid"]);
    await post("/v1/events/guests/add", {
      event_id,
      guests: [{ email: "a@example.org" }],
    });
    await post(`${PATH}/create`, {
      event_id,
      name: "Free again",
      type: "free",
    });
    const sold = await post(`${PATH}/delete`, {
      event_ticket_type_id: paid.body["id"],
    });
    assertStringIncludes(String(sold.body["message"]), "have been sold");
  });
});

Deno.test("hidden ticket types are listed only when asked for", async () => {
  await withSimulator({}, async ({ create, post, get }) => {
    const event_id = await create();
    await post(`${PATH}/create`, { event_id, ...PAID, is_hidden: true });
    const count = async (query: Record<string, string>) =>
      ((await get(`${PATH}/list`, { event_id, ...query }))
        .body["entries"] as []).length;
    assertEquals(await count({}), 1);
    assertEquals(await count({ include_hidden: "true" }), 2);
  });
});

Deno.test("a paid type needs a price, a currency Luma lists, and a calendar with Stripe", async () => {
  await withSimulator({}, async ({ create, post, simulator }) => {
    const event_id = await create();
    const refusal = async (changes: object) => {
      const { status, body } = await post(`${PATH}/create`, {
        event_id,
        ...PAID,
        ...changes,
      });
      assertEquals(status, 400);
      return String(body["message"]);
    };
    assertStringIncludes(await refusal({ cents: null }), "cents: ");
    assertStringIncludes(await refusal({ cents: 0 }), "cents: 0");
    assertStringIncludes(await refusal({ cents: 10.5 }), "cents: 10.5");
    assertStringIncludes(await refusal({ currency: "INR" }), 'currency: "INR"');
    simulator.host.setStripeConnected(BLR, false);
    assertStringIncludes(await refusal({}), "Stripe is not connected");
    assertEquals(simulator.event(event_id)?.ticketTypes.length, 1);
    simulator.host.setStripeConnected(BLR, true);
    assertEquals(
      (await post(`${PATH}/create`, { event_id, ...PAID })).status,
      200,
    );
  });
});
