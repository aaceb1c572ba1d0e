/** The part of `@std/assert` that the tests use; the npm copy of Deno's std ships no types. */
// deno-lint-ignore-file no-explicit-any
type Constructor<E extends Error> = abstract new (...args: any[]) => E;
export function assert(condition: unknown, message?: string): asserts condition;
export function assertFalse(condition: unknown, message?: string): void;
export function assertExists<T>(
  actual: T,
  message?: string,
): asserts actual is NonNullable<T>;
export function assertEquals<T>(actual: T, expected: T, message?: string): void;
export function assertNotEquals<T>(
  actual: T,
  expected: T,
  message?: string,
): void;
export function assertStrictEquals<T>(
  actual: T,
  expected: T,
  message?: string,
): void;
export function assertGreater(a: number, b: number, message?: string): void;
export function assertGreaterOrEqual(
  a: number,
  b: number,
  message?: string,
): void;
export function assertLess(a: number, b: number, message?: string): void;
export function assertLessOrEqual(a: number, b: number, message?: string): void;
export function assertStringIncludes(
  actual: string,
  expected: string,
  message?: string,
): void;
export function assertMatch(
  actual: string,
  expected: RegExp,
  message?: string,
): void;
export function assertObjectMatch(
  actual: object,
  expected: object,
  message?: string,
): void;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass?: Constructor<E>,
  messageIncludes?: string,
): E;
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass?: Constructor<E>,
  messageIncludes?: string,
): Promise<E>;
export function fail(message?: string): never;
