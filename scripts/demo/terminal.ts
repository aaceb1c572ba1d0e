/** What the demo prints, with colours only where they are wanted. */

export interface Terminal {
  /** The number and title of a step. */
  step(title: string): void;
  /** What a step does, for example its SQL. */
  does(text: string): void;
  /** What came of it. */
  result(text: string): void;
  line(text?: string): void;
  /** Text that stands out. */
  bold(text: string): string;
}

/** @param colours by default on a terminal, unless NO_COLOR is set (https://no-color.org) */
export function terminal(
  print: (text: string) => void = console.log,
  colours = Deno.stdout.isTerminal() && !Deno.noColor,
): Terminal {
  const style = (code: number) => (text: string) =>
    colours ? `\x1b[${code}m${text}\x1b[0m` : text;
  const bold = style(1);
  const dim = style(2);
  const green = style(32);
  let steps = 0;
  return {
    step: (title) => print(`\n${bold(`${++steps}. ${title}`)}`),
    does: (text) => print(`   ${dim(text)}`),
    result: (text) => print(`   ${green("✓")} ${text}`),
    line: (text = "") => print(text),
    bold,
  };
}
