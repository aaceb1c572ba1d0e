/** Keeps what is secret out of what is printed, whatever a tool or a server says. */
import type { Vars } from "../../supabase/functions/_shared/env.ts";
import type { AdminWorld } from "../admin/flags.ts";

const SECRET =
  /^(LUMA_.*(_KEY|_SECRET)|SUPABASE_DB_URL|SUPABASE_ACCESS_TOKEN)$/;
const EMAIL = /[\w.+-]+@[\w-]+(\.[\w-]+)*\.[a-z]{2,}/gi;

/** The world, which prints no secret of `vars()` and no e-mail address. */
export function discreet<W extends AdminWorld>(world: W, vars: () => Vars): W {
  const clean = (text: string) =>
    secretsOf(vars()).reduce(
      (cleaned, secret) => cleaned.replaceAll(secret, "[secret]"),
      text,
    ).replace(EMAIL, "[e-mail]");
  return {
    ...world,
    out: (text) => world.out(clean(text)),
    err: (text) => world.err(clean(text)),
  };
}

function secretsOf(vars: Vars): string[] {
  const values = Object.entries(vars).flatMap(([name, value]) => {
    if (!value?.trim() || !SECRET.test(name)) return [];
    const password = URL.parse(value)?.password ?? "";
    return [value, ...value.split(","), password, decoded(password)];
  }).map((value) => value.trim());
  // Shorter ones, and the password that every local database has, would blank out words. The longest first, because
  // it may hold another.
  return values.filter((value) => value.length >= 6 && value !== "postgres")
    .sort((a, b) => b.length - a.length);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
