/** No key and no secret is in a table, a log, or an answer. */
import type { World } from "../world.ts";
import type { Invariant } from "./invariant.ts";

/**
 * Not looked through: the Vault, which is for secrets; and pg_net's queue, whose headers carry the narrow sync secret
 * until a request is sent (docs/configuration.md). Whether it holds any other secret is looked at.
 */
const VAULT = "vault";
/** The tables as they were, in process: see chaos/in_process/project.sql. */
const COPIES = "chaos";
const QUEUE = "net.http_request_queue";

export const noSecretAnywhere: Invariant = {
  name: "no-secret-anywhere",

  atRest: async (world) => {
    const secrets = secretsOf(world);
    const found: string[] = [];
    const look = (where: string, text: string, but = "") => {
      for (const [name, secret] of secrets) {
        if (name !== but && text.includes(secret)) {
          found.push(`${name} is in ${where}`);
        }
      }
    };
    const { stack } = world;
    const tables = await stack.admin`
      select format('%I.%I', schemaname, tablename) as name from pg_tables
      where schemaname not in ('pg_catalog', 'information_schema', ${VAULT}, ${COPIES})`;
    for (const { name } of tables) {
      const [row] = await stack.admin.unsafe(
        `select string_agg(t::text, ' ') as text from ${name} t`,
      );
      look(
        `the table ${name}`,
        row?.text ?? "",
        name === QUEUE ? "the sync secret" : "",
      );
    }
    look("the functions' logs", stack.functions.logs());
    look("Postgres's log", stack.postgres.log);
    for (const answer of world.answers) look("an answer", answer);
    return found;
  },
};

function secretsOf({ stack }: World): [string, string][] {
  return [
    ["the secret key", stack.secretKey],
    ["the sync secret", stack.syncSecret],
    ...stack.simulator.calendars.map((
      { id, key },
    ): [string, string] => [`the API key of ${id}`, key]),
    ...stack.simulator.webhooks().map((
      { calendar_id, secret },
    ): [string, string] => [`the webhook secret of ${calendar_id}`, secret]),
  ];
}
