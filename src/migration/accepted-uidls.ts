/**
 * Messages of an old POP3 maildrop that an operator does without: not known here under their UIDLs, they bar nothing any
 * more. One that comes all the same before the cutover is kept. Kept in the sidecar, one by one.
 */
import type { MaildropEntry } from "../store/maildrop-table.ts";
import type { AccountStore } from "../store/store.ts";

/** A UIDL alone may be that of another message later. */
interface Accepted {
  readonly uidl: string;
  readonly sizeBytes: number;
}

const key = "accepted-uidls";

function acceptedIn(store: AccountStore): readonly Accepted[] {
  return JSON.parse(store.readSetting(key) || "[]") as readonly Accepted[];
}

const nameOf = ({ uidl, sizeBytes }: Accepted): string => `${sizeBytes} ${uidl}`;

export function acceptUidl(store: AccountStore, { uidl, sizeBytes }: Accepted): void {
  store.writeSetting(key, JSON.stringify([...acceptedIn(store), { uidl, sizeBytes }]));
}

export function withoutAccepted(
  store: AccountStore,
  entries: readonly MaildropEntry[],
): readonly MaildropEntry[] {
  const accepted = new Set(acceptedIn(store).map(nameOf));
  return accepted.size === 0 ? entries : entries.filter((entry) => !accepted.has(nameOf(entry)));
}
