import { assertEquals, assertFalse, assertStringIncludes } from "@std/assert";
import { BLR, EVENT, withSimulator } from "./testing.ts";
import type { LumaSimulator } from "./mod.ts";

async function admin(
  simulator: LumaSimulator,
  method: string,
  path: string,
  body?: unknown,
) {
  const response = await fetch(`${simulator.url}/_admin/${path}`, {
    method,
    ...(body === undefined ? {} : {
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" },
    }),
  });
  return { status: response.status, body: await response.json() };
}

Deno.test("a host and a guest can act through the admin routes", async () => {
  await withSimulator({}, async ({ simulator }) => {
    const post = (path: string, body: object) =>
      admin(simulator, "POST", path, body);
    const { body: event } = await post("host/create-event", {
      calendar_id: BLR,
      ...EVENT,
    });
    const event_id = event.id;
    const place = { latitude: 1, longitude: 2 };
    await post("host/update-event", {
      event_id,
      name: "By the host",
      coordinate: place,
    });
    await post("host/update-event", { event_id, coordinate: null });
    const email = "ann@example.org";
    const { body: guest } = await post("guest/register", {
      event_id,
      name: "Ann",
      email,
    });
    await post("guest/update", {
      event_id,
      guest: guest.id,
      phone_number: "+911",
    });
    await post("host/check-in", { event_id, guest: email });
    await post("host/set-guest-status", {
      event_id,
      guest: email,
      status: "declined",
    });
    const { body: state } = await admin(simulator, "GET", "state");
    const [found] = state.events;
    assertEquals([found.name, found.coordinate], ["By the host", null]);
    assertEquals([
      found.guests[0].phone_number,
      found.guests[0].approval_status,
    ], ["+911", "declined"]);
    assertFalse(JSON.stringify(state).includes("luma-key-blr"));
    await post("host/cancel-event", { event_id });
    assertEquals(simulator.events(), []);
    assertEquals(simulator.requests, []);
    const refused = await post("guest/register", {
      event_id,
      name: "Ann",
      email,
    });
    assertEquals(refused, {
      status: 404,
      body: { message: `no event "${event_id}"` },
    });
  });
});

Deno.test("faults are set, listed, released and removed by admin routes", async () => {
  await withSimulator({}, async ({ get, simulator }) => {
    const added = await admin(simulator, "POST", "faults", {
      path: "/v1/calendars/get",
      hang: true,
      status: 503,
    });
    assertEquals(added.status, 200);
    const answer = get("/v1/calendars/get");
    await simulator.waitForRequest((r) => r.fault === added.body.id);
    await admin(simulator, "POST", "faults/release", { id: added.body.id });
    assertEquals((await answer).status, 503);
    const { body } = await admin(simulator, "GET", "faults");
    assertEquals([body.entries.length, body.entries[0].hits], [1, 1]);
    assertEquals(
      (await admin(simulator, "DELETE", "faults", { id: "fault-9" })).status,
      404,
    );
    await admin(simulator, "DELETE", "faults");
    assertEquals((await get("/v1/calendars/get")).status, 200);
    const wrong = await admin(simulator, "POST", "faults", {
      on: "webhook",
      hang: true,
    });
    assertEquals(wrong, {
      status: 400,
      body: { message: 'unknown field "hang"' },
    });
  });
});

Deno.test("requests can be read and cleared, and reset empties everything", async () => {
  await withSimulator(
    { rateLimitPerMinute: 2 },
    async ({ create, get, simulator }) => {
      await create();
      const { body } = await admin(simulator, "GET", "requests");
      const [request] = body.entries;
      assertEquals([request.path, request.body, request.status], [
        "/v1/events/create",
        EVENT,
        200,
      ]);
      await admin(simulator, "DELETE", "requests");
      assertEquals(simulator.requests, []);
      simulator.faults.add({ status: 500 });
      assertEquals((await get("/v1/calendars/get")).status, 500);
      await admin(simulator, "POST", "reset");
      assertEquals([simulator.events(), simulator.requests], [[], []]);
      assertEquals((await get("/v1/calendars/get")).status, 200);
    },
  );
});

Deno.test("the admin routes take no body that another web page could post", async () => {
  await withSimulator({}, async ({ simulator }) => {
    const response = await fetch(`${simulator.url}/_admin/faults`, {
      method: "POST",
      body: JSON.stringify({ status: 500 }),
    });
    assertEquals(response.status, 400);
    await response.body?.cancel();
  });
});

Deno.test("the pages show what there is, escaped", async () => {
  await withSimulator({}, async ({ create, simulator }) => {
    const event_id = await create({ name: `<script>alert("1")</script>` });
    simulator.guest.register(event_id, {
      name: "<b>Ann</b>",
      email: "ann@example.org",
    });
    for (const path of ["/", `/events/${event_id}`]) {
      const text = await (await fetch(simulator.url + path)).text();
      assertStringIncludes(
        text,
        "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;",
      );
      assertFalse(text.includes("<script"));
      assertFalse(text.includes("<b>Ann"));
    }
    const missing = await fetch(`${simulator.url}/events/evt-x`);
    assertEquals(missing.status, 404);
    await missing.body?.cancel();
  });
});

Deno.test("the page's forms act, and refuse posts from elsewhere", async () => {
  await withSimulator({}, async ({ create, simulator }) => {
    const event_id = await create();
    const post = async (origin: string, email: string) => {
      const response = await fetch(`${simulator.url}/actions/guest/register`, {
        method: "POST",
        body: new URLSearchParams({
          event_id,
          name: "Ann",
          email,
          phone_number: "",
        }),
        headers: { origin },
        redirect: "manual",
      });
      await response.body?.cancel();
      return [response.status, response.headers.get("location")];
    };
    assertEquals(await post("http://evil.example", "ann@example.org"), [
      403,
      null,
    ]);
    assertEquals(simulator.event(event_id)?.guests, []);
    assertEquals(await post(simulator.url, "ann@example.org"), [
      303,
      `/events/${event_id}`,
    ]);
    assertEquals(await post(simulator.url, "not an address"), [400, null]);
    assertEquals(simulator.event(event_id)?.guests.map((g) => g.phone_number), [
      null,
    ]);
  });
});
