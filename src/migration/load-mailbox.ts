/**
 * What is known of a mailbox when it is opened. Of a local account it is put right first: there is nobody to
 * ask, and what clients were told must stay true.
 */
import { type ModSeq, maxUid, uid } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord, StoredMessage } from "../store/store.ts";
import { breathe } from "../waiting.ts";
import type { MailboxStateOptions } from "./mailbox-state.ts";
import { farAbove, highestCounted, type ModSeqs, next, openModSeqs } from "./mod-seqs.ts";

/** Saved before others get a turn. */
const messagesPerTurn = 2_000;

export interface LoadedMailbox {
  readonly record: MailboxRecord;
  readonly messages: readonly StoredMessage[];
  readonly modSeqs: ModSeqs;
}

export async function loadMailbox(options: MailboxStateOptions): Promise<LoadedMailbox> {
  const { store, record, local: isLocal = false } = options;
  const messages = await store.loadMessages(record);
  const modSeqs = openModSeqs({ store, record, isLocal });
  const highestModSeq = modSeqs.counted ? countedSoFar(store, record, messages) : record.highestModSeq;
  const loaded = { record: { ...record, highestModSeq }, messages, modSeqs };
  return isLocal ? withoutRemains(store, await withUidNext(store, loaded)) : loaded;
}

/** Without an index nobody knows what messages had whose files are not here: rather too high than too low. */
function countedSoFar(
  store: AccountStore,
  record: MailboxRecord,
  messages: readonly StoredMessage[],
): ModSeq {
  const highest = highestCounted(store, record, messages);
  return record.highestModSeq === 0n && messages.length > 0 ? farAbove(highest) : highest;
}

/** A sidecar from a backup may be behind what clients were told. */
async function withUidNext(store: AccountStore, loaded: LoadedMailbox): Promise<LoadedMailbox> {
  const { record, messages, modSeqs } = loaded;
  const above = Math.max((messages.at(-1)?.uid ?? 0) + 1, await store.writtenUidNext(record));
  if (above <= record.uidNext) {
    modSeqs.startLog(record.highestModSeq);
    return loaded;
  }
  const highestModSeq = farAbove(record.highestModSeq);
  const raised = { ...record, uidNext: uid(Math.min(above, maxUid)), highestModSeq };
  const told = await withModSeq(store, raised, messages);
  store.expunges.remove(record.id);
  modSeqs.restart(highestModSeq);
  modSeqs.startLog(highestModSeq);
  store.saveMailbox(raised);
  return { record: raised, messages: told, modSeqs };
}

/** A local message is its file: what a kill left of one that was being removed goes too. */
async function withoutRemains(store: AccountStore, loaded: LoadedMailbox): Promise<LoadedMailbox> {
  const { record, messages, modSeqs } = loaded;
  const whole = messages.filter(({ presence }) => presence === "full");
  if (whole.length === messages.length) return loaded;
  const remains = messages.filter(({ presence }) => presence !== "full").map((message) => message.uid);
  const highestModSeq = next(record.highestModSeq);
  modSeqs.logExpunged(remains, highestModSeq);
  await store.removeMessages(record, remains);
  return { record: { ...record, highestModSeq }, messages: whole, modSeqs };
}

/** All of them changed, for all that clients know. */
async function withModSeq(
  store: AccountStore,
  record: MailboxRecord,
  messages: readonly StoredMessage[],
): Promise<StoredMessage[]> {
  const raised: StoredMessage[] = [];
  for (let from = 0; from < messages.length; from += messagesPerTurn) {
    if (from > 0) await breathe();
    const part = messages.slice(from, from + messagesPerTurn);
    const changed = part.map((message) =>
      message.presence === "remote" ? message : { ...message, modSeq: record.highestModSeq },
    );
    raised.push(...store.saveMessages(record, changed));
  }
  return raised;
}

/** What the last opening has shown of a transient mailbox is good for nothing. */
export function emptied({ store, record }: MailboxStateOptions): Promise<MailboxRecord> {
  return store.resetMailbox(record.id, store.nextUidValidity());
}
