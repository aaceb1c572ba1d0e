/** Strangers, secrets and people's data. */
import { type Mutation, ofFunctions, onStack } from "../mutation.ts";

const COVERS = "supabase/functions/_shared/covers";

export const ACCESS: Mutation[] = [
  {
    name: "functions-of-service-role",
    guard: "no user of the app can call the sync's functions",
    in: "luma.restrict_access",
    from: "revoke all on function %s from public, anon, authenticated",
    to: "revoke all on function %s from anon",
    test: onStack(
      "access_matrix",
      "only service_role has rights, and only to call the functions of the list",
    ),
  },
  {
    name: "tables-of-nobody",
    guard: "every table of the sync has row level security",
    in: "supabase/migrations/20261122001300_outbox.sql",
    from: "alter table luma.sync_outbox enable row level security;",
    to: "",
    test: onStack("access", "every table of ours has row level security"),
  },
  {
    name: "sync-secret",
    guard: "a stranger can start no function",
    in: "supabase/functions/_shared/http.ts",
    from:
      'if (!sameSecret(request.headers.get("x-luma-sync-secret"), syncSecret)) {',
    to: "if (!syncSecret) {",
    test: ofFunctions(
      "http",
      "without the right secret the answer is 401 and names the header and its setting",
    ),
  },
  {
    name: "secret-that-is-not-set",
    guard: "a secret that is not set matches nothing",
    in: "supabase/functions/_shared/http.ts",
    from: ' &&\n    expected !== "";',
    to: ";",
    test: ofFunctions("http", "a secret that is not set matches nothing"),
  },
  {
    name: "cover-private-address",
    guard: "a cover's name that leads to a private address is not asked",
    in: `${COVERS}/fetch_image.ts`,
    from: "if (!addresses.some(isPrivateAddress)) return;",
    to: "if (addresses) return;",
    test: ofFunctions(
      "covers/ssrf",
      "an allowed name that leads to a private address is not asked",
    ),
  },
  {
    name: "cover-metadata-address",
    guard: "the address where clouds answer with credentials is private",
    in: `${COVERS}/private_address.ts`,
    from: '["169.254.0.0", 16],',
    to: "",
    test: ofFunctions(
      "covers/ssrf",
      "public and private addresses are told apart",
    ),
  },
  {
    name: "cover-redirect",
    guard: "a cover's redirect passes the same checks",
    in: `${COVERS}/fetch_image.ts`,
    from:
      "url = allowedUrl(URL.parse(location, url)?.href ?? location, allowedHosts);",
    to: "url = new URL(location, url);",
    test: ofFunctions(
      "covers/fetch_image",
      "a redirect to a private address, another host or another scheme is not followed",
    ),
  },
  {
    name: "cover-hops",
    guard: "redirects end",
    in: `${COVERS}/fetch_image.ts`,
    from: "hops <= MAX_REDIRECTS;",
    to: "hops <= 20;",
    test: ofFunctions(
      "covers/fetch_image",
      "three redirects are followed, relative ones too, and a fourth is not",
    ),
  },
  {
    name: "cover-size",
    guard: "a cover is read no further than the limit",
    in: `${COVERS}/fetch_image.ts`,
    from: ": await readBounded(response.body, maxBytes);",
    to: ": await readBounded(response.body, Infinity);",
    test: ofFunctions(
      "covers/fetch_image",
      "a body is read no further than the limit, with or without a content-length",
    ),
  },
  {
    name: "cover-pixels",
    guard: "an image that unpacks to gigabytes is refused by its header",
    in: `${COVERS}/convert_image.ts`,
    from: "if (width * height > most) {",
    to: "if (width * height > most * 1e9) {",
    test: ofFunctions(
      "covers/convert_image",
      "decompression bombs are refused by their headers",
    ),
  },
  {
    name: "redacted-log",
    guard: "no message holds an e-mail address",
    in: "supabase/functions/_shared/redact.ts",
    from: '.replaceAll(EMAIL, "$1…$2$3")',
    to: "",
    test: ofFunctions("redact", "whatever was thrown has a reason"),
  },
  {
    name: "redacted-columns",
    guard:
      "whoever writes what went wrong, it is kept without people's addresses",
    in: "luma.redact_column",
    from: "if cleaned = was then",
    to: "if true then",
    test: onStack(
      "redaction",
      "every column that keeps what went wrong is redacted, whoever writes it",
    ),
  },
  {
    name: "forgotten-stays-forgotten",
    guard: "Luma's next word does not bring a forgotten person's address back",
    in: "luma.forget_guest",
    from: "new.forgotten := luma.is_forgotten(new.email) and not exists (",
    to: "new.forgotten := false and not exists (",
    test: onStack(
      "forget",
      "a guest who is no user is forgotten on request, and the place stays taken",
    ),
  },
  {
    name: "match-both",
    guard: "a guest whose address and number are two users' is neither",
    in: "luma.match_user",
    from:
      "else array(select unnest(by_email) intersect select unnest(by_phone))",
    to: "else by_email",
    test: onStack(
      "matching",
      "a guest is the one user whom address and number allow, and nobody where they allow two or none",
    ),
  },
  {
    name: "match-one",
    guard: "a guest who may be two users is neither",
    in: "luma.match_user",
    from: "if cardinality(fitting) = 1 then",
    to: "if cardinality(fitting) >= 1 then",
    test: onStack(
      "luma_guest_people",
      "a guest with an address that two users have is neither of them",
    ),
  },
  {
    name: "match-country-code",
    guard:
      "a number with more digits than a country code in front is another one",
    in: "luma.phone_fits",
    from: "and length(g) - length(u) between 0 and 3",
    to: "",
    test: onStack(
      "matching",
      "a number of the app is a guest's in all ways to write it, and no number that looks like it is",
    ),
  },
  {
    name: "alert-once",
    guard: "an alert is told once",
    in: "luma.compose_alerts",
    from:
      "(a.told_level is null or a.level > a.told_level and a.told_at < clock_timestamp() - interval '1 hour')",
    to: "true",
    test: onStack(
      "alerts",
      "a calendar that stops is told of once, and once when it is over",
    ),
  },
  {
    name: "alert-flood",
    guard: "there are no more messages an hour than the setting says",
    in: "luma.send_alerts",
    from:
      "if cardinality(box.sent_at) < (select s.alert_messages_per_hour from luma.settings s) then",
    to: "if true then",
    test: onStack(
      "alerts",
      "however much happens, there are no more messages than the setting says, and the next one has the rest",
    ),
  },
];
