import { z } from "zod";

// The pieces that several requests share. What is checked beyond the document's types (time zones,
// ranges, empty names) is what Luma needs in order to show an event at all.

export const eventId = z.string();
export const dateTime = z.iso.datetime({ offset: true });

/** Plain offsets pass Intl's own check, but are no zone that Luma could show. */
export const timezone = z.string().refine((name) => {
  if (/^[+-]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}, { error: "not an IANA time zone such as Asia/Kolkata" });

export const coordinate = z.strictObject({
  longitude: z.number().min(-180).max(180),
  latitude: z.number().min(-90).max(90),
});

export const geoAddress = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("manual"), address: z.string() }),
  z.strictObject({
    type: z.literal("google"),
    place_id: z.string(),
    description: z.string().nullish(),
  }),
]);

/** Anything on this CDN has the right form; whether it was uploaded is checked when it is used. */
export const coverUrl = z.url().regex(/^https:\/\/images\.lumacdn\.com\//, {
  error:
    "must start with https://images.lumacdn.com/ (upload the image with /v1/images/create-upload-url)",
});

export const slug = z.string().min(3).max(50).regex(/^[A-Za-z0-9._-]+$/, {
  error: "may hold letters, digits, dots, hyphens and underscores only",
});

export const eventName = z.string().refine((name) => name.trim() !== "", {
  error: "must not be empty",
});

export const visibility = z.enum(["public", "members-only", "private"]);
export const guestStatus = z.enum([
  "approved",
  "declined",
  "pending_approval",
  "waitlist",
]);
export const anyGuestStatus = z.enum([
  "approved",
  "session",
  "pending_approval",
  "invited",
  "declined",
  "waitlist",
]);
export const webhookType = z.enum([
  "*",
  "calendar.event.added",
  "calendar.person.subscribed",
  "event.canceled",
  "event.created",
  "event.updated",
  "guest.registered",
  "guest.updated",
  "ticket.registered",
]);
export const tagColor = z.enum([
  "cranberry",
  "barney",
  "red",
  "green",
  "blue",
  "purple",
  "yellow",
  "orange",
]);
export const email = z.string().trim().regex(/^[^\s@]+@[^\s@]+$/, {
  error: "not an e-mail address",
});

/** Query parameters arrive as text. */
export const pagination = {
  pagination_cursor: z.string().optional(),
  pagination_limit: z.coerce.number().min(1).optional(),
};
export const sortDirection = z.enum([
  "asc",
  "desc",
  "asc nulls last",
  "desc nulls last",
]).optional();

/** At most P7D (Luma OpenAPI, feedback_email). */
const feedbackDelay = z.iso.duration().refine((text) => {
  const [, days, hours, minutes, seconds] =
    /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/.exec(text) ?? [];
  const amount = (digits?: string) => Number(digits ?? 0);
  const total = ((amount(days) * 24 + amount(hours)) * 60 + amount(minutes)) *
      60 + amount(seconds);
  return /^P[\dDTHMS]+$/.test(text) && total <= 7 * 86_400;
}, { error: "must be an ISO 8601 duration of at most P7D" });

export const feedbackEmail = z.strictObject({
  enabled: z.boolean(),
  delay: feedbackDelay.optional(),
});

const question = { id: z.string(), label: z.string(), required: z.boolean() };
const choice = { ...question, options: z.array(z.string()).max(250) };
const PLAIN_QUESTIONS = [
  "agree-check",
  "github",
  "instagram",
  "linkedin",
  "long-text",
  "phone-number",
  "telegram",
  "text",
  "twitter",
  "url",
  "youtube",
] as const;

export const registrationQuestion = z.discriminatedUnion("question_type", [
  z.strictObject({ ...question, question_type: z.enum(PLAIN_QUESTIONS) }),
  z.strictObject({
    ...choice,
    question_type: z.enum(["dropdown", "multi-select"]),
  }),
  z.strictObject({
    ...question,
    question_type: z.literal("company"),
    collect_job_title: z.boolean().nullish(),
    job_title_label: z.string().nullish(),
  }),
  z.strictObject({
    ...question,
    question_type: z.literal("terms"),
    terms: z.discriminatedUnion("content_type", [
      z.strictObject({
        content_type: z.literal("text"),
        content_md: z.string(),
        collect_signature: z.boolean(),
        require_review: z.boolean().optional(),
      }),
      z.strictObject({
        content_type: z.literal("link"),
        url: z.url(),
        collect_signature: z.boolean(),
      }),
    ]),
  }),
]);
