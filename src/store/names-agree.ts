/**
 * Whether the names of a mailbox's files say what index.db says of flags, as of the last change here: where they do, and
 * a name says something else at the next opening, somebody else has changed it meanwhile. Where a kill came between a
 * row and its file's name, the row is right.
 */
import type { MailboxId } from "../mail/ids.ts";
import type { StoreContext } from "./store-context.ts";

type Index = Pick<StoreContext, "index">;

export function doNamesAgree({ index }: Index, mailbox: MailboxId): boolean {
  return index.readMark(keyOf(mailbox)) === "yes";
}

/** When all of them have been renamed. */
export function noteNamesAgree(context: Index, mailbox: MailboxId): void {
  if (!doNamesAgree(context, mailbox)) context.index.writeMark(keyOf(mailbox), "yes");
}

/** Together with the rows. */
export function noteNamesBehind(context: Index, mailbox: MailboxId): void {
  if (doNamesAgree(context, mailbox)) context.index.writeMark(keyOf(mailbox), "");
}

const keyOf = (mailbox: MailboxId): string => `names-agree:${mailbox}`;
