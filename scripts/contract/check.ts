/**
 * The check: plays the scenario with the real client on the simulator, and holds everything that went over
 * the wire to the document. It judges with a JSON Schema library and the document alone: the product's own
 * schemas would only repeat the product's own mistakes.
 */
import {
  createLumaClient,
  type LumaClient,
} from "../../supabase/functions/_shared/luma/client.ts";
import { LumaError } from "../../supabase/functions/_shared/luma/errors.ts";
import { LUMA_ROUTES } from "../../supabase/functions/_shared/luma/routes.ts";
import { recordingFetch, startReceiver } from "./capture.ts";
import { Contract, type Exchange } from "./contract.ts";
import { at, type Json, type JsonObject } from "./json.ts";
import { type Finding, unique } from "./report.ts";
import { CAUSED_DELIVERIES, playScenario, type Stage } from "./scenario.ts";

/** Where the scenario is played. */
export interface LumaServer extends Omit<Stage, "luma" | "webhookUrl"> {
  url: string;
  apiKey: string;
}

/** What went over the wire in one scenario. */
export interface Recording {
  /** Names of the client's methods that were called. */
  called: Set<string>;
  /** Names of all methods of the client. */
  methods: string[];
  exchanges: Exchange[];
  /** The bodies of webhook deliveries; one that is not JSON is undefined. */
  deliveries: (Json | undefined)[];
  /** Why the scenario ended early, or null. */
  failure: string | null;
}

/** Plays the scenario on a server and records it, as far as it comes. */
export async function record(server: LumaServer): Promise<Recording> {
  const exchanges: Exchange[] = [];
  const called = new Set<string>();
  const client = createLumaClient({
    apiKey: server.apiKey,
    baseUrl: server.url,
    fetch: recordingFetch(exchanges),
  });
  const receiver = startReceiver();
  let failure: string | null = null;
  try {
    const luma = noting(client, called);
    await playScenario({ ...server, luma, webhookUrl: receiver.url });
  } catch (error) {
    if (!(error instanceof LumaError)) throw error;
    failure = error.message;
  } finally {
    await receiver.stop();
  }
  const methods = Object.keys(client);
  const deliveries = receiver.bodies;
  return { called, methods, exchanges, deliveries, failure };
}

/** The client, noting the name of each method that is taken from it. */
function noting(client: LumaClient, called: Set<string>): LumaClient {
  return new Proxy(client, {
    get(target, name, receiver) {
      called.add(String(name));
      return Reflect.get(target, name, receiver);
    },
  });
}

/** Every finding about a recording, in the order of the client's routes. */
export function judge(document: JsonObject, recording: Recording): Finding[] {
  const contract = new Contract(document);
  const routes = new Set<string>([
    ...Object.values(LUMA_ROUTES),
    ...recording.exchanges.map((exchange) => exchange.route),
  ]);
  const types = new Set<string>([
    ...CAUSED_DELIVERIES,
    ...recording.deliveries.map((body) => String(at(body, "type"))),
  ]);
  return [
    ...[...routes].map((route) => aboutRoute(contract, recording, route)),
    ...[...types].map((type) => aboutDeliveries(contract, recording, type)),
    ...unused(recording),
    ...ended(recording),
  ];
}

function aboutRoute(
  contract: Contract,
  { exchanges }: Recording,
  route: string,
): Finding {
  const own = exchanges.filter((exchange) => exchange.route === route);
  const differences = [
    ...contract.checkRoute(route),
    ...own.flatMap((exchange) => contract.checkExchange(exchange)),
  ];
  if (own.length === 0) differences.push(missing("a call in the scenario"));
  return { name: route, calls: own.length, differences: unique(differences) };
}

function aboutDeliveries(
  contract: Contract,
  { deliveries }: Recording,
  type: string,
): Finding {
  const own = deliveries.filter((body) => String(at(body, "type")) === type);
  const differences = own.flatMap((body) => contract.checkDelivery(body));
  if (own.length === 0) differences.push(missing("a delivery"));
  return {
    name: `webhook ${type}`,
    calls: own.length,
    differences: unique(differences),
  };
}

/** The client's methods that the scenario passed by. */
function unused({ methods, called }: Recording): Finding[] {
  return methods.filter((method) => !called.has(method)).map((method) => ({
    name: `client method ${method}`,
    calls: 0,
    differences: [missing("a call in the scenario")],
  }));
}

/** The scenario itself, when a call in it failed. */
function ended({ failure }: Recording): Finding[] {
  if (failure === null) return [];
  const expected = "every call answered";
  return [{
    name: "the scenario",
    calls: 0,
    differences: [{ where: "scenario", expected, got: failure }],
  }];
}

function missing(what: string) {
  return { where: "scenario", expected: what, got: "none" };
}
