/** What the mapping refuses. */
import { assert } from "@std/assert";
import { RowError } from "./mapping.ts";

/** What `make` answers, or null when it refuses the row with a message. */
export function unlessRefused<T>(make: () => T): T | null {
  try {
    return make();
  } catch (error) {
    assert(error instanceof RowError, String(error));
    assert(error.message.length > 20, error.message);
    return null;
  }
}
