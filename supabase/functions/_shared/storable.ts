/** JSON that Postgres can store. */

/** Postgres takes neither U+0000 nor half a surrogate pair; without this, one in a guest's name would come again for ever. */
export function storable(value: unknown): unknown {
  return typeof value === "string"
    ? value.replaceAll("\0", "").toWellFormed()
    : value;
}

/** A value as JSON, with texts that can be stored. */
export function storableJson(value: unknown): string {
  return JSON.stringify(value, (_key, inside) => storable(inside));
}
