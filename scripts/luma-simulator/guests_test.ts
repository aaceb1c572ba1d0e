import { assertEquals, assertThrows } from "@std/assert";
import { ApiError } from "./errors.ts";
import { withSimulator } from "./testing.ts";

const ADD = "/v1/events/guests/add";
const STATUS = "/v1/events/guests/update-status";

Deno.test("guests/add puts many people to Going, answers {} and knows a repeated e-mail in any letter case", async () => {
  await withSimulator({}, async ({ create, post, get, simulator }) => {
    const event_id = await create();
    const guests = [
      { email: "Ann@Example.org", name: "Ann" },
      { email: "bob@example.org" },
      { email: "ann@example.ORG", name: "Other name" },
    ];
    const added = await post(ADD, { event_id, guests });
    assertEquals([added.status, added.body], [200, {}]);
    const event = simulator.event(event_id);
    assertEquals(
      event?.guests.map((g) => [g.user_email, g.user_name, g.approval_status]),
      [["ann@example.org", "Ann", "approved"], [
        "bob@example.org",
        null,
        "approved",
      ]],
    );
    const { body } = await get("/v1/events/guests/list", {
      event_id,
      sort_column: "email",
      sort_direction: "desc",
    });
    const entries = body["entries"] as { user_email: string; id: string }[];
    assertEquals(entries.map((g) => g.user_email), [
      "bob@example.org",
      "ann@example.org",
    ]);
    const found = await get("/v1/events/guests/get", {
      event_id,
      id: "ANN@example.org",
    });
    assertEquals([found.status, found.body["id"]], [200, event?.guests[0]?.id]);
  });
});

Deno.test("guests are mailed unless send_email is false", async () => {
  await withSimulator({}, async ({ create, post, simulator }) => {
    const event_id = await create();
    await post(ADD, {
      event_id,
      guests: [{ email: "a@example.org" }],
      send_email: false,
    });
    assertEquals(simulator.emails, []);
    await post(ADD, { event_id, guests: [{ email: "b@example.org" }] });
    await post(STATUS, {
      event_id,
      guest_id: "a@example.org",
      status: "declined",
    });
    assertEquals(simulator.emails.map((m) => [m.to, m.about]), [
      ["b@example.org", "guest-added"],
      ["a@example.org", "status-changed"],
    ]);
  });
});

Deno.test("update-status takes the guest id or the e-mail, and refuses what is no guest or no status", async () => {
  await withSimulator({}, async ({ create, post, simulator }) => {
    const event_id = await create();
    const guests = [{ email: "a@example.org" }];
    await post(ADD, { event_id, guests, approval_status: "pending_approval" });
    const [guest] = simulator.event(event_id)?.guests ?? [];
    assertEquals(guest?.approval_status, "pending_approval");
    const set = async (guest_id: unknown, status: string, more = {}) =>
      (await post(STATUS, { event_id, guest_id, status, ...more })).status;
    assertEquals(await set(guest?.id, "approved"), 200);
    assertEquals(guest?.approval_status, "approved");
    assertEquals(await set("A@example.org", "waitlist"), 200);
    assertEquals(guest?.approval_status, "waitlist");
    assertEquals(await set("nobody@example.org", "approved"), 404);
    assertEquals(await set(guest?.id, "invited"), 400);
    assertEquals(
      await set(guest?.id, "approved", { send_email: false, message: "Hi" }),
      400,
    );
    assertEquals(guest?.approval_status, "waitlist");
  });
});

Deno.test("a guest who declined and is added again is registered again", async () => {
  await withSimulator({}, async ({ create, post, simulator }) => {
    const event_id = await create();
    await post("/v2/webhooks/create", {
      url: "http://127.0.0.1:9/",
      event_types: ["guest.registered", "guest.updated"],
    });
    const guests = [{ email: "a@example.org" }];
    await post(ADD, { event_id, guests });
    simulator.guest.cancel(event_id, "a@example.org");
    await post(ADD, { event_id, guests });
    await post(ADD, { event_id, guests });
    assertEquals(simulator.event(event_id)?.guests.length, 1);
    assertEquals(simulator.deliveries.map((d) => d.type), [
      "guest.registered",
      "guest.updated",
      "guest.updated",
      "guest.registered",
      "guest.updated",
    ]);
  });
});

Deno.test("registration on Luma follows approval, capacity and the waitlist", async () => {
  await withSimulator({}, async ({ create, post, simulator }) => {
    const { host, guest } = simulator;
    const event_id = await create({ max_capacity: 1 });
    const person = (name: string) => ({ name, email: `${name}@example.org` });
    assertEquals(
      guest.register(event_id, person("ann")).approval_status,
      "approved",
    );
    assertThrows(
      () => guest.register(event_id, person("bob")),
      ApiError,
      "sold out",
    );
    host.updateEvent(event_id, { waitlist_status: "enabled" });
    assertEquals(
      guest.register(event_id, person("bob")).approval_status,
      "waitlist",
    );
    await post(ADD, { event_id, guests: [{ email: "host@friend.example" }] });
    assertEquals(simulator.event(event_id)?.guests.length, 3);
    host.updateEvent(event_id, { max_capacity: null });
    const [type] = simulator.event(event_id)?.ticketTypes ?? [];
    await post("/v1/events/ticket-types/update", {
      event_ticket_type_id: type?.id,
      require_approval: true,
    });
    assertEquals(
      guest.register(event_id, person("cy")).approval_status,
      "pending_approval",
    );
  });
});

Deno.test("an invited person who registers keeps the guest id and gets a ticket", async () => {
  await withSimulator({}, async ({ create, simulator }) => {
    const event_id = await create();
    const invited = simulator.host.invite(event_id, "ann@example.org");
    assertEquals([invited.approval_status, invited.event_tickets], [
      "invited",
      [],
    ]);
    const { id } = invited;
    const registered = simulator.guest.register(event_id, {
      name: "Ann",
      email: "ann@example.org",
    });
    assertEquals([registered.id, registered.approval_status], [id, "approved"]);
    assertEquals(registered.event_tickets.length, 1);
    const checkedIn = simulator.host.checkIn(event_id, id);
    assertEquals(typeof checkedIn.event_tickets[0]?.checked_in_at, "string");
  });
});
