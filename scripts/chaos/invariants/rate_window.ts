/** In no 60 seconds does a calendar get more calls than Luma allows. */
import { mostInAMinute } from "../../luma-simulator/rate_limit.ts";
import type { World } from "../world.ts";
import type { Invariant } from "./invariant.ts";

export const rateWindow: Invariant = {
  name: "rate-window",

  always: ({ stack, config }: World) => {
    const byCalendar = Map.groupBy(
      stack.simulator.requests,
      ({ calendar }) => calendar,
    );
    return Promise.resolve([...byCalendar].flatMap(([calendar, requests]) => {
      const most = mostInAMinute(requests.map(({ time }) => time));
      return most > config.callsPerMinute
        ? [
          `${calendar} got ${most} calls within a minute; ${config.callsPerMinute} are allowed`,
        ]
        : [];
    }));
  },
};
