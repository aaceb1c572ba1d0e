/** Holding requests, answers and webhook deliveries to an OpenAPI document. */
import {
  Ajv2020,
  type ErrorObject,
  type ValidateFunction,
} from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import {
  type Operation,
  operationOf,
  type Parameter,
  webhookSchema,
} from "./document.ts";
import { at, type Json, type JsonObject } from "./json.ts";
import { KNOWN_DIFFERENCES } from "./known.ts";
import { strict, withOptional } from "./strict.ts";

/** One request and its answer. A body that is not JSON is undefined. */
export interface Exchange {
  /** Method and path, for example `POST /v1/events/create`. */
  route: string;
  query: URLSearchParams;
  requestBody: Json | undefined;
  status: number;
  answerBody: Json | undefined;
}

/** One point in which an exchange or a delivery is not as documented. */
export interface Difference {
  /** Where: the part of the exchange and a JSON path in it, for example `answer $.entries[0].name`. */
  where: string;
  expected: string;
  got: string;
}

export class Contract {
  readonly #ajv: Ajv2020;
  readonly #validators = new Map<string, ValidateFunction>();

  constructor(private readonly document: JsonObject) {
    // strict: false, because the document has keywords of its own (`x-…`).
    this.#ajv = new Ajv2020({ allErrors: true, strict: false });
    addFormats.default(this.#ajv);
  }

  /** Whether a route exists and is current. */
  checkRoute(route: string): Difference[] {
    const operation = operationOf(this.document, route);
    if (!operation) {
      return [difference("route", "a documented route", undefined)];
    }
    if (!operation.deprecated) return [];
    return [difference("route", "a current route", "deprecated")];
  }

  /** What in an exchange is not as the document says. */
  checkExchange(exchange: Exchange): Difference[] {
    const operation = operationOf(this.document, exchange.route);
    if (!operation) return this.checkRoute(exchange.route);
    return [
      ...this.#checkQuery(exchange, operation),
      ...this.#checkRequestBody(exchange, operation),
      ...this.#checkAnswer(exchange, operation),
    ];
  }

  /** What in the body of a webhook delivery is not as the document says. */
  checkDelivery(body: Json | undefined): Difference[] {
    const type = String(at(body, "type"));
    const schema = webhookSchema(this.document, type);
    if (schema === undefined) {
      return [difference("delivery $.type", "a documented webhook", type)];
    }
    return this.#validate(`webhook ${type}`, "delivery", schema, body);
  }

  #checkQuery({ route, query }: Exchange, operation: Operation): Difference[] {
    const found: Difference[] = [];
    for (const name of new Set(query.keys())) {
      const parameter = operation.query.find((p) => p.name === name);
      const where = `query ${name}`;
      if (!parameter) {
        found.push(difference(where, "no such parameter", query.get(name)));
      } else if (parameter.deprecated) {
        found.push(difference(where, "a current parameter", "deprecated"));
      } else {
        const value = queryValue(parameter, query.getAll(name));
        const key = `${route} ${where}`;
        found.push(...this.#validate(key, where, parameter.schema, value));
      }
    }
    for (const { name, required } of operation.query) {
      if (required && !query.has(name)) {
        found.push(difference(`query ${name}`, "required", undefined));
      }
    }
    return found;
  }

  #checkRequestBody(
    { route, requestBody }: Exchange,
    { requestBody: schema }: Operation,
  ): Difference[] {
    const where = "request";
    if (schema !== undefined) {
      return this.#validate(`${route} ${where}`, where, schema, requestBody);
    }
    if (requestBody === undefined) return [];
    return [difference(where, "no body", requestBody)];
  }

