import { ApiError } from "./errors.ts";
import { addGuests, findGuest, setStatus } from "./guests.ts";
import { page } from "./paging.ts";
import { eventOf, type Route, route } from "./route.ts";
import * as schemas from "./schemas.ts";
import { guestEntry, guestView } from "./views.ts";
import type { SimGuest } from "./world.ts";

const SORT_KEYS: Record<string, (guest: SimGuest) => string | null> = {
  name: (guest) => guest.user_name,
  email: (guest) => guest.user_email,
  created_at: (guest) => guest.created_at,
  registered_at: (guest) => guest.registered_at,
  checked_in_at: (guest) =>
    guest.event_tickets.find((t) => t.checked_in_at)?.checked_in_at ?? null,
};

export const guestRoutes: Route[] = [
  route("GET", "/v1/events/guests/get", schemas.getGuest, (context, query) => {
    const event = eventOf(context, query.event_id);
    return guestView(event, findGuest(event, query.id));
  }),
  route(
    "GET",
    "/v1/events/guests/list",
    schemas.listGuests,
    (context, query) => {
      const event = eventOf(context, query.event_id);
      const wanted = event.guests.filter((g) =>
        g.approval_status === (query.approval_status ?? g.approval_status)
      );
      const keyOf = SORT_KEYS[query.sort_column ?? "created_at"] ??
        (() => null);
      const found = page(wanted, query, context.pageSize, keyOf);
      const entries = found.entries.map((guest) => guestEntry(event, guest));
      return { ...found, entries };
    },
  ),
  route(
    "POST",
    "/v1/events/guests/add",
    schemas.addGuests,
    (context, input) => {
      addGuests(context.world, eventOf(context, input.event_id), input);
      return {};
    },
  ),
  route(
    "POST",
    "/v1/events/guests/update-status",
    schemas.updateGuestStatus,
    (context, input) => {
      const event = eventOf(context, input.event_id);
      const guest = findGuest(event, input.guest_id);
      if (input.send_email === false && input.message) {
        throw new ApiError(
          400,
          'message: cannot be combined with "send_email": false',
        );
      }
      setStatus(context.world, event, guest, input.status);
      if (input.send_email ?? true) {
        const to = guest.user_email;
        context.world.mail({ to, event_id: event.id, about: "status-changed" });
      }
      return {};
    },
  ),
];
