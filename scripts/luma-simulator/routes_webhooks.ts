import { ApiError } from "./errors.ts";
import { page } from "./paging.ts";
import { type Context, type Route, route } from "./route.ts";
import * as schemas from "./schemas.ts";
import type { SimWebhook } from "./world.ts";

export const webhookRoutes: Route[] = [
  route(
    "GET",
    "/v1/webhooks/list",
    schemas.listWebhooks,
    ({ world, calendar, pageSize }, query) => {
      const own = world.webhooks.filter((w) => w.calendar_id === calendar.id);
      const found = page(own, query, pageSize, (webhook) => webhook.created_at);
      return { ...found, entries: found.entries.map(webhookView) };
    },
  ),
  route(
    "GET",
    "/v2/webhooks/get",
    schemas.webhookById,
    (context, { id }) => webhookView(webhookOf(context, id)),
  ),
  route(
    "POST",
    "/v2/webhooks/create",
    schemas.createWebhook,
    ({ world, calendar }, { url, event_types }) => {
      const webhook: SimWebhook = {
        id: world.id("wh"),
        calendar_id: calendar.id,
        url,
        event_types,
        status: "active",
        secret: `whsec_${world.random(32)}`,
        created_at: world.time(),
      };
      world.webhooks.push(webhook);
      return webhookView(webhook);
    },
  ),
  route(
    "POST",
    "/v2/webhooks/update",
    schemas.updateWebhook,
    (context, input) => {
      const webhook = webhookOf(context, input.id);
      webhook.event_types = input.event_types ?? webhook.event_types;
      webhook.status = input.status ?? webhook.status;
      return webhookView(webhook);
    },
  ),
  route(
    "POST",
    "/v1/webhooks/delete",
    schemas.webhookById,
    (context, { id }) => {
      const webhook = webhookOf(context, id);
      context.world.webhooks = context.world.webhooks.filter((w) =>
        w !== webhook
      );
      return {};
    },
  ),
];

function webhookOf({ world, calendar }: Context, id: string): SimWebhook {
  const webhook = world.webhooks.find((w) => w.id === id);
  if (!webhook) throw new ApiError(404, `id: no webhook "${id}"`);
  if (webhook.calendar_id !== calendar.id) {
    throw new ApiError(403, `id: this key has no access to webhook "${id}"`);
  }
  return webhook;
}

function webhookView({ calendar_id: _calendar, ...view }: SimWebhook) {
  return view;
}
