/** What a page of the documentation tells its reader to run. */

/** A fenced block. */
export interface Block {
  language: string;
  text: string;
  line: number;
}

/** The fenced blocks of a page in Markdown, also those in lists. */
export function blocks(markdown: string): Block[] {
  const found: Block[] = [];
  const fence = /^( *)```(\w+)\n([^]*?)^\1```$/gm;
  for (const match of markdown.matchAll(fence)) {
    const [, indent = "", language = "", text = ""] = match;
    found.push({
      language,
      text: text.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
      line: markdown.slice(0, match.index).split("\n").length,
    });
  }
  return found;
}

/** Statements that stand in the text, in backticks. */
export function inlineStatements(markdown: string): string[] {
  const text = markdown.replaceAll(/^ *```[^]*?^ *```$/gm, "");
  return [...text.matchAll(/`((?:select|update|insert|delete)\s[^`]+)`/g)]
    .map(([, statement = ""]) => statement.replaceAll(/\s+/g, " "));
}

/** The commands of a shell block, without comments; a line that ends in \ goes on in the next one. */
export function shellCommands(text: string): string[] {
  return text.replaceAll("\\\n", " ").split("\n")
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim())
    .filter(Boolean);
}
