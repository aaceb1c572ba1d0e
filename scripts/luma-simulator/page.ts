import { goingCount } from "./guests.ts";
import { Html, html } from "./html.ts";
import type { RecordedRequest } from "./api.ts";
import type { SimCalendar, SimEvent, SimGuest, World } from "./world.ts";

const REFRESH_S = 3;
const SHOWN_REQUESTS = 25;

const STYLE = new Html(`
  :root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.4 }
  body { margin: 0 auto; max-width: 70rem; padding: 1rem }
  table { border-collapse: collapse; width: 100% }
  caption { text-align: left; font-weight: 600; padding: .5rem 0 }
  th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8885; vertical-align: top }
  form { display: inline-block; margin: 0 .4rem .4rem 0 }
  form.stack label { display: block; margin: .4rem 0 }
  code { font-size: .9em; overflow-wrap: anywhere }
`);

/** The overview: calendars, their events, and the last requests. It reloads itself unless told not to. */
export function indexPage(
  world: World,
  requests: RecordedRequest[],
  refresh: boolean,
): string {
  const toggle = refresh
    ? html`<a href="/?refresh=off">Stop refreshing</a>`
    : html`<a href="/">Refresh every ${REFRESH_S} seconds</a>`;
  return document(
    "Luma simulator",
    html`<h1>Luma simulator</h1>
<p>In memory, not Luma. ${toggle}</p>
${world.calendars.map((calendar) => calendarSection(world, calendar))}
${requestTable(requests)}`,
    refresh,
  );
}

/** One event with its guests, and forms to act as its host or a guest. It does not reload itself. */
export function eventPage(event: SimEvent): string {
  return document(
    event.name,
    html`<p><a href="/">All calendars</a></p>
<h1>${event.name}</h1>
<dl>${
      Object.entries(facts(event)).map(([name, value]) =>
        html`
          <dt><b>${name}</b></dt>
          <dd>${value}</dd>
        `
      )
    }</dl>
${guestTable(event)}
<h2>Act as a guest</h2>
${
      form("guest/register", event, "Register", [
        ["name", "Name", ""],
        ["email", "E-mail", ""],
        ["phone_number", "Phone (optional)", ""],
      ])
    }
<h2>Act as the host</h2>
${
      form("host/update-event", event, "Save", [
        ["name", "Name", event.name],
        ["start_at", "Starts (ISO 8601)", event.start_at],
        ["end_at", "Ends (ISO 8601)", event.end_at],
      ])
    }
<p>${button("host/make-private", event, "Make private")}
${button("host/cancel-event", event, "Cancel for good")}</p>`,
    false,
  );
}

export function errorPage(message: string): string {
  return document(
    "That did not work",
    html`
      <h1>That did not work</h1>
      <p>${message}</p>
      <p><a href="/">All calendars</a></p>
    `,
    false,
  );
}

function document(title: string, body: Html, refresh: boolean): string {
  const meta = refresh
    ? html`<meta http-equiv="refresh" content="${REFRESH_S}">`
    : undefined;
  return html`
    <!doctype html>
    <html lang="en">
      <head><meta charset="utf-8"><title>${title}</title>
    <link rel="icon" href="data:,"><meta name="viewport" content="width=device-width, initial-scale=1">${meta}
    <style>${STYLE}</style></head>
      <body>
        <main>${body}</main>
      </body>
    </html>
  `.text;
}

function calendarSection(world: World, calendar: SimCalendar): Html {
  const events = world.events.values()
    .filter((event) => event.calendar_id === calendar.id)
    .toArray()
    .sort((a, b) => a.start_at < b.start_at ? -1 : 1);
  return html`
    <table>
      <caption>${calendar.name} <code>${calendar.id}</code>: ${events
        .length} events</caption>
      <thead>
        <tr>
          <th scope="col">Event</th>
          <th scope="col">Starts</th>
          <th scope="col">Visibility</th>
          <th scope="col">Going</th>
          <th scope="col">Page</th>
        </tr>
      </thead>
      <tbody>${events.map((event) =>
        html`
          <tr>
            <th scope="row"><a href="/events/${event.id}">${event.name}</a></th>
            <td>${event.start_at} (${event.timezone})</td>
            <td>${event.visibility}</td>
            <td>${goingCount(event)} of ${event.guests.length}</td>
            <td><code>luma.com/${event.slug}</code></td>
          </tr>
        `
      )}</tbody>
    </table>
  `;
}

