/** All of them, in the order in which they are checked. */
import { appUndisturbed } from "./app_undisturbed.ts";
import { attemptsBounded } from "./attempts_bounded.ts";
import type { Invariant } from "./invariant.ts";
import { noChangeLost } from "./no_change_lost.ts";
import { noEchoAtRest } from "./no_echo_at_rest.ts";
import { noSecretAnywhere } from "./no_secret_anywhere.ts";
import { oneGuestPerPerson } from "./one_guest_per_person.ts";
import { oneLumaEventPerRow } from "./one_luma_event_per_row.ts";
import { oneRowPerLumaEvent } from "./one_row_per_luma_event.ts";
import { rateWindow } from "./rate_window.ts";

export const INVARIANTS: readonly Invariant[] = [
  oneLumaEventPerRow,
  oneRowPerLumaEvent,
  oneGuestPerPerson,
  appUndisturbed,
  rateWindow,
  attemptsBounded,
  noChangeLost,
  noEchoAtRest,
  noSecretAnywhere,
];
