/** Every place where a function can die between two systems: the calls to Luma, and those to the Data API. */
import { LUMA_ROUTES } from "../../supabase/functions/_shared/luma/routes.ts";
import type { How, Trap } from "./acts.ts";

export type FunctionName = "luma-drain" | "luma-pull" | "luma-webhook";

/** Only scripts call these: registering webhooks, and showing which tags there are. */
const OF_SCRIPTS = /webhooks|event-tags\/list/;

/** Which functions make a call, by point. */
export const CALLERS: Record<string, FunctionName[]> = {
  ...Object.fromEntries(
    Object.values(LUMA_ROUTES).filter((route) => !OF_SCRIPTS.test(route)).map(
      (route) => [route, ["luma-drain"]],
    ),
  ),
  // Whether a key that was refused is still good.
  [LUMA_ROUTES.getSelf]: ["luma-pull", "luma-drain"],
  [LUMA_ROUTES.getCalendar]: ["luma-pull"],
  [LUMA_ROUTES.listEvents]: ["luma-pull"],
  [LUMA_ROUTES.getEvent]: ["luma-pull", "luma-drain"],
  [LUMA_ROUTES.listGuests]: ["luma-pull", "luma-drain"],
  luma_drain_start: ["luma-drain"],
  luma_claim: ["luma-drain"],
  luma_renew: ["luma-drain"],
  luma_take_permits: ["luma-drain"],
  luma_return_permits: ["luma-drain"],
  luma_created: ["luma-drain"],
  luma_create_again: ["luma-drain"],
  luma_slug_taken: ["luma-drain"],
  luma_acknowledge: ["luma-drain"],
  luma_fail: ["luma-drain"],
  luma_settle_guests: ["luma-drain"],
  luma_release: ["luma-drain"],
  luma_drain_end: ["luma-drain"],
  luma_note_rate_limit: ["luma-drain", "luma-pull"],
  luma_receive_webhook: ["luma-webhook"],
  luma_apply_deliveries: ["luma-drain"],
  luma_read_delivery: ["luma-drain"],
  luma_event_read: ["luma-drain"],
  luma_pull_request: ["luma-pull"],
  luma_pull_begin: ["luma-pull"],
  luma_pull_step: ["luma-pull"],
  luma_pull_pause: ["luma-pull"],
  luma_cover_begin: ["luma-drain"],
  luma_cover_end: ["luma-drain"],
};

/** The calls that settle a job, with the lease that gives the right to. */
const SETTLING = /^luma_(created|acknowledge|fail|settle_guests|event_read)$/;

/** The functions of the Data API among the points. */
export function isRpc(point: string): boolean {
  return point.startsWith("luma_");
}

/** Every kill point: each call, before and after its effect. */
export const KILL_POINTS: readonly string[] = Object.keys(CALLERS).flatMap(
  (point) => [`${point} before`, `${point} after`],
);

/** What can happen there. */
export function waysAt(point: string, when: Trap["when"]): How[] {
  const always: How[] = ["kill", "kill", "kill", "lost", "refused"];
  if (when === "before") always.push("slow");
  if (isRpc(point)) {
    return when === "before" && SETTLING.test(point)
      ? [...always, "stale"]
      : always;
  }
  // A call never outlives its lease: what is held for so long has had its effect.
  return when === "before" ? [...always, "limited"] : [...always, "freeze"];
}
