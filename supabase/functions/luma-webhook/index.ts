/**
 * Edge Function luma-webhook: takes what Luma's webhooks deliver.
 *
 * POST by Luma, signed with the secret of a calendar's webhook (LUMA_<CALENDAR KEY>_WEBHOOK_SECRET). Answers
 * 200 when the delivery is stored, or was before.
 */
import { type Env, EnvError, readEnv } from "../_shared/env.ts";
import { json } from "../_shared/http.ts";
import { createStore } from "../_shared/store.ts";
import { receiveWebhook } from "../_shared/sync/receive.ts";

Deno.serve((request) => {
  let env: Env;
  try {
    env = readEnv();
  } catch (error) {
    if (!(error instanceof EnvError)) throw error;
    console.error(error.message);
    return json({ error: error.message }, 503);
  }
  return receiveWebhook(request, {
    env,
    store: createStore(env),
    now: () => new Date(),
    log: (message) => console.error(message),
  });
});
