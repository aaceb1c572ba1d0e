/** A committed file that a task makes from the migrations. */

/**
 * Writes what the file is to be, or with `check` only says when it is something else. Answers the task's exit status:
 * 1 when it is not up to date and nothing was written.
 */
export async function keepGenerated(
  file: URL,
  text: string,
  { check, task }: { check: boolean; task: string },
): Promise<number> {
  const present = await Deno.readTextFile(file).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
  if (present === text) {
    console.log(`${file.pathname.split("/").at(-1)} is up to date.`);
    return 0;
  }
  if (check) {
    console.error(
      `${file.pathname} is not what the migrations make. Run: deno task ${task}`,
    );
    return 1;
  }
  await Deno.writeTextFile(file, text);
  console.log(`Wrote ${file.pathname}.`);
  return 0;
}
