/** Finding and reading an OpenAPI document, and what it says about one route. */
import { at, isObject, type Json, type JsonObject } from "./json.ts";

/** The document cannot be used; the message names it and says why. */
export class DocumentError extends Error {
  override readonly name = "DocumentError";
}

/** Reads an OpenAPI 3 document in JSON from a file or an http(s) address. Throws DocumentError. */
export async function readDocument(source: string): Promise<JsonObject> {
  const text = /^https?:\/\//.test(source)
    ? await download(source)
    : await readFile(source);
  let document: Json;
  try {
    document = JSON.parse(text);
  } catch {
    throw new DocumentError(`${source} is not JSON`);
  }
  const version = at(document, "openapi");
  const known = typeof version === "string" && version.startsWith("3.");
  if (!isObject(document) || !known || !isObject(document.paths)) {
    throw new DocumentError(
      `${source} is not an OpenAPI 3 document: it needs "openapi": "3.x" and "paths"`,
    );
  }
  return document;
}

async function download(address: string): Promise<string> {
  let response: Response;
  try {
    response = await fetch(address, { signal: AbortSignal.timeout(30_000) });
  } catch (cause) {
    throw new DocumentError(`${address} cannot be reached`, { cause });
  }
  const text = await response.text();
  if (response.ok) return text;
  throw new DocumentError(`${address} answered ${response.status}`);
}

async function readFile(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    const reason = cause instanceof Deno.errors.NotFound
      ? "does not exist"
      : `cannot be read: ${cause instanceof Error ? cause.message : cause}`;
    throw new DocumentError(`${path} ${reason}`, { cause });
  }
}

/** A query parameter that a route takes. */
export interface Parameter {
  name: string;
  required: boolean;
  deprecated: boolean;
  schema: Json;
}

/** What the document says about one route. */
export interface Operation {
  deprecated: boolean;
  query: Parameter[];
  /** The schema of a JSON request body, or undefined when the route takes none. */
  requestBody: Json | undefined;
  /** The schemas of JSON answers by status. */
  answers: Map<string, Json | undefined>;
}

/** The operation of a route such as `POST /v1/events/create`, or null when the document has none. */
export function operationOf(
  document: JsonObject,
  route: string,
): Operation | null {
  const [method = "", path = ""] = route.split(" ");
  const operation = at(document, "paths", path, method.toLowerCase());
  if (!isObject(operation)) return null;
  const parameters = Array.isArray(operation.parameters)
    ? operation.parameters
    : [];
  const answers = isObject(operation.responses) ? operation.responses : {};
  return {
    deprecated: operation.deprecated === true,
    query: parameters.filter((p) => at(p, "in") === "query").map((p) => ({
      name: String(at(p, "name")),
      required: at(p, "required") === true,
      deprecated: at(p, "deprecated") === true,
      schema: at(p, "schema") ?? {},
    })),
    requestBody: jsonSchema(operation.requestBody),
    answers: new Map(
      Object.entries(answers).map(([status, a]) => [status, jsonSchema(a)]),
    ),
  };
}

/** The schema of a webhook's body, or undefined when the document does not name the type. */
export function webhookSchema(
  document: JsonObject,
  type: string,
): Json | undefined {
  return jsonSchema(at(document, "webhooks", type, "post", "requestBody"));
}

function jsonSchema(body: Json | undefined): Json | undefined {
  return at(body, "content", "application/json", "schema");
}
