/** The one place that reads the environment. */

/** Environment variables. */
export type Vars = Record<string, string | undefined>;

/** The environment as it is. */
export function readVars(): Vars {
  return Deno.env.toObject();
}

/** Everything the functions are told from outside, checked. */
export interface Env {
  supabaseUrl: string;
  /** A secret (`sb_secret_…`) or legacy service role key; reaches only the luma_* functions of the database. */
  supabaseKey: string;
  /** What pg_net and pg_cron prove themselves with, in the header `x-luma-sync-secret`. */
  syncSecret: string;
  lumaUrl: string;
  /** API keys by calendar: `LUMA_ZO_EVENTS_API_KEY` is the key of `zo_events`. */
  apiKeys: ReadonlyMap<string, string>;
  /** Webhook secrets by calendar: `LUMA_BLR_WEBHOOK_SECRET`, two with a comma between them while one replaces the other. */
  webhookSecrets: ReadonlyMap<string, readonly string[]>;
  /** The app's public address, below which stickers and the placeholder are. */
  appUrl: string;
  /** Hosts that covers may be fetched from, see covers/allowed_host.ts. */
  coverHosts: readonly string[];
}

/** The environment cannot be used. Names every setting that is missing or wrong, never a value. */
export class EnvError extends Error {
  override readonly name = "EnvError";
  constructor(problems: string[]) {
    super(
      `${
        problems.join("; ")
      }. Set function secrets with \`supabase secrets set NAME=value\`.`,
    );
  }
}

/** Reads and checks the environment. Throws EnvError with all problems at once. */
export function readEnv(
  vars: Vars = readVars(),
): Env {
  const problems: string[] = [];
  const text = (name: string) => vars[name]?.trim() || undefined;
  const required = (name: string, value = text(name)) => {
    if (!value) problems.push(`${name} is not set`);
    return value ?? "";
  };
  const address = (name: string, fallback?: string) => {
    const value = required(name, text(name) ?? fallback);
    if (value && !/^https?:$/.test(URL.parse(value)?.protocol ?? "")) {
      problems.push(`${name} is not an http(s) address`);
    }
    return value.replace(/\/+$/, "");
  };

  const supabaseUrl = address("SUPABASE_URL");
  const appUrl = address("APP_BASE_URL", "https://game.zo.xyz");
  const env: Env = {
    supabaseUrl,
    supabaseKey: secretKey(vars, problems),
    syncSecret: required("LUMA_SYNC_SECRET"),
    lumaUrl: address("LUMA_API_URL", "https://public-api.luma.com"),
    apiKeys: byCalendar(vars, "API_KEY"),
    webhookSecrets: webhookSecrets(vars),
    appUrl,
    coverHosts: [
      ...(text("COVER_ALLOWED_HOSTS") ?? "").split(","),
      URL.parse(supabaseUrl)?.host ?? "",
      URL.parse(appUrl)?.host ?? "",
    ].map((host) => host.trim()).filter(Boolean),
  };
  if (problems.length > 0) throw new EnvError(problems);
  return env;
}

/** Hosted Supabase sets SUPABASE_SECRET_KEYS to `{"default": "sb_secret_…"}`; older stacks have the legacy key. */
function secretKey(
  vars: Vars,
  problems: string[],
): string {
  const legacy = vars.SUPABASE_SERVICE_ROLE_KEY?.trim();
  const keys = vars.SUPABASE_SECRET_KEYS?.trim();
  if (keys) {
    try {
      const key: unknown = JSON.parse(keys)?.default;
      if (typeof key === "string" && key) return key;
    } catch {
      // Told below: the value itself must not be shown.
    }
    if (!legacy) {
      problems.push('SUPABASE_SECRET_KEYS is not JSON like {"default": "…"}');
    }
  } else if (!legacy) {
    problems.push(
      "neither SUPABASE_SECRET_KEYS nor SUPABASE_SERVICE_ROLE_KEY is set",
    );
  }
  return legacy ?? "";
}

/** The webhook secrets in `vars`, by calendar. */
export function webhookSecrets(vars: Vars) {
  const secrets = new Map<string, string[]>();
  for (const [calendar, value] of byCalendar(vars, "WEBHOOK_SECRET")) {
    secrets.set(
      calendar,
      value.split(",").map((s) => s.trim()).filter(Boolean),
    );
  }
  return secrets;
}

/** The settings named `LUMA_<CALENDAR KEY>_<suffix>` that are not empty, by calendar. */
export function byCalendar(
  vars: Vars,
  suffix: string,
) {
  const values = new Map<string, string>();
  for (const [name, value] of Object.entries(vars)) {
    const calendar = new RegExp(`^LUMA_([A-Z0-9_]+)_${suffix}$`).exec(name)
      ?.[1];
    if (calendar && value?.trim()) {
      values.set(calendar.toLowerCase(), value.trim());
    }
  }
  return values;
}
