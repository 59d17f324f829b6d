/** What a client names messages by: a set of numbers, or `$`, the result of a search that it had saved (RFC 5182). */
import type { Uid } from "../mail/ids.ts";
import { type NumberRange, type RawSequenceSet, resolveSequenceSet, uidSetOf } from "../mail/number-set.ts";
import type { Selected } from "./state.ts";
import { type Cursor, ParseError, sequenceSet, skip } from "./tokens.ts";

export type MessageSet = RawSequenceSet | "$";

export function messageSet(cursor: Cursor): MessageSet {
  return skip(cursor, "$") ? "$" : sequenceSet(cursor);
}

/** Ascending; of UIDs those that this client knows. Expunged ones, of which it was not told yet, are among them. */
export function messagesNamed(
  { view, saved }: Pick<Selected, "view" | "saved">,
  set: MessageSet,
  byUid: boolean,
): readonly Uid[] {
  if (set === "$") return saved.uids.filter((uid) => view.sequenceOf(uid) !== undefined);
  const uids = byUid ? view.ofUids(set) : view.ofSequences(set);
  if (!uids) throw new ParseError("Invalid message set");
  return uids;
}

/** UIDs that a set of UIDs reaches over, there or not; `*` is `last`. */
export function uidsReached(
  { saved }: Pick<Selected, "saved">,
  set: MessageSet,
  last: number,
): readonly NumberRange[] {
  return set === "$" ? uidSetOf(saved.uids) : resolveSequenceSet(set, last);
}
