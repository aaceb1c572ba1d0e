import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
} from "@std/assert";
import { createHmac } from "node:crypto";
import {
  BLR,
  type Client,
  EVENT,
  type Receiver,
  startReceiver,
  withSimulator,
} from "./testing.ts";
import { webhookSignature } from "./mod.ts";

async function withReceiver(
  statuses: number[],
  test: (
    client: Client,
    receiver: Receiver,
    webhook: Record<string, unknown>,
  ) => Promise<void>,
  event_types = ["event.created", "event.updated", "event.canceled"],
): Promise<void> {
  const receiver = startReceiver(statuses);
  try {
    await withSimulator({ webhookRetryMs: [1, 1] }, async (client) => {
      const { body } = await client.post("/v2/webhooks/create", {
        url: receiver.url,
        event_types,
      });
      await test(client, receiver, body);
    });
  } finally {
    await receiver.stop();
  }
}

const types = (receiver: Receiver) => receiver.received.map((r) => r.type);

Deno.test("the signature is HMAC-SHA256 over time and body with the whole secret", () => {
  // Computed with: printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
  assertEquals(
    webhookSignature("whsec_test", 1700000000, '{"a":1}'),
    "t=1700000000,v1=38877139021993b830af32feea6e18a8da83eb2f6e49ee50bd9e4cf4ca4d3789",
  );
});

Deno.test("a delivery is signed over exactly the bytes that were sent", async () => {
  await withReceiver([], async ({ create, simulator }, receiver, webhook) => {
    await create();
    await simulator.webhooksIdle();
    const [got] = receiver.received;
    assert(got);
    const timestamp = got.headers.get("webhook-timestamp");
    const hex = createHmac("sha256", String(webhook["secret"]))
      .update(`${timestamp}.${got.body}`).digest("hex");
    assertEquals(
      got.headers.get("webhook-signature"),
      `t=${timestamp},v1=${hex}`,
    );
    assertMatch(String(webhook["secret"]), /^whsec_/);
    assert(Math.abs(Date.now() / 1000 - Number(timestamp)) < 60);
  });
});

Deno.test("what is not answered 2xx is sent again under the same Webhook-Id, until the retries are used up", async () => {
  await withReceiver([500, 302], async ({ create, simulator }, receiver) => {
    await create();
    await simulator.webhooksIdle();
    const ids = receiver.received.map((r) => r.headers.get("webhook-id"));
    assertEquals(ids.length, 3);
    assertEquals(new Set(ids).size, 1);
    const [delivery] = simulator.deliveries;
    assertEquals(delivery?.state, "delivered");
    assertEquals(delivery?.attempts.map((a) => a.status), [500, 302, 200]);
  });
  await withReceiver(
    [500, 500, 500],
    async ({ create, simulator }, receiver) => {
      await create();
      await simulator.webhooksIdle();
      assertEquals(receiver.received.length, 3);
      assertEquals(simulator.deliveries[0]?.state, "failed");
    },
  );
});

Deno.test("an endpoint that cannot be reached is an attempt without a status", async () => {
  await withReceiver([], async ({ create, simulator }, receiver) => {
    await receiver.stop();
    await create();
    await simulator.webhooksIdle();
    const [delivery] = simulator.deliveries;
    assertEquals(delivery?.state, "failed");
    assertEquals(delivery?.attempts.map((a) => a.status), [null, null, null]);
  });
});

Deno.test("a change through the API comes back as a webhook, and one that changes nothing does not", async () => {
  await withReceiver([], async ({ create, post, simulator }, receiver) => {
    const event_id = await create();
    await post("/v1/events/update", { event_id, name: "Closed mic" });
    await post("/v1/events/update", { event_id, name: "Closed mic" });
    await simulator.webhooksIdle();
    assertEquals(types(receiver).sort(), ["event.created", "event.updated"]);
    const updated = receiver.received.find((r) => r.type === "event.updated");
    const { data } = JSON.parse(updated?.body ?? "");
    assertEquals([data.id, data.name], [event_id, "Closed mic"]);
  });
});

