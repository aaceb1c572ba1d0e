/** Answers requests without a connection: the API, and the address that images are uploaded to. */
import { upload } from "./images.ts";
import type { Served } from "./server.ts";

/** Null: the connection breaks instead of an answer. */
export type Handler = (request: Request) => Promise<Response | null>;

export function handlerOf({ api, requests, operated }: Served): Handler {
  return async (request) => {
    const url = new URL(request.url);
    const contentType = request.headers.get("content-type") ?? "";
    const name = /^\/_cdn\/upload\/(\w+)$/.exec(url.pathname)?.[1];
    if (name !== undefined) {
      const bytes = new Uint8Array(await request.arrayBuffer());
      upload(operated().world, name, contentType, bytes);
      return new Response(null);
    }
    const call = {
      method: request.method,
      url,
      key: request.headers.get("x-luma-api-key"),
      contentType,
      body: await request.text(),
    };
    const record = api.record(call);
    const answer = await api.answer(call, record);
    record.outcome = answer ? "answered" : "closed";
    requests.changed(record);
    if (!answer) return null;
    record.status = answer.status;
    record.response = answer.body;
    return Response.json(answer.body, {
      status: answer.status,
      headers: answer.headers,
    });
  };
}
