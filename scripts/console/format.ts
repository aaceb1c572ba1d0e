/** How the pages write times, numbers and people. */

const CLOCK = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const DAY = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
});
const NUMBER = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });

/** 1,234.5 */
export function number(value: number): string {
  return NUMBER.format(value);
}

/** `1 event`, `2 events` */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** 14:05:09 */
export function clock(at: Date): string {
  return CLOCK.format(at);
}

/** `26 Nov, 14:05:09`, with its year when it is another one. */
export function dayAndClock(at: Date, now: Date): string {
  const year = at.getFullYear() === now.getFullYear()
    ? ""
    : ` ${at.getFullYear()}`;
  return `${DAY.format(at)}${year}, ${clock(at)}`;
}

/** `Thu 26 Nov 2026, 19:00`, as the clocks at the event show it. */
export function atEvent(at: Date, timeZone: string | null): string {
  const options: Intl.DateTimeFormatOptions = {
    weekday: "short",
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
  };
  try {
    return new Intl.DateTimeFormat("en-GB", {
      ...options,
      timeZone: timeZone ?? "UTC",
    }).format(at);
  } catch {
    // A time zone that nobody knows; the row shows it as it is.
    return new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" })
      .format(at);
  }
}

const UNITS = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
] as const;

/** `3 min ago`, `in 2 d`, `now` */
export function relative(at: Date, now: Date): string {
  const ms = at.getTime() - now.getTime();
  const [size, unit] = UNITS.find(([size]) => Math.abs(ms) >= size) ?? [];
  if (!size) return "now";
  const amount = `${Math.floor(Math.abs(ms) / size)} ${unit}`;
  return ms < 0 ? `${amount} ago` : `in ${amount}`;
}

/** `85 ms`, `1.2 s`, `3.5 min`, `2 h` */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const [size, unit] = UNITS.find(([size]) => ms >= size) ?? [1_000, "s"];
  return `${number(ms / size)} ${unit}`;
}

/** Shortens every e-mail address in a text, so that a picture of the page gives nobody away: `a…@example.com`. */
export function shortened(text: string): string {
  return text.replaceAll(
    /([\p{L}\p{N}])[\p{L}\p{N}._%+'-]*@([\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+)/gu,
    // Joined: a line does not end between the two.
    "$1…\u2060@$2",
  );
}

/** A value of a jsonb column as text, without addresses. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  return shortened(typeof value === "string" ? value : JSON.stringify(value));
}

/** `dry_run` as `dry run` */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}
