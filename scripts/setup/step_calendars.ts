/** Step "calendars": each key opens the calendar that its row names. Only a person can mend that. */
import { askLuma, calendarRows, keyProblems } from "../project/calendars.ts";
import { Problem } from "../webhooks/problem.ts";
import type { Step } from "./scene.ts";

export const calendarsStep: Step = {
  name: "calendars",

  async look({ sql, settings, world }) {
    const keys = await askLuma(settings, world.fetch);
    // Before the first migration there are no rows to compare with: then the keys must only be valid.
    const rows = await calendarRows(sql);
    const problems = [
      ...keys.map(({ problem }) => problem).filter(Boolean),
      ...rows ? keyProblems(keys, rows) : [],
    ];
    if (problems.length > 0) throw new Problem(problems.join("\n"));
    return [];
  },

  apply: () => Promise.resolve(),
};
