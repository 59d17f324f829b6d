/** Messages of a local account go, on stable storage when it resolves (`add-local-messages.ts`: and come). */
import { isSystemFlag } from "../mail/flags.ts";
import type { Uid } from "../mail/ids.ts";
import type { AccountStore, StoredMessage } from "../store/store.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { MailboxState, RemovalCause } from "./mailbox-state.ts";
import { noteRemoved } from "./removed-here.ts";

export type FullMessage = StoredMessage & { readonly presence: "full" };

export function isFull(message: StoredMessage | undefined): message is FullMessage {
  return message?.presence === "full";
}

export function removeMessages(
  store: AccountStore,
  { state }: MailboxMirror,
  uids: readonly Uid[],
  cause: RemovalCause = "wanted",
): Promise<void> {
  return state.exclusive(() => removeAlone(store, state, uids, cause));
}

/** The caller is alone with the mailbox. */
export async function removeAlone(
  store: AccountStore,
  state: MailboxState,
  uids: readonly Uid[],
  cause: RemovalCause = "wanted",
): Promise<void> {
  const present = uids.filter((one) => state.table.get(one) !== undefined);
  if (present.length === 0) return;
  if (cause === "wanted") noteRemoved(store, state.record, present);
  state.logExpunged(present, cause);
  await store.removeMessages(state.record, present);
  store.syncFolder(state.record);
  state.commitRemoved(present);
}

/** Messages whose files are gone, or are not what was written. The caller is alone with the mailbox. */
export async function dropLost(
  store: AccountStore,
  state: MailboxState,
  uids: readonly Uid[],
): Promise<void> {
  const { logger, record, table } = state;
  // What another session has expunged meanwhile is not lost.
  const lost = uids.filter((one) => table.get(one) !== undefined);
  if (lost.length === 0) return;
  logger.error({ mailbox: record.name, uids: lost }, "messages are lost");
  store.setAside(record, lost);
  await removeAlone(store, state, lost, "lost");
}

/** FLAGS tells the keywords in use (RFC 3501 7.2.6). */
export function noteKeywords(
  state: MailboxState,
  messages: readonly { readonly flags: readonly string[] }[],
): void {
  const known = new Set(state.record.flags.map((name) => name.toLowerCase()));
  const added: string[] = [];
  for (const name of messages.flatMap(({ flags }) => flags)) {
    if (isSystemFlag(name) || known.has(name.toLowerCase())) continue;
    known.add(name.toLowerCase());
    added.push(name);
  }
  if (added.length > 0) state.commitFlagNames([...state.record.flags, ...added]);
}
