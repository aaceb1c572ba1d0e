/**
 * Edge Function luma-drain: sends what the outbox holds to Luma.
 *
 * POST with the header x-luma-sync-secret. Answers 202 at once and works on in the background, because
 * pg_net holds up every other call of the project until this one answers; with ?wait=1 it answers when the
 * run is over, with its summary.
 * GET ?about=1 with that header: which release this is, and fingerprints of its settings (_shared/introduce.ts).
 */
import { answerRun, PLATFORM, refuse, serve } from "../_shared/http.ts";
import { createStore } from "../_shared/store.ts";
import { drain } from "../_shared/sync/drain.ts";

serve("luma-drain", async (request, env) =>
  refuse(request, env.syncSecret) ??
    await answerRun(
      request,
      drain({ env, store: createStore(env), ...PLATFORM }),
    ));
