/** What the person who runs the task can mend. The message says how, and never holds a key or a secret. */
export class Problem extends Error {
  override readonly name = "Problem";
}
