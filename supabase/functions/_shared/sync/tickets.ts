/** Ticket types: never a free page for a paid event. Every step can be repeated. */
import type { LumaClient } from "../luma/client.ts";
import { LumaError } from "../luma/errors.ts";
import type { TicketType } from "../luma/types.ts";

type Client = Pick<
  LumaClient,
  | "listTicketTypes"
  | "createTicketType"
  | "updateTicketType"
  | "deleteTicketType"
>;

/** Makes a ticket at this price (null: a free one) the only kind that guests can get. Throws LumaError. */
export async function ensureTicket(
  client: Client,
  eventId: string,
  price: { cents: number; currency: string } | null,
): Promise<void> {
  // Hidden types are not among them: nobody can get those.
  let types = await client.listTicketTypes(eventId);
  const fits = (type: TicketType) => type.type === (price ? "paid" : "free");
  // The wanted one first: Luma refuses to delete the last visible type.
  let kept = types.find((type) => fits(type) && samePrice(type, price)) ??
    types.find(fits);
  if (!kept) {
    kept = await client.createTicketType({
      event_id: eventId,
      name: "Ticket",
      type: price ? "paid" : "free",
      ...price,
    });
    // fetch repeats a call whose connection broke: then Luma has made two, and this is the second.
    types = await client.listTicketTypes(eventId);
  } else if (price && !samePrice(kept, price)) {
    await client.updateTicketType({ event_ticket_type_id: kept.id, ...price });
  }
  for (const type of types) {
    if (type.id !== kept.id) await retire(client, type);
  }
}

function samePrice(
  type: TicketType,
  price: { cents: number; currency: string } | null,
): boolean {
  return price === null ||
    (type.cents === price.cents &&
      type.currency?.toLowerCase() === price.currency);
}

/** Deletes a type, or hides it when tickets of it are out (Luma OpenAPI, /v1/events/ticket-types/delete). */
async function retire(client: Client, type: TicketType): Promise<void> {
  try {
    await client.deleteTicketType(type.id);
  } catch (error) {
    // Gone already: fetch has repeated a call whose connection broke.
    if (error instanceof LumaError && error.status === 404) return;
    if (!(error instanceof LumaError && error.status === 400)) throw error;
    await client.updateTicketType({
      event_ticket_type_id: type.id,
      is_hidden: true,
    });
  }
}
