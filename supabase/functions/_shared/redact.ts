/**
 * Takes personal data and secrets out of texts that are logged, answered or kept: the one place for that on this
 * side (in the database it is luma.redacted(), by the same rules). What is left tells whose it may be to somebody
 * who knows the person already, and nothing to anybody else.
 */
import { z } from "zod";

/** `zara@example.com` becomes `z…@example.com`. */
const EMAIL =
  /([^\s@<>"'`(),;:=[\]{}\\|/?&])[^\s@<>"'`(),;:=[\]{}\\|/?&]*(@|%40)([^\s@<>"'`(),;:=[\]{}\\|/?&]+\.[^\s@<>"'`(),;:=[\]{}\\|/?&]+)/gu;

/** `+91 98765 43210` becomes `+…10`. Without a + only ten digits by themselves, because ids have more. */
const PHONE =
  /(?<!\d)\+\d[\d\s().-]{5,}(\d\d)|(?<![\w.-])\d{5}[ -]?\d{3}(\d\d)(?![\w-]|\.\d)/gu;

/** Keys and secrets of Supabase and Luma, and JSON web tokens. */
const SECRET =
  /\b(sb_secret_|sb_publishable_|sbp_|whsec_|secret-)[\w-]{8,}|\b(eyJ)[\w-]{10,}\.[\w-]+\.[\w-]+/gu;

/** The text without e-mail addresses, phone numbers and secrets, and without `known` texts, such as people's names. */
export function redact(text: string, known: Iterable<string> = []): string {
  for (const value of known) text = text.replaceAll(value, shortened(value));
  return text
    .replaceAll(SECRET, (_all, prefix, token) => `${prefix ?? token}…`)
    .replaceAll(EMAIL, "$1…$2$3")
    .replaceAll(
      PHONE,
      (all: string, abroad, home) =>
        `${all.startsWith("+") ? "+" : ""}…${abroad ?? home}`,
    );
}

/** What went wrong, as it may be logged and kept. */
export function reasonOf(error: unknown): string {
  return redact(error instanceof Error ? error.message : String(error));
}

/** A request to Luma as it may be kept: its guests can be told apart, and no more. */
export function redactedBody(body: unknown): unknown {
  const names = Guests.safeParse(body).data?.guests
    .flatMap(({ name }) => name || []) ?? [];
  return JSON.parse(JSON.stringify(body), (field, value) => {
    if (field === "guests") {
      return JSON.parse(
        JSON.stringify(value),
        (_name, inside) =>
          typeof inside === "string" ? redact(inside, names) : inside,
      );
    }
    return field === "guest_id" ? redact(value) : value;
  });
}

const Guests = z.object({
  guests: z.array(z.looseObject({ name: z.string().nullish() })),
});

function shortened(name: string): string {
  return `${[...name][0]}…`;
}
