/** What the commands that change messages share. */
import { MailError } from "../../errors.ts";
import type { Uid } from "../../mail/ids.ts";
import type { RawSequenceSet } from "../../mail/number-set.ts";
import type { Selected } from "../state.ts";
import { ParseError } from "../tokens.ts";

/** Of the messages that this client knows those that are there still. */
export function namedMessages({ view }: Selected, set: RawSequenceSet, byUid: boolean): readonly Uid[] {
  const uids = byUid ? view.ofUids(set) : view.ofSequences(set);
  if (!uids) throw new ParseError("Invalid message set");
  return view.hasExpunged ? uids.filter((uid) => !view.isExpunged(uid)) : uids;
}

export function refuseReadOnly({ readOnly }: Selected): void {
  if (readOnly) throw new MailError("CANNOT", "The mailbox is selected read-only");
}
