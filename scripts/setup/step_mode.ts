/** Step "mode": from off to dry_run. A project that is live stays live. */
import type postgres from "postgres";
import type { Step } from "./scene.ts";

export const modeStep: Step = {
  name: "mode",

  async look({ sql }) {
    const mode = await readMode(sql);
    return mode === "off"
      ? ["set the mode dry_run: it tells what would be sent, and sends nothing"]
      : [];
  },

  async apply({ sql }) {
    await sql`select luma.set_mode('dry_run')`;
  },
};

/** off, dry_run or live; off before the migrations. */
export async function readMode(sql: postgres.Sql): Promise<string> {
  const [found] = await sql`
    select to_regclass('luma.settings') is not null as is_there`;
  if (!found?.is_there) return "off";
  const [row] = await sql`select luma.mode() as mode`;
  return String(row?.mode);
}
