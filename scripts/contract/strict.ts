/** Strict copies of schemas: what a document lists is all there may be. */
import { isObject, type Json } from "./json.ts";

/**
 * A copy of a JSON Schema in which every object that lists properties, and says nothing of others, has no
 * others. `unevaluatedProperties` does that where `additionalProperties` could not: the branches of an
 * `allOf` list the properties of one object together.
 */
export function strict(schema: Json): Json {
  const copy = inPlace(schema);
  if (!isObject(copy) || !listsProperties(copy)) return copy;
  return { ...copy, unevaluatedProperties: false };
}

const BRANCHES = ["allOf", "anyOf", "oneOf"];

/** A schema for a value that some other schema holds too: only the values inside it are closed. */
function inPlace(schema: Json): Json {
  if (!isObject(schema)) return schema;
  const copy = { ...schema };
  for (const name of BRANCHES) {
    const branches = copy[name];
    if (Array.isArray(branches)) copy[name] = branches.map(inPlace);
  }
  if (isObject(copy.properties)) {
    copy.properties = Object.fromEntries(
      Object.entries(copy.properties).map(([name, s]) => [name, strict(s)]),
    );
  }
  for (const name of ["items", "additionalProperties"]) {
    const inner = copy[name];
    if (inner !== undefined) copy[name] = strict(inner);
  }
  return copy;
}

function listsProperties(schema: Json): boolean {
  if (!isObject(schema)) return false;
  if (schema.properties && schema.additionalProperties === undefined) {
    return true;
  }
  return BRANCHES.some((name) => {
    const branches = schema[name];
    return Array.isArray(branches) && branches.some(listsProperties);
  });
}

/** A copy of a schema in which no object, at any depth, must have the named properties. */
export function withOptional(schema: Json, names: string[]): Json {
  if (Array.isArray(schema)) return schema.map((s) => withOptional(s, names));
  if (!isObject(schema)) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => {
      if (key === "required" && Array.isArray(value)) {
        return [key, value.filter((name) => !names.includes(String(name)))];
      }
      return [key, withOptional(value, names)];
    }),
  );
}
