import { parseArgs } from "node:util";
import {
  type CalendarOptions,
  DEFAULT_CALENDARS,
  startSimulator,
} from "./mod.ts";

const USAGE = `deno task simulator [options]

  --port <number>       the port to listen on (default 4850; 0 for a free one)
  --hostname <name>     the address to listen on (default 127.0.0.1)
  --rate-limit <number> requests a minute for each key (default 200)
  --calendar <id>,<key>[,<name>[,<slug>]]
                        a calendar and its API key; give it once for each calendar
                        (default: ${
  DEFAULT_CALENDARS.map((c) => c.id).join(" and ")
})
  --help                this text`;

/** Ends the process with a message instead of a stack trace: the user's input is what is wrong. */
function refuse(message: string): never {
  console.error(`${message}\n\n${USAGE}`);
  Deno.exit(2);
}

function options() {
  try {
    return parseArgs({
      args: Deno.args,
      options: {
        port: { type: "string", default: "4850" },
        hostname: { type: "string", default: "127.0.0.1" },
        "rate-limit": { type: "string", default: "200" },
        calendar: { type: "string", multiple: true, default: [] },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function wholeNumber(flag: string, text: string, least: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= least) return number;
  return refuse(
    `--${flag}: "${text}" is not a whole number of at least ${least}`,
  );
}

function calendarFrom(text: string): CalendarOptions {
  const [id, key, name = id, slug = id?.toLowerCase()] = text.split(",");
  if (id && key && name && slug) return { id, key, name, slug };
  return refuse(`--calendar: "${text}" is not <id>,<key>[,<name>[,<slug>]]`);
}

const values = options();
if (values.help) {
  console.log(USAGE);
  Deno.exit(0);
}
const calendars = values.calendar.length > 0
  ? values.calendar.map(calendarFrom)
  : DEFAULT_CALENDARS;
const port = wholeNumber("port", values.port, 0);
const simulator = await startSimulator({
  port,
  hostname: values.hostname,
  rateLimitPerMinute: wholeNumber("rate-limit", values["rate-limit"], 1),
  calendars,
}).catch((error) =>
  refuse(`Cannot listen on ${values.hostname}:${port}: ${error.message}`)
);

console.log(
  `Luma simulator: ${simulator.url}  (page and API; admin under /_admin/)`,
);
for (const { name, id, key } of simulator.calendars) {
  console.log(`  ${name}  ${id}  x-luma-api-key: ${key}`);
}
console.log("Everything is kept in memory only. Ctrl-C stops it.");

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, async () => {
    await simulator.stop();
    Deno.exit(0);
  });
}
