/**
 * What is shown for the UIDVALIDITYs of a legacy server that does not have the last word any more: it is asked for
 * mailboxes by the names that they had at the cutover, and here they may have others by now.
 */
import type { ShownValidity } from "../legacy/imap-connection.ts";
import type { EncodedMailboxName, MailboxId } from "../mail/ids.ts";
import type { AccountStore } from "../store/store.ts";
import { markedMailboxes, readMark } from "./cutover-marks.ts";
import { shownValidities } from "./shown-validities.ts";

export function shownThere(store: AccountStore): ShownValidity {
  const shown = shownValidities(store);
  const isOf = (id: MailboxId, name: EncodedMailboxName): boolean => readMark(store, id)?.name === name;
  const nameHere = (name: EncodedMailboxName): EncodedMailboxName => {
    const all = store.mailboxes();
    if (all.some((one) => one.name === name && isOf(one.id, name))) return name;
    const id = markedMailboxes(store).find((one) => isOf(one, name));
    return all.find((one) => one.id === id)?.name ?? name;
  };
  return (name, told) => shown.of(nameHere(name), told);
}
