/**
 * A watcher that outlives the process that made it: a shell that reads this process's commands from a
 * pipe. When the pipe closes, whether we closed it or were killed with SIGKILL, it ends what is still
 * registered and removes the temporary folder, so a crash leaves no process and no file behind.
 */

/** What is sent first when the stack ends without having stopped a process itself. */
export type EndSignal = "SIGKILL" | "SIGQUIT";

export interface Watchdog {
  /** The folder that goes away with the stack. */
  readonly folder: string;
  /** Ends `pid` with `signal` if this process goes away before `unwatch(pid)`. */
  watch(pid: number, signal?: EndSignal): Promise<void>;
  unwatch(pid: number): Promise<void>;
  /** Ends everything still watched, removes the folder, and returns when both are done. */
  stop(): Promise<void>;
}

// Postgres gets SIGQUIT, at which the postmaster takes its children with it, and up to five seconds;
// SIGKILL of a postmaster would leave its shared memory behind. postmaster.pid covers a crash in the
// moment between Postgres starting and watch().
const SCRIPT = `
trap '' HUP INT TERM PIPE
pids=' '
while read -r action pid signal; do
  case $action in
    watch) pids="$pids$pid:$signal " ;;
    unwatch) pids=$(printf %s "$pids" | sed "s/ $pid:[A-Z]*//") ;;
  esac
done
for postmaster in "$1"/*/postmaster.pid; do
  [ -f "$postmaster" ] && pids="$pids$(head -n 1 "$postmaster"):QUIT "
done
for entry in $pids; do kill -s "\${entry#*:}" "\${entry%:*}" 2>/dev/null; done
tries=0
for entry in $pids; do
  while kill -0 "\${entry%:*}" 2>/dev/null && [ $tries -lt 100 ]; do
    sleep 0.05
    tries=$((tries + 1))
  done
  kill -s KILL "\${entry%:*}" 2>/dev/null
done
rm -rf "$1"
`;

/**
 * Makes a temporary folder, readable by every user so that a Postgres with another uid can use it, and
 * starts its watchdog.
 */
export async function startWatchdog(): Promise<Watchdog> {
  const folder = await Deno.makeTempDir({ prefix: "luma-stack-" });
  await Deno.chmod(folder, 0o755);
  const child = new Deno.Command("sh", {
    args: ["-c", SCRIPT, "luma-stack-watchdog", folder],
    cwd: "/",
    stdin: "piped",
    stdout: "null",
    stderr: "null",
    // Its own session: Ctrl-C or a kill of our whole process group must not reach it.
    detached: true,
  }).spawn();
  const pipe = child.stdin.getWriter();
  const encoder = new TextEncoder();
  const tell = (line: string) => pipe.write(encoder.encode(line + "\n"));
  return {
    folder,
    watch: (pid, signal = "SIGKILL") =>
      tell(`watch ${pid} ${signal.slice("SIG".length)}`),
    unwatch: (pid) => tell(`unwatch ${pid}`),
    stop: async () => {
      await pipe.close();
      await child.status;
    },
  };
}
