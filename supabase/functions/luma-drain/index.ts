/**
 * Edge Function luma-drain: sends what the outbox holds to Luma.
 *
 * POST with the header x-luma-sync-secret. Answers 202 at once and works on in the background, because
 * pg_net holds up every other call of the project until this one answers; with ?wait=1 it answers when the
 * run is over, with its summary.
 */
import { json, refuse, runInBackground, serve } from "../_shared/http.ts";
import { createStore, StoreError } from "../_shared/store.ts";
import { drain } from "../_shared/sync/drain.ts";

serve(async (request, env) => {
  const refused = refuse(request, env.syncSecret);
  if (refused) return refused;

  const run = drain({
    env,
    store: createStore(env),
    fetch,
    now: () => performance.now(),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    log: (message) => console.error(message),
  });
  if (new URL(request.url).searchParams.get("wait") !== "1") {
    runInBackground(run.catch((error) => console.error(error.message)));
    return json({ started: true }, 202);
  }
  try {
    return json(await run);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return json({ error: error.message }, 503);
  }
});
