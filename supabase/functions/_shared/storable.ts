/** JSON that Postgres can store. */

/**
 * For JSON.parse and JSON.stringify, value by value. Postgres takes neither U+0000 nor half a surrogate pair, in a
 * text or in a name; without this, one in a guest's name would come again for ever.
 */
export function storable(value: unknown): unknown {
  if (typeof value === "string") return cleaned(value);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return value;
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, inside]) => [cleaned(name), inside]),
  );
}

/** A value as JSON, with texts and names that can be stored. */
export function storableJson(value: unknown): string {
  return JSON.stringify(value, (_name, inside) => storable(inside));
}

function cleaned(text: string): string {
  return text.replaceAll("\0", "").toWellFormed();
}
