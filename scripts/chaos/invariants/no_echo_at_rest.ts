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
    const written = [...after].filter(([name, row]) =>
      before.get(name)?.version !== row.version
    ).map(([name, row]) =>
      `the ${name} was written without a reason: ${
        changes(before.get(name)?.content ?? {}, row.content)
      }`
    );
    const gone = [...before.keys()].filter((name) => !after.has(name)).map((
      name,
    ) => `the ${name} is gone`);
    return [...calls, ...written, ...gone];
  },
};

type Content = Record<string, unknown>;

interface Written {
  /** Another with every write. */
  version: string;
  content: Content;
}

async function rows({ stack }: World): Promise<Map<string, Written>> {
  const rows = await stack.sql`
    select 'row ' || id as name, xmin::text as version, to_jsonb(e) as content from public.canonical_events e
    union all select 'RSVP ' || id, xmin::text, to_jsonb(r) from public.event_rsvps r
    union all select 'guest from outside ' || luma_guest_id, status, to_jsonb(x) from luma.external_guests x
    union all select 'conflict ' || id, xmin::text, to_jsonb(c) from luma.conflicts c`;
  return new Map(
    rows.map(({ name, version, content }) => [name, { version, content }]),
  );
}

function changes(before: Content, after: Content): string {
  const changed = Object.keys(after).filter((name) =>
    JSON.stringify(before[name]) !== JSON.stringify(after[name])
  );
  return changed.map((name) =>
    `${name} ${JSON.stringify(before[name])} -> ${JSON.stringify(after[name])}`
  ).join(", ") || "no column differs";
}
