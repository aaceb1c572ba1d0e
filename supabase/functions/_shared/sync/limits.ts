/** Limits that the functions share, in milliseconds. */

/** A free-plan function may be retired after 75 s, half of its 150 (see the platform's limits). */
export const RUN_BUDGET_MS = 50_000;

/** Below the shortest useful lease, so that a call never outlives the lease it is made under. */
export const CALL_TIMEOUT_MS = 10_000;

/**
 * The database counts a permit's minute from 1.5 seconds after it gave it (luma.permit_ms()); less here, so that
 * a call that leaves at the last moment is still on the wire in time.
 */
export const PERMIT_USABLE_MS = 1_200;
