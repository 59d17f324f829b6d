import type { MailboxRecord } from "../store/store.ts";
import { sameList } from "./mailbox-state.ts";

/** Nothing has to be written down. */
export function sameRecord(a: MailboxRecord, b: MailboxRecord): boolean {
  return (
    a.uidValidity === b.uidValidity &&
    a.uidNext === b.uidNext &&
    a.highestModSeq === b.highestModSeq &&
    sameList(a.flags, b.flags) &&
    sameList(a.permanentFlags, b.permanentFlags) &&
    sameList(a.attributes, b.attributes) &&
    a.subscribed === b.subscribed &&
    a.separator === b.separator
  );
}
