/** The .env file. */
import { type Check, failure, ok, warning } from "./check.ts";

export const envChecks: readonly Check[] = [
  {
    id: "env",
    needs: [],
    async look({ settings, problems }) {
      const { envFile } = settings;
      const all = settings.syncSecret === ""
        ? [...problems, "LUMA_SYNC_SECRET is not set."]
        : problems;
      if (all.length > 0) {
        return failure(
          all.join(" "),
          await Deno.stat(envFile).then(
            () =>
              `Mend ${envFile}; deno task setup writes what it can make itself.`,
            () => `There is no ${envFile}: cp .env.example ${envFile}`,
          ),
        );
      }
      const keys = settings.calendars.map(({ name }) => name).join(", ");
      return ok(`complete, with keys for ${keys}`);
    },
  },
  {
    id: "env-private",
    needs: [],
    async look({ settings: { envFile } }) {
      const file = await Deno.stat(envFile).catch(() => null);
      if (file === null) return ok("there is no such file");
      const mode = (file.mode ?? 0) & 0o777;
      return mode & 0o077
        ? warning(
          `${envFile} can be read by other users (mode ${mode.toString(8)})`,
          `chmod 600 ${envFile}`,
        )
        : ok("only its owner can read it");
    },
  },
];
