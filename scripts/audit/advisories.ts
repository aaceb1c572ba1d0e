/** Known vulnerabilities of the packages in deno.lock, by `deno audit`. */

export interface Advisories {
  /** found: there are some. unknown: the registry did not say. */
  outcome: "none" | "found" | "unknown";
  /** What deno audit said. */
  text: string;
}

/** Asks the registry, which not every one answers: a mirror may know nothing of it. */
export async function knownAdvisories(
  root: string,
  env: Record<string, string> = {},
): Promise<Advisories> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["audit", "--level", "moderate"],
    cwd: root,
    // Certificates as every other program here uses them.
    env: { NO_COLOR: "1", DENO_TLS_CA_STORE: "mozilla,system", ...env },
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  const text = `${decoder.decode(stdout)}\n${decoder.decode(stderr)}`.trim();
  if (success) return { outcome: "none", text };
  return {
    outcome: /^Found \d+ vulnerabilit/m.test(text) ? "found" : "unknown",
    text,
  };
}
