/** The simulator as a stage for the scenario. */
import type { LumaSimulator } from "../luma-simulator/mod.ts";
import type { LumaServer } from "./check.ts";

/** The simulator's first calendar, with people who use Luma's own pages. */
export function stageOn(simulator: LumaSimulator): LumaServer {
  const [calendar] = simulator.calendars;
  if (!calendar) throw new Error("the simulator started without a calendar");
  return {
    url: simulator.url,
    apiKey: calendar.key,
    peopleVisit: (eventId) => peopleVisit(simulator, calendar.id, eventId),
    delivered: () => simulator.webhooksIdle(),
  };
}

function peopleVisit(
  { host, guest }: LumaSimulator,
  calendarId: string,
  eventId: string,
): void {
  guest.register(eventId, {
    name: "With phone",
    email: "phone@example.com",
    phone_number: "+919800000000",
  });
  guest.update(eventId, "phone@example.com", { name: "With a new name" });
  host.checkIn(eventId, "phone@example.com");
  guest.register(eventId, { name: "In doubt", email: "doubt@example.com" });
  guest.cancel(eventId, "doubt@example.com");
  host.invite(eventId, "invited@example.com");
  host.setGuestStatus(eventId, "invited@example.com", "session");
  host.invite(eventId, "asked@example.com", "Asked");
  host.updateEvent(eventId, { name: "Contract run, edited on Luma" });
  host.addExternalEvent(calendarId, {
    name: "Elsewhere",
    url: "https://example.com/elsewhere",
    start_at: "2030-01-01T10:00:00Z",
    end_at: "2030-01-01T12:00:00Z",
    timezone: "UTC",
  });
}
