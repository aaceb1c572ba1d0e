/** The webhook's function and its database, with what no Luma sends, but signed: never a 500, nothing by halves. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { fuzz } from "../functions/_shared/fuzz_for_tests.ts";
import { sign } from "../functions/_shared/luma/signature.ts";
import { body } from "../functions/_shared/sync/bodies_for_tests.ts";
import { BLR, hostEvent, lumaTest, rowOf, settle } from "./luma_side.ts";
import { type Stack, until } from "./testing.ts";

/** Signs and sends a body, and answers the status. */
async function deliver(
  { functionsUrl }: Stack,
  secret: string,
  id: string,
  body: Uint8Array<ArrayBuffer>,
): Promise<number> {
  const response = await fetch(`${functionsUrl}/luma-webhook`, {
    method: "POST",
    headers: {
      "webhook-id": id,
      "webhook-signature": await sign({ body, secret, at: new Date() }),
    },
    body,
  });
  await response.json();
  return response.status;
}

lumaTest(
  "whatever is signed and delivered, it is stored once or refused, and what Luma really tells arrives",
  async (stack) => {
    const { sql, simulator } = stack;
    const state = await (await fetch(`${simulator.url}/_admin/state`)).json();
    const webhooks: { calendar_id: string; secret: string }[] = state.webhooks;
    const { secret } = webhooks.find(({ calendar_id }) => calendar_id === BLR)!;
    const event = hostEvent(stack);
    await settle(stack);
    let count = 0;
    const expected = new Set<string>();
    const seen = { stored: 0, refused: 0 };
    const bodies = fc.array(body, { minLength: 1, maxLength: 8, size: "max" });
    await fc.assert(
      fc.asyncProperty(bodies, async (bodies) => {
        const statuses = await Promise.all(bodies.map(async (body) => {
          const id = `whd-fuzz-${++count}`;
          const status = await deliver(stack, secret, id, body);
          if (status === 200) expected.add(id);
          return status;
        }));
        assert(
          statuses.every((status) => status === 200 || status === 400),
          `${statuses}\n${stack.functions.logs("luma-webhook").slice(-2_000)}`,
        );
        seen.stored += statuses.filter((status) => status === 200).length;
        seen.refused += statuses.filter((status) => status === 400).length;
      }),
      fuzz(40),
    );
    const stored =
      await sql`select webhook_id, times_received, state, error, due_at from luma.webhook_inbox where webhook_id like 'whd-fuzz-%'`;
    assertEquals(new Set(stored.map(({ webhook_id }) => webhook_id)), expected);
    for (const { state, error, due_at, times_received } of stored) {
      assertEquals(times_received, 1);
      // Applied, to be tried again, of no use, or kept with the reason.
      assert(
        state === "applied" || due_at !== null || error !== null ||
          state === "stored",
        state,
      );
    }
    assert(seen.stored > 50 && seen.refused > 10, JSON.stringify(seen));

    // They are tried for hours, in their turn.
    await sql`update luma.webhook_inbox set due_at = null where error is not null`;
    simulator.host.updateEvent(event.id, { name: "Still here" });
    await until("the row has the new title", async () => {
      await settle(stack);
      return (await rowOf(stack, event.id)).title === "Still here";
    });
  },
);
