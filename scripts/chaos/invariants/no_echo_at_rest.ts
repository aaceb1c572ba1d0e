/** At rest another pull and another drain change nothing: no call to Luma that changes anything, no row written. */
import { drain, pull } from "../rest.ts";
import type { World } from "../world.ts";
import type { Invariant } from "./invariant.ts";

export const noEchoAtRest: Invariant = {
  name: "no-echo-at-rest",

  atRest: async (world) => {
    const { requests } = world.stack.simulator;
    const before = await rows(world);
    const asked = requests.length;
    await pull(world);
    await drain(world);
    const calls = requests.slice(asked).filter(({ method }) =>
      method === "POST"
    )
      .map(({ path, body }) =>
        `Luma was called without a reason: POST ${path} ${JSON.stringify(body)}`
      );
    const after = await rows(world);
    const written = [...after].filter(([row, version]) =>
      before.get(row) !== version
    )
      .map(([row]) => `the ${row} was written without a reason`);
    const gone = [...before.keys()].filter((row) => !after.has(row)).map((
      row,
    ) => `the ${row} is gone`);
    return [...calls, ...written, ...gone];
  },
};

async function rows({ stack }: World): Promise<Map<string, string>> {
  const rows = await stack.sql`
    select 'row ' || id as name, xmin::text as version from public.canonical_events
    union all select 'RSVP ' || id, xmin::text from public.event_rsvps
    union all select 'guest from outside ' || luma_guest_id, status from luma.external_guests
    union all select 'conflict ' || id, xmin::text from luma.conflicts`;
  return new Map(rows.map(({ name, version }) => [name, version]));
}
