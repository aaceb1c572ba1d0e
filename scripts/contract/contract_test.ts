import { assertEquals } from "@std/assert";
import { Contract, type Exchange } from "./contract.ts";
import type { Json, JsonObject } from "./json.ts";

const event: JsonObject = {
  type: "object",
  required: ["id", "place"],
  properties: {
    id: { type: "string" },
    place: {
      anyOf: [
        { type: "object", properties: { city: { type: "string" } } },
        { type: "null" },
      ],
    },
  },
};

const json = (schema: Json) => ({
  content: { "application/json": { schema } },
});

const DOCUMENT: JsonObject = {
  openapi: "3.1.0",
  paths: {
    "/v1/things/list": {
      get: {
        parameters: [
          {
            in: "query",
            name: "owner",
            required: true,
            schema: { type: "string" },
          },
          {
            in: "query",
            name: "limit",
            schema: { type: "number", minimum: 1 },
          },
          { in: "query", name: "order", deprecated: true, schema: {} },
        ],
        responses: {
          "200": json({
            type: "object",
            required: ["entries"],
            properties: {
              entries: {
                type: "array",
                items: {
                  allOf: [event, {
                    type: "object",
                    required: ["tags"],
                    properties: { tags: { type: "array" } },
                  }],
                },
              },
            },
          }),
        },
      },
    },
    "/v1/things/create": {
      post: {
        requestBody: json({
          type: "object",
          required: ["kind"],
          properties: { kind: { type: "string", enum: ["a", "b"] } },
        }),
        responses: {
          "200": json({ type: "object", additionalProperties: false }),
        },
      },
    },
    "/v1/things/old": { get: { deprecated: true, responses: {} } },
    "/v1/calendars/events/list": {
      get: {
        responses: {
          "200": json({
            type: "object",
            required: ["name", "description"],
            properties: {
              name: { type: "string" },
              description: { type: "string" },
            },
          }),
        },
      },
    },
  },
  webhooks: {
    "thing.created": {
      post: {
        requestBody: json({
          type: "object",
          required: ["type", "data"],
          properties: { type: { const: "thing.created" }, data: event },
        }),
      },
    },
  },
};

const contract = new Contract(DOCUMENT);
const ENTRY = { id: "1", place: { city: "Pune" }, tags: [] };

function listing(query: string, entry: Json = ENTRY): Exchange {
  return {
    route: "GET /v1/things/list",
    query: new URLSearchParams(query),
    requestBody: undefined,
    status: 200,
    answerBody: { entries: [entry] },
  };
}

function creating(requestBody: Json, answerBody: Json = {}): Exchange {
  return {
    route: "POST /v1/things/create",
    query: new URLSearchParams(),
    requestBody,
    status: 200,
    answerBody,
  };
}

/** The differences as lines. */
function found(exchange: Exchange): string[] {
  return contract.checkExchange(exchange).map((d) =>
    `${d.where}: expected ${d.expected}, got ${d.got}`
  );
}

Deno.test("an exchange as documented has no differences", () => {
  assertEquals(found(listing("owner=me&limit=5")), []);
  assertEquals(found(listing("owner=me", { ...ENTRY, place: null })), []);
  assertEquals(found(creating({ kind: "a" })), []);
});

Deno.test("a route that is unknown or deprecated is a difference", () => {
  assertEquals(found({ ...listing(""), route: "GET /v1/nothing" }), [
    "route: expected a documented route, got nothing",
  ]);
  assertEquals(contract.checkRoute("GET /v1/things/old").length, 1);
  assertEquals(contract.checkRoute("POST /v1/things/list").length, 1);
  assertEquals(contract.checkRoute("GET /v1/things/list"), []);
});

Deno.test("query parameters must be known, current, of their type, and there when required", () => {
  assertEquals(found(listing("owner=me&limit=0")), [
    "query limit: expected must be >= 1, got 0",
  ]);
  assertEquals(found(listing("limit=many&order=up&colour=red")), [
    'query limit: expected number, got "many"',
    'query order: expected a current parameter, got "deprecated"',
    'query colour: expected no such parameter, got "red"',
    "query owner: expected required, got nothing",
  ]);
});

Deno.test("a request body must have the documented properties and no others", () => {
  assertEquals(found(creating({ kind: "c", size: 3 })), [
    'request $.kind: expected one of a, b, got "c"',
    "request $.size: expected no such property, got 3",
  ]);
  assertEquals(found(creating({})), [
    "request $.kind: expected required, got nothing",
  ]);
  assertEquals(found({ ...creating({}), requestBody: undefined }), [
    "request: expected a JSON body, got nothing",
  ]);
});

Deno.test("a body where the document has none is a difference", () => {
  assertEquals(found({ ...listing("owner=me"), requestBody: { a: 1 } }), [
    'request: expected no body, got {"a":1}',
  ]);
});

Deno.test("an answer may have only documented properties, at any depth and across the parts of allOf", () => {
  const place = { city: "Pune", floor: 2 };
  assertEquals(found(listing("owner=me", { ...ENTRY, place, age: 1 })), [
    "answer $.entries[0].place.floor: expected no such property, got 2",
    "answer $.entries[0].age: expected no such property, got 1",
  ]);
  assertEquals(found(creating({ kind: "a" }, { id: 1 })), [
    "answer $.id: expected no such property, got 1",
  ]);
});

Deno.test("an answer must have what the document requires, of its type", () => {
  const entry = { place: "Pune", tags: [] };
  assertEquals(found(listing("owner=me", entry)), [
    "answer $.entries[0].id: expected required, got nothing",
    'answer $.entries[0].place: expected object or null, got "Pune"',
  ]);
});

Deno.test("a status that the document does not know, and a body that is not JSON, are differences", () => {
  assertEquals(found({ ...listing("owner=me"), status: 201 }), [
    "answer status: expected 200, got 201",
  ]);
  assertEquals(found({ ...listing("owner=me"), answerBody: undefined }), [
    "answer: expected a JSON body, got nothing",
  ]);
});

Deno.test("what Luma is known to leave out is not required, and all else is", () => {
  const list = (answerBody: Json) =>
    found({
      ...listing(""),
      route: "GET /v1/calendars/events/list",
      answerBody,
    });
  assertEquals(list({ name: "Run" }), []);
  assertEquals(list({}), ["answer $.name: expected required, got nothing"]);
});

Deno.test("webhook deliveries are held to the document's webhooks", () => {
  const delivery = (body: Json) =>
    contract.checkDelivery(body).map((d) => `${d.where}: ${d.expected}`);
  const data = { id: "1", place: null };
  assertEquals(delivery({ type: "thing.created", data }), []);
  assertEquals(delivery({ type: "thing.created", data: { ...data, x: 1 } }), [
    "delivery $.data.x: no such property",
  ]);
  assertEquals(delivery({ type: "thing.lost", data }), [
    "delivery $.type: a documented webhook",
  ]);
});
