/** The functions of the Data API without it: calls public functions as PostgREST does, as whoever has the secret key. */
import postgres from "postgres";

interface Signature {
  /** SQL types by argument. */
  types: Map<string, string>;
  returns: "value" | "rows" | "nothing";
}

export class DataApi {
  readonly #signatures = new Map<string, Signature>();

  /** `sql`: one connection, as the service role. */
  constructor(private readonly sql: postgres.Sql) {}

  /** Answers as PostgREST does: the value as JSON, or the error with its SQLSTATE. */
  async call(name: string, body: string): Promise<Response> {
    const signature = await this.#signature(name);
    if (!signature) {
      return Response.json({ code: "PGRST202", message: `no ${name}` }, {
        status: 404,
      });
    }
    try {
      const [row] = await this.sql.unsafe(
        statement(name, signature, Object.keys(JSON.parse(body))),
        [body],
      );
      return signature.returns === "nothing"
        ? new Response(null, { status: 204 })
        : Response.json(row?.value ?? null);
    } catch (error) {
      if (!(error instanceof postgres.PostgresError)) throw error;
      const { code, message, detail = null, hint = null } = error;
      return Response.json({ code, message, details: detail, hint }, {
        status: 400,
      });
    }
  }

  async #signature(name: string): Promise<Signature | undefined> {
    // Also one that was made meanwhile.
    if (!this.#signatures.has(name)) {
      const rows = await this.sql`
        select p.proname, case when p.prorettype = 'void'::regtype then 'nothing' when p.proretset then 'rows' else 'value' end as returns,
          coalesce(jsonb_object_agg(a.name, format_type(a.type, null)) filter (where a.name is not null), '{}') as types
        from pg_proc p left join unnest(p.proargnames, p.proargtypes::oid[]) as a (name, type) on true
        where p.pronamespace = 'public'::regnamespace and p.proname like 'luma\\_%' group by p.oid`;
      for (const { proname, returns, types } of rows) {
        const ofArguments = new Map<string, string>(Object.entries(types));
        this.#signatures.set(proname, { types: ofArguments, returns });
      }
    }
    return this.#signatures.get(name);
  }
}

function statement(
  name: string,
  { types, returns }: Signature,
  given: string[],
): string {
  const columns = given.map((arg) => `"${arg}" ${types.get(arg) ?? "text"}`);
  const args = given.map((arg) => `"${arg}" => args."${arg}"`).join(", ");
  const value = {
    value: "to_jsonb(answer)",
    rows: "coalesce(jsonb_agg(answer), '[]')",
    nothing: "null::jsonb",
  }[returns];
  const from = columns.length > 0
    ? `jsonb_to_record($1::text::jsonb) as args (${columns.join(", ")}), `
    : "(select $1::text) as args, ";
  return `select ${value} as value from ${from}lateral public.${name}(${args}) as answer`;
}
