/** Every guard whose removal a test has to notice. */
import { ACCESS } from "./guards/access.ts";
import { APP } from "./guards/app.ts";
import { CALLS } from "./guards/calls.ts";
import { GUESTS } from "./guards/guests.ts";
import { PULL } from "./guards/pull.ts";
import { PUSH } from "./guards/push.ts";
import { QUEUE } from "./guards/queue.ts";
import { RECEIVING } from "./guards/receive.ts";
import { RETRIES } from "./guards/retries.ts";
import type { Mutation } from "./mutation.ts";

export const GUARDS: readonly Mutation[] = [
  ...QUEUE,
  ...RETRIES,
  ...CALLS,
  ...APP,
  ...PUSH,
  ...GUESTS,
  ...RECEIVING,
  ...PULL,
  ...ACCESS,
];
