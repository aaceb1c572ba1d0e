import { z } from "zod";
import { ACTIONS } from "./actions.ts";
import { ApiError } from "./errors.ts";
import { checkedFault, type FaultHandle, type Faults } from "./faults.ts";
import type { LumaSimulator } from "./simulator.ts";
import { validate } from "./validate.ts";
import type { World } from "./world.ts";

/** The part of the simulator that the admin routes and the page read and change. */
export interface Operated {
  simulator: LumaSimulator;
  world: World;
  faults: Faults;
}

const faultId = z.strictObject({ id: z.string().optional() });

/**
 * The JSON that `/_admin/…` answers. Not Luma's: no key, no rate limit, no recording.
 * @throws ApiError 404 for an unknown route, 400 for a body that is not what it takes.
 */
export function serveAdmin(
  operated: Operated,
  method: string,
  path: string,
  input: unknown,
): unknown {
  const { simulator, world } = operated;
  const { host, guest } = simulator;
  switch (`${method} ${path}`) {
    case "GET state":
      return state(operated);
    case "GET requests":
      return { entries: simulator.requests };
    case "DELETE requests":
      simulator.clearRequests();
      return {};
    case "GET deliveries":
      return { entries: simulator.deliveries };
    case "GET emails":
      return { entries: world.emails };
    case "GET faults":
      return { entries: operated.faults.list().map(faultView) };
    case "POST faults":
      return faultView(operated.faults.add(checkedFault(input)));
    case "DELETE faults":
      return onFaults(operated, input, (fault) => fault.remove());
    case "POST faults/release":
      return onFaults(operated, input, (fault) => fault.release());
    case "POST reset":
      simulator.reset();
      return {};
  }
  const action = method === "POST" ? ACTIONS.get(path) : undefined;
  if (!action) {
    throw new ApiError(404, `no admin route ${method} /_admin/${path}`);
  }
  return action({ host, guest }, input);
}

function state({ simulator, world }: Operated) {
  return {
    calendars: world.calendars.map(({ key: _key, ...calendar }) => calendar),
    events: simulator.events(),
    external_events: world.externalEvents,
    webhooks: world.webhooks,
    images: [...world.images.values()].map(({ bytes, ...image }) => ({
      ...image,
      size: bytes?.length ?? null,
    })),
  };
}

/** Does `change` to the fault named by `id`, or to all without one. */
function onFaults(
  { faults: set }: Operated,
  input: unknown,
  change: (fault: FaultHandle) => void,
): object {
  const { id } = validate(faultId, input ?? {});
  const faults = set.list().filter((f) => id === undefined || f.id === id);
  if (id !== undefined && faults.length === 0) {
    throw new ApiError(404, `id: no fault "${id}" is set`);
  }
  for (const fault of faults) change(fault);
  return {};
}

function faultView({ id, fault, hits }: FaultHandle) {
  return { id, hits, ...fault };
}
