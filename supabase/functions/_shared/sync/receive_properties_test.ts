import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { fuzz } from "../fuzz_for_tests.ts";
import { sign } from "../luma/signature.ts";
import type { Delivery } from "../store.ts";
import { body } from "./bodies_for_tests.ts";
import { receiveWebhook } from "./receive.ts";

const SECRET = "whsec_5b1RbLrCurrent";
const NOW = new Date("2026-12-01T12:00:00Z");

Deno.test("whatever was signed, it is stored as JSON that Postgres takes, or refused with 400, and never fails", async () => {
  const seen = { stored: 0, refused: 0, unreadable: 0 };
  await fc.assert(
    fc.asyncProperty(body, async (body) => {
      const stored: Delivery[] = [];
      const response = await receiveWebhook(
        new Request("http://127.0.0.1/luma-webhook", {
          method: "POST",
          headers: {
            "webhook-id": "whd-1",
            "webhook-signature": await sign({ body, secret: SECRET, at: NOW }),
          },
          body,
        }),
        {
          env: { webhookSecrets: new Map([["blr", [SECRET]]]) },
          store: {
            receiveWebhook: (delivery) => {
              stored.push(delivery);
              return Promise.resolve("stored");
            },
          },
          now: () => NOW,
          log: () => {},
        },
      );
      const answer = await response.json();
      if (response.status !== 200) {
        assertEquals([response.status, stored], [400, []]);
        assert(answer.error.length > 10);
        seen.refused++;
        return;
      }
      assertEquals([answer, stored.length], [{ result: "stored" }, 1]);
      const [delivery] = stored;
      // JSON.parse would read an escape back into what must not be there.
      assert(
        !/\\u0000|\\ud[89a-f]/i.test(
          delivery!.payload_json.replaceAll("\\\\", ""),
        ),
      );
      assert(delivery!.payload_json.isWellFormed());
      assertEquals(JSON.parse(delivery!.payload_json).type, delivery!.type);
      assert(delivery!.type !== "");
      seen.stored++;
      if (delivery!.news && "error" in delivery!.news) seen.unreadable++;
    }),
    fuzz(2_000),
  );
  assert(Object.values(seen).every((n) => n > 50), JSON.stringify(seen));
});
