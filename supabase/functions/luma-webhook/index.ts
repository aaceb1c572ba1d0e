/**
 * Edge Function luma-webhook: takes what Luma's webhooks deliver.
 *
 * POST by Luma, signed with the secret of a calendar's webhook (LUMA_<CALENDAR KEY>_WEBHOOK_SECRET). Answers
 * 200 when the delivery is stored, or was before.
 * GET ?about=1 with the header x-luma-sync-secret: which release this is, and fingerprints of its settings (_shared/introduce.ts).
 */
import { log, serve } from "../_shared/http.ts";
import { createStore } from "../_shared/store.ts";
import { receiveWebhook } from "../_shared/sync/receive.ts";

serve("luma-webhook", (request, env) =>
  receiveWebhook(request, {
    env,
    store: createStore(env),
    now: () => new Date(),
    log,
  }));