Deno.test("event.created can arrive before the create call is answered", async () => {
  await withReceiver([], async ({ post, simulator }, receiver) => {
    const fault = simulator.faults.add({
      path: "/v1/events/create",
      hang: true,
      when: "after",
    });
    const answer = post("/v1/events/create", EVENT);
    await simulator.waitForDelivery((d) => d.state === "delivered");
    assertEquals(types(receiver), ["event.created"]);
    assertEquals(simulator.requests.at(-1)?.status, null);
    fault.remove();
    assertEquals((await answer).status, 200);
  });
});

Deno.test("paused endpoints, other calendars' and unwanted types get nothing", async () => {
  await withReceiver(
    [],
    async ({ create, post, simulator }, receiver, webhook) => {
      await create({}, "luma-key-zo-events");
      const event_id = await create();
      simulator.guest.register(event_id, {
        name: "Ann",
        email: "ann@example.org",
      });
      await simulator.webhooksIdle();
      assertEquals(types(receiver), ["event.created"]);
      await post("/v2/webhooks/update", {
        id: webhook["id"],
        status: "paused",
      });
      simulator.host.makePrivate(event_id);
      await simulator.webhooksIdle();
      assertEquals(types(receiver), ["event.created"]);
      assertEquals(simulator.deliveries.length, 1);
    },
  );
});

Deno.test("a registration fires guest.registered, guest.updated and ticket.registered, and no event.updated", async () => {
  await withReceiver([], async ({ create, simulator }, receiver) => {
    const event_id = await create();
    const phone_number = "+919876543210";
    simulator.guest.register(event_id, {
      name: "Ann Lee",
      email: "Ann@Example.org",
      phone_number,
    });
    await simulator.webhooksIdle();
    assertEquals(types(receiver).sort(), [
      "calendar.event.added",
      "event.created",
      "guest.registered",
      "guest.updated",
      "ticket.registered",
    ]);
    const ticket = receiver.received.find((r) =>
      r.type === "ticket.registered"
    );
    const { data } = JSON.parse(ticket?.body ?? "");
    assertEquals(data.event.id, event_id);
    assertEquals(data.event_ticket.id, data.event_tickets[0].id);
    assertEquals(
      [
        data.user_email,
        data.user_name,
        data.phone_number,
        data.approval_status,
      ],
      ["ann@example.org", "Ann Lee", phone_number, "approved"],
    );
  }, ["*"]);
});

Deno.test("webhooks can be dropped, sent twice, held and overtaken", async () => {
  await withReceiver([], async ({ create, get, simulator }, receiver) => {
    const { faults, host } = simulator;
    faults.add({ on: "webhook", type: "event.created", drop: true });
    const event_id = await create();
    assertEquals(simulator.deliveries[0]?.state, "dropped");

    faults.clear();
    faults.add({ on: "webhook", duplicate: 1, count: 1 });
    host.updateEvent(event_id, { name: "twice" });
    await simulator.webhooksIdle();
    const [first, second] = receiver.received.splice(0);
    assertEquals(
      first?.headers.get("webhook-id"),
      second?.headers.get("webhook-id"),
    );
    assertEquals(first?.body, second?.body);

    faults.clear();
    faults.add({ on: "webhook", reorder: true, count: 1 });
    const later = faults.add({ on: "webhook", hold: true });
    host.updateEvent(event_id, { name: "earlier" });
    host.updateEvent(event_id, { name: "later" });
    // Ample time for the earlier one to arrive, if it did not wait to be overtaken.
    for (let i = 0; i < 5; i++) await get("/v1/calendars/get");
    later.remove();
    await simulator.webhooksIdle();
    const order = receiver.received.splice(0);
    assertEquals(order.map((r) => JSON.parse(r.body).data.name), [
      "later",
      "earlier",
    ]);
    assertNotEquals(
      order[0]?.headers.get("webhook-id"),
      order[1]?.headers.get("webhook-id"),
    );

    faults.clear();
    const held = faults.add({ on: "webhook", calendar: BLR, hold: true });
    host.cancelEvent(event_id);
    assertEquals(simulator.deliveries.at(-1)?.state, "held");
    assertEquals(receiver.received, []);
    held.remove();
    await simulator.webhooksIdle();
    assertEquals(types(receiver), ["event.canceled"]);
  });
});
