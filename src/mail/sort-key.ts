/** A key of SORT (RFC 5256 3, RFC 5957). */
export interface SortKey {
  readonly kind: SortKind;
  readonly reverse: boolean;
}

export type SortKind =
  | "arrival"
  | "cc"
  | "date"
  | "display-from"
  | "display-to"
  | "from"
  | "size"
  | "subject"
  | "to";

/** Whether it needs a message's header. */
export function needsHeader({ kind }: SortKey): boolean {
  return kind !== "arrival" && kind !== "size";
}