function guestTable(event: SimEvent): Html {
  return html`
    <table>
      <caption>Guests: ${event.guests.length}</caption>
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">E-mail</th>
          <th scope="col">Phone</th>
          <th scope="col">Status</th>
          <th scope="col">Change</th>
        </tr>
      </thead>
      <tbody>${event.guests.map((guest) =>
        html`
          <tr>
            <th scope="row">${guest.user_name}</th>
            <td>${guest.user_email}</td>
            <td>${guest.phone_number}</td>
            <td>${guest.approval_status}</td>
            <td>${changes(event, guest)}</td>
          </tr>
        `
      )}</tbody>
    </table>
  `;
}

function changes(event: SimEvent, guest: SimGuest): Html[] {
  const set = (status: string, label: string) =>
    button("host/set-guest-status", event, label, { guest: guest.id, status });
  return [
    set("approved", "Approve"),
    set("declined", "Decline"),
    set("waitlist", "Waitlist"),
    button("host/check-in", event, "Check in", { guest: guest.id }),
  ];
}

function requestTable(requests: RecordedRequest[]): Html {
  const last = requests.slice(-SHOWN_REQUESTS).reverse();
  return html`
    <table>
      <caption>Requests: the last ${last.length} of ${requests.length}</caption>
      <thead>
        <tr>
          <th scope="col">Time</th>
          <th scope="col">Request</th>
          <th scope="col">Body</th>
          <th scope="col">Calendar</th>
          <th scope="col">Answer</th>
        </tr>
      </thead>
      <tbody>${last.map((request) =>
        html`
          <tr>
            <td>${new Date(request.time).toISOString()}</td>
            <td>${request.method} <code>${request.path}</code></td>
            <td><code>${shortBody(request)}</code></td>
            <td><code>${request.calendar}</code></td>
            <td>${request.status ?? request.outcome}</td>
          </tr>
        `
      )}</tbody>
    </table>
  `;
}

function shortBody(request: RecordedRequest): string {
  const shown = request.method === "GET" ? request.query : request.body;
  const text = JSON.stringify(shown) ?? "";
  return text.length > 200 ? `${text.slice(0, 199)}…` : text;
}

function facts(event: SimEvent): Record<string, string> {
  const place = event.geo_address_json?.address ?? event.meeting_url ?? "none";
  return {
    Id: event.id,
    Page: `https://luma.com/${event.slug}`,
    Time: `${event.start_at} to ${event.end_at} (${event.timezone})`,
    Visibility: event.visibility,
    Place: place,
    Capacity: String(event.max_capacity ?? "unlimited"),
    Cover: event.cover_url,
    Tags: event.tags.map((tag) => tag.name).join(", ") || "none",
    Tickets: event.ticketTypes.map((type) =>
      `${type.name} (${type.type}${type.is_hidden ? ", hidden" : ""})`
    ).join(", "),
    Description: event.description_md || "none",
  };
}

function form(
  action: string,
  event: SimEvent,
  label: string,
  fields: [name: string, label: string, value: string][],
): Html {
  const inputs = fields.map(([name, text, value]) =>
    html`<label>${text} <input name="${name}" value="${value}"></label>`
  );
  return html`<form class="stack" method="post" action="/actions/${action}">
<input type="hidden" name="event_id" value="${event.id}">${inputs}<button>${label}</button></form>`;
}

function button(
  action: string,
  event: SimEvent,
  label: string,
  fields: Record<string, string> = {},
): Html {
  const inputs = Object.entries({ event_id: event.id, ...fields }).map((
    [name, value],
  ) => html`<input type="hidden" name="${name}" value="${value}">`);
  return html`
    <form method="post"
      action="/actions/${action}">${inputs}<button>${label}</button></form>
  `;
}
