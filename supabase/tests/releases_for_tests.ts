/** The releases of this project, as groups of its migrations. */

export const ROOT = new URL("../..", import.meta.url).pathname;
const MIGRATIONS = `${ROOT}/supabase/migrations`;

/** Files that a release has put between those of an older one, where a database that has these gets them afterwards. */
const INSERTED: Record<string, string> = {
  "20261122002590_health_anew.sql": "20261126",
  "20261124000340_body_as_text.sql": "20261126",
};

/** The names of the migrations, in order. */
export function migrationNames(): string[] {
  return [...Deno.readDirSync(MIGRATIONS)].map(({ name }) => name).sort();
}

/** Each release with the files that it brought. */
export function releases(): { day: string; files: string[] }[] {
  const byDay = Map.groupBy(
    migrationNames(),
    (name) => INSERTED[name] ?? name.slice(0, 8),
  );
  return [...byDay].sort().map(([day, files]) => ({ day, files }));
}

/** The files of a release and of all before it. */
export function filesUpTo(day: string): string[] {
  return releases().filter((release) => release.day <= day)
    .flatMap(({ files }) => files).sort();
}

export function readMigration(name: string): Promise<string> {
  return Deno.readTextFile(`${MIGRATIONS}/${name}`);
}
