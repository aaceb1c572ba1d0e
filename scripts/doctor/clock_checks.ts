/** The clocks. Luma signs with its own, and the function accepts what is at most five minutes off. */
import { type Check, failure, type Finding, ok, warning } from "./check.ts";

const WARN_SECONDS = 30;
const FAIL_SECONDS = 300;

export const clockChecks: readonly Check[] = [
  {
    id: "clock-database",
    needs: ["database"],
    async look({ sql }) {
      const [row] = await sql()`
        select extract(epoch from clock_timestamp()) * 1000 as ms`;
      return judged(Number(row?.ms) - Date.now(), "the database");
    },
  },
  {
    id: "clock-functions",
    needs: ["functions-sync-secret"],
    async look({ functions }) {
      return judged(await functionsMs(functions), "the functions");
    },
  },
  {
    id: "clock-luma",
    needs: ["luma-keys"],
    async look({ keys, functions }) {
      const clocks = (await keys()).flatMap(({ clockMs }) => clockMs ?? []);
      if (clocks.length === 0) return ok("Luma tells no time");
      // It is the function's clock that signatures are held to.
      return judged(
        furthest(clocks) - await functionsMs(functions),
        "Luma",
      );
    },
  },
];

/** How far the functions' clock is ahead of this machine's; 0 when they tell no time. */
async function functionsMs(
  functions: () => Promise<{ told: { time: string } | null; at: Date }[]>,
): Promise<number> {
  return furthest(
    (await functions()).flatMap(({ told, at }) =>
      told ? Date.parse(told.time) - at.getTime() : []
    ),
  );
}

function furthest(differences: number[]): number {
  return differences.reduce(
    (most, one) => Math.abs(one) > Math.abs(most) ? one : most,
    0,
  );
}

function judged(differenceMs: number, whose: string): Finding {
  const seconds = Math.round(differenceMs / 1000);
  const found = seconds === 0
    ? "no difference"
    : `${whose} ${seconds > 0 ? "is ahead" : "is behind"} by ${
      Math.abs(seconds)
    } s`;
  const fix =
    "If the other clocks differ alike, it is this machine's: set it by NTP. Else tell who runs the one that differs.";
  if (Math.abs(seconds) > FAIL_SECONDS) return failure(found, fix);
  return Math.abs(seconds) > WARN_SECONDS ? warning(found, fix) : ok(found);
}
