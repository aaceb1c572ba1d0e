/**
 * Edge Function luma-pull: reads Luma's side, and makes the app's rows follow.
 *
 * POST with the header x-luma-sync-secret. Works on the pulls that were asked for (luma.pull_now(), pg_cron); a body
 * asks for one first: {"calendar": "blr"}, {"event": "<id here, or evt-…>"}, both, or {"all": true}; with "dry": true
 * nothing is written but the report in luma.drift. Answers 202 at once and works on in the background; with ?wait=1
 * when it is over, with a summary.
 * GET ?about=1 with that header: which release this is, and fingerprints of its settings (_shared/introduce.ts).
 */
import {
  answerRun,
  PLATFORM,
  problem,
  refuse,
  serve,
} from "../_shared/http.ts";
import { createStore, StoreError } from "../_shared/store.ts";
import { pull } from "../_shared/sync/pull.ts";
import { pullRequest } from "../_shared/sync/pull_request.ts";

serve("luma-pull", async (request, env) => {
  const refused = refuse(request, env.syncSecret);
  if (refused) return refused;

  const store = createStore(env);
  try {
    const asked = await pullRequest(request);
    if ("error" in asked) return problem(asked.error, 400);
    if (asked.request) await store.pullRequest(asked.request);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return problem(error.message, error.isRefusal ? 400 : 503);
  }
  return await answerRun(request, pull({ env, store, ...PLATFORM }));
});
