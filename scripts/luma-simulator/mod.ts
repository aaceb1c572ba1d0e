/**
 * A Luma in memory, over HTTP, for tests and for trying the integration without a Luma account.
 * What it models, and what not: README.md beside this file.
 */
export {
  type CalendarOptions,
  createSimulator,
  DEFAULT_CALENDARS,
  type LumaSimulator,
  type SimulatorOptions,
  startSimulator,
} from "./simulator.ts";
export type { RecordedRequest } from "./api.ts";
export { ApiError } from "./errors.ts";
export type {
  Fault,
  FaultHandle,
  RequestFault,
  WebhookFault,
} from "./faults.ts";
export type {
  EventInput,
  EventPatch,
  ExternalEventInput,
  Guest,
  GuestEdit,
  Host,
  Registration,
} from "./people.ts";
export {
  type Delivery,
  type DeliveryAttempt,
  webhookSignature,
} from "./webhook_sender.ts";
export type {
  GuestStatus,
  SimCalendar,
  SimEmail,
  SimEvent,
  SimExternalEvent,
  SimGuest,
  SimTag,
  SimTicket,
  SimTicketType,
  SimUser,
  SimWebhook,
  Visibility,
  WebhookType,
} from "./world.ts";
