/** Where Luma is known to differ from its own document. */
export interface KnownDifference {
  route: string;
  /** Properties of the answer that the document requires and Luma leaves out. */
  absent: string[];
  source: string;
}

export const KNOWN_DIFFERENCES: KnownDifference[] = [
  {
    route: "GET /v1/calendars/events/list",
    absent: ["description", "description_md"],
    source: "Luma's changelog, July 2026: lists carry no descriptions",
  },
];
