import type { z } from "zod";
import { ApiError } from "./errors.ts";

/**
 * `input` as `schema` reads it.
 * @throws ApiError 400 that names each field that is missing, unknown or wrong.
 */
export function validate<S extends z.ZodType>(
  schema: S,
  input: unknown,
): z.output<S> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => explain(issue, input));
  throw new ApiError(400, problems.join("; "));
}

function explain(issue: z.core.$ZodIssue, input: unknown): string {
  const field = issue.path.map(String).join(".");
  if (issue.code === "unrecognized_keys") {
    return issue.keys
      .map((key) => `unknown field "${field ? `${field}.${key}` : key}"`)
      .join(", ");
  }
  const value = issue.path.reduce<unknown>(
    (at, key) => at instanceof Object ? Reflect.get(at, key) : undefined,
    input,
  );
  if (value === undefined && field !== "") return `missing field "${field}"`;
  return `${field || "body"}: ${issue.message} (got ${shown(value ?? null)})`;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
