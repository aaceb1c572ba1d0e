/** Keeps a process alive, and at work, in which postgres.js loses its connection. Importing it is enough for the first. */

// postgres.js 3.4.9 can write to a socket that has just been closed: `nextWrite` runs from an immediate that
// `closed` has cleared, and finds no socket. Nothing is lost then, because `closed` has failed or reconnected
// the query; but the error comes up where nobody can catch it, and would end a test that restarts Postgres, or the
// Data API's process.
globalThis.addEventListener("error", (event) => {
  const stack = event.error instanceof TypeError ? event.error.stack : "";
  if (/nextWrite .*postgres\/src\/connection\.js/.test(stack ?? "")) {
    event.preventDefault();
  }
});

// A connection that is being made while Postgres is killed is reset. postgres.js tells the query that wanted it, or tries
// again for a listener, and rejects a promise that nobody holds as well.
globalThis.addEventListener("unhandledrejection", (event) => {
  const { code, syscall } = event.reason ?? {};
  if (code === "ECONNRESET" && syscall === "connect") event.preventDefault();
});

/**
 * For pools that are used while Postgres crashes. When a connection is lost just after something was written to it, the
 * timer that would send it stays set in postgres.js, and from then on nothing is sent but what fills its buffer of 1 KB,
 * not even the packet that starts the next connection. So that packet fills it.
 */
export const RECONNECTING = {
  connection: { "stack.padding": "x".repeat(1024) },
  // In seconds; its own grows to twenty.
  backoff: () => 0.05,
};
