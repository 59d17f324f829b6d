/** A key of SORT (RFC 5256 3, RFC 5957). */
export interface SortKey {
  readonly kind: SortKind;
  readonly reverse: boolean;
}

/** As they are written. */
export const sortNames = {
  arrival: "ARRIVAL",
  cc: "CC",
  date: "DATE",
  "display-from": "DISPLAYFROM",
  "display-to": "DISPLAYTO",
  from: "FROM",
  size: "SIZE",
  subject: "SUBJECT",
  to: "TO",
} as const;

export type SortKind = keyof typeof sortNames;

/** Whether it needs a message's header. */
export function needsHeader({ kind }: SortKey): boolean {
  return kind !== "arrival" && kind !== "size";
}
