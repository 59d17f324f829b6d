import type { ModSeq } from "./ids.ts";
import type { RawSequenceSet } from "./number-set.ts";

/** A day without time or zone, as SEARCH compares dates (RFC 3501 6.4.4). Month is 1..12. */
export interface CalendarDate {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

/**
 * A search program (RFC 3501 6.4.4), already parsed: what the front end understood and what can be
 * evaluated on a message. Text values are decoded from the command's CHARSET. `NEW` is written as
 * `and(recent, not seen)` and `OLD` as `not recent` by the parser; `ON` and its like are one kind.
 */
export type SearchKey =
  | { readonly kind: "all" }
  | { readonly kind: "and"; readonly keys: readonly SearchKey[] }
  | { readonly kind: "or"; readonly either: SearchKey; readonly other: SearchKey }
  | { readonly kind: "not"; readonly key: SearchKey }
  /** A system flag (`\Seen`) or a keyword, compared without case. */
  | { readonly kind: "flag"; readonly flag: string }
  | { readonly kind: "recent" }
  | { readonly kind: "uid"; readonly set: RawSequenceSet }
  | { readonly kind: "sequence"; readonly set: RawSequenceSet }
  /** `internal` is INTERNALDATE in its own zone, `sent` the Date: header without its zone. */
  | {
      readonly kind: "date";
      readonly of: "internal" | "sent";
      readonly relation: "before" | "on" | "since";
      readonly date: CalendarDate;
    }
  /** INTERNALDATE at or before (`older`), at or after (`younger`) an instant (RFC 5032). */
  | { readonly kind: "age"; readonly relation: "older" | "younger"; readonly epochSeconds: number }
  | { readonly kind: "modseq"; readonly atLeast: ModSeq }
  /** `$` (RFC 5182): UIDs are put in its place before anything is evaluated. */
  | { readonly kind: "saved" }
  | { readonly kind: "size"; readonly relation: "larger" | "smaller"; readonly sizeBytes: number }
  /** FROM, TO, CC, BCC and SUBJECT are header keys of that name; an empty value asks for presence. */
  | { readonly kind: "header"; readonly field: string; readonly value: string }
  | { readonly kind: "body"; readonly value: string }
  | { readonly kind: "text"; readonly value: string };
