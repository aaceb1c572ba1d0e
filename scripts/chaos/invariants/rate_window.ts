/** In no 60 seconds does a calendar get more calls than Luma allows. */
import type { World } from "../world.ts";
import type { Invariant } from "./invariant.ts";

const WINDOW_MS = 60_000;

export const rateWindow: Invariant = {
  name: "rate-window",

  always: ({ stack, config }: World) => {
    const byCalendar = Map.groupBy(
      stack.simulator.requests,
      ({ calendar }) => calendar,
    );
    return Promise.resolve([...byCalendar].flatMap(([calendar, requests]) => {
      const most = mostInAWindow(requests.map(({ time }) => time));
      return most > config.callsPerMinute
        ? [
          `${calendar} got ${most} calls within a minute; ${config.callsPerMinute} are allowed`,
        ]
        : [];
    }));
  },
};

/** `times` ascending. */
function mostInAWindow(times: number[]): number {
  let most = 0;
  let first = 0;
  times.forEach((time, last) => {
    while (times[first]! <= time - WINDOW_MS) first++;
    most = Math.max(most, last - first + 1);
  });
  return most;
}
