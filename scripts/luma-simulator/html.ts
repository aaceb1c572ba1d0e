/** Text that is already HTML; everything else is escaped when it goes into a template. */
export class Html {
  constructor(readonly text: string) {}
}

type Part = Html | Html[] | string | number | null | undefined;

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** A template tag that escapes every value unless it is Html itself. */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  const text = strings.map((string, i) => string + escaped(parts[i])).join("");
  return new Html(text);
}

function escaped(part: Part): string {
  if (part instanceof Html) return part.text;
  if (Array.isArray(part)) return part.map((html) => html.text).join("");
  return String(part ?? "").replace(/[&<>"']/g, (c) => ENTITIES[c] ?? c);
}
