/** Plain text for terminals. */

/** Rows under their headings, each column as wide as its longest cell, but no wider than `most`. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly unknown[])[],
  most = 40,
): string {
  const cells = [headings, ...rows].map((row) =>
    row.map((cell) => shortened(shown(cell), most))
  );
  const widths = headings.map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0))
  );
  return cells.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")
      .trimEnd()
  ).join("\n");
}

/** A value of a row in one line. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (value instanceof Date) return value.toISOString();
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.replaceAll(/\s+/g, " ");
}

function shortened(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** `[#####.....] 50 %` */
export function progressBar(done: number, total: number, width = 30): string {
  const share = total > 0 ? Math.min(1, done / total) : 1;
  const full = Math.floor(share * width);
  return `[${"#".repeat(full)}${".".repeat(width - full)}] ${
    Math.floor(share * 100)
  } %`;
}