  #checkAnswer(exchange: Exchange, operation: Operation): Difference[] {
    const { route, status, answerBody } = exchange;
    const schema = operation.answers.get(String(status));
    if (schema === undefined) {
      const statuses = [...operation.answers.keys()].join(" or ");
      return [difference("answer status", statuses, status)];
    }
    const absent = KNOWN_DIFFERENCES.filter((known) => known.route === route)
      .flatMap((known) => known.absent);
    const asSent = withOptional(schema, absent);
    const key = `${route} answer ${status}`;
    return this.#validate(key, "answer", asSent, answerBody);
  }

  #validate(
    key: string,
    where: string,
    schema: Json,
    value: Json | undefined,
  ): Difference[] {
    if (value === undefined) {
      return [difference(where, "a JSON body", undefined)];
    }
    const known = this.#validators.get(key);
    const validator = known ?? this.#ajv.compile(strict(schema) as JsonObject);
    this.#validators.set(key, validator);
    if (validator(value)) return [];
    return differencesIn(where, validator.errors ?? [], value);
  }
}

/** A parameter's values as its schema types them: a query string holds only text. */
function queryValue({ schema }: Parameter, values: string[]): Json {
  const [first = ""] = values;
  switch (at(schema, "type")) {
    case "array":
      return values;
    case "number":
    case "integer":
      // What is no number stays text, which the schema then refuses.
      return /^-?\d+(\.\d+)?$/.test(first) ? Number(first) : first;
    case "boolean":
      return first === "true" ? true : first === "false" ? false : first;
    default:
      return first;
  }
}

const COMPOSITES = new Set(["allOf", "anyOf", "oneOf"]);

/** One difference for each place, saying all that would have been right there. */
function differencesIn(
  where: string,
  errors: ErrorObject[],
  value: Json,
): Difference[] {
  const direct = errors.filter((e) => !COMPOSITES.has(e.keyword));
  const firm = direct.filter((e) => e.keyword !== "unevaluatedProperties");
  // A branch that fails evaluates nothing, so all that it lists looks unknown: only the failure is news.
  const failed = firm.filter((e) =>
    /\/(allOf|anyOf|oneOf)\//.test(e.schemaPath)
  );
  const unknown = direct.filter((e) =>
    e.keyword === "unevaluatedProperties" &&
    !failed.some((f) => f.instancePath.startsWith(e.instancePath))
  );
  const places = new Map<
    string,
    { expected: Set<string>; got: Json | undefined }
  >();
  for (const error of [...firm, ...unknown]) {
    const { path, expected } = placeOf(error);
    const name = path.length ? `${where} $${path.map(step).join("")}` : where;
    const place = places.get(name) ??
      { expected: new Set(), got: at(value, ...path) };
    places.set(name, place);
    place.expected.add(expected);
  }
  return [...places].map(([name, { expected, got }]) =>
    difference(name, [...expected].slice(0, 4).join(" or "), got)
  );
}

function placeOf(error: ErrorObject): { path: string[]; expected: string } {
  const path = error.instancePath.split("/").slice(1).map((part) =>
    part.replaceAll("~1", "/").replaceAll("~0", "~")
  );
  const { params } = error;
  switch (error.keyword) {
    case "required":
      return { path: [...path, params.missingProperty], expected: "required" };
    case "unevaluatedProperties":
      return {
        path: [...path, params.unevaluatedProperty],
        expected: "no such property",
      };
    case "additionalProperties":
      return {
        path: [...path, params.additionalProperty],
        expected: "no such property",
      };
    case "const":
      return { path, expected: JSON.stringify(params.allowedValue) };
    case "enum":
      return { path, expected: `one of ${params.allowedValues.join(", ")}` };
    case "type":
      return { path, expected: String(params.type) };
    default:
      return { path, expected: error.message ?? error.keyword };
  }
}

function step(part: string): string {
  return /^\d+$/.test(part) ? `[${part}]` : `.${part}`;
}

const MAX_SHOWN = 80;

function difference(
  where: string,
  expected: string,
  got: Json | undefined,
): Difference {
  const text = got === undefined ? "nothing" : JSON.stringify(got);
  const shown = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
  return { where, expected, got: shown };
}
