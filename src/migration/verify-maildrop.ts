/**
 * The proof that POP3 clients see here what they see at the old server: its LIST and UIDL are read anew and held
 * against what is written down here, message by message; with POP3 only, the bytes, too.
 */
import { createHash } from "node:crypto";
import type { Pop3Session } from "../legacy/pop3-client.ts";
import type { Pop3Source } from "../legacy/pop3-source.ts";
import type { MailboxId, Uid, Uidl } from "../mail/ids.ts";
import { toldUidl } from "../mail/made-uidl.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import type { AccountStore, MailboxRecord, StoredMessage } from "../store/store.ts";
import { withoutAccepted } from "./accepted-uidls.ts";
import { followListing } from "./follow-maildrop.ts";
import { listingOf } from "./maildrop-listing.ts";
import { sampleOf } from "./sample.ts";
import { digestHere } from "./verify.ts";

export interface MaildropDifference {
  /** In the old server's listing; undefined for one that is here only. */
  readonly number: number | undefined;
  readonly uidl: Uidl;
  readonly detail: string;
}

export interface MaildropVerdict {
  readonly messagesLegacy: number;
  readonly messagesHere: number;
  readonly bytesCompared: number;
  readonly differences: readonly MaildropDifference[];
}

export interface VerifyMaildropOptions {
  readonly store: AccountStore;
  readonly source: Pop3Source;
  readonly signal: AbortSignal;
  /** Of so many percent of the messages, chosen at random: of none where something else compares them. */
  readonly bytesPercent: number;
  /** Makes the mirror take in what changed at the old server in the meantime. */
  readonly resync: () => Promise<void>;
}

export async function verifyMaildrop(options: VerifyMaildropOptions): Promise<MaildropVerdict> {
  const first = await verifyOnce(options);
  if (first.differences.length === 0) return first;
  await options.resync();
  return verifyOnce(options);
}

function verifyOnce(options: VerifyMaildropOptions): Promise<MaildropVerdict> {
  return options.source.inBackground(options.signal, (session, signal) => compare(options, session, signal));
}

async function compare(
  { store, bytesPercent }: VerifyMaildropOptions,
  session: Pop3Session,
  signal: AbortSignal,
): Promise<MaildropVerdict> {
  const listing = await listingOf(session, store);
  const kept = await store.maildrop.entries();
  const { entries, gone } = followListing(kept, listing, "same-when-resized");
  const byPosition = new Map(kept.map((entry) => [`${entry.position} ${entry.uidl}`, entry]));
  const messages = await messagesOf(store, kept);
  const sample = new Set(sampleOf(entries, bytesPercent));
  const differences: MaildropDifference[] = [];
  let bytesCompared = 0;
  for (const [index, entry] of entries.entries()) {
    signal.throwIfAborted();
    const { uidl, sizeBytes } = entry;
    const number = listing[index]?.number ?? 0;
    const differ = (detail: string): void => void differences.push({ number, uidl: toldUidl(uidl), detail });
    const before = byPosition.get(`${entry.position} ${uidl}`);
    if (!before) differ(entry.message ? "another place in the order" : "on the legacy server only");
    else if (before.sizeBytes !== sizeBytes) differ(`size ${sizeBytes} there, ${before.sizeBytes} here`);
    const here = entry.message && messages.get(entry.message.mailbox);
    const message = entry.message && here?.messages.get(entry.message.uid);
    const isMissing = before && !entry.message && withoutAccepted(store, [entry]).length > 0;
    if (isMissing) differ(entry.problem ?? "not matched yet");
    else if (before && entry.message && message?.presence !== "full") differ("its message is not here");
    if (!sample.has(entry) || !here || message?.presence !== "full") continue;
    const there = await digestThere(session, number);
    const ours = await digestHere(() => store.openMessage(here.record, message));
    bytesCompared += message.sizeBytes;
    if (there !== ours) differ(`sha256 ${there} there, ${ours} here`);
  }
  for (const { uidl, isRemoved } of gone)
    if (!isRemoved) differences.push({ number: undefined, uidl: toldUidl(uidl), detail: "here only" });
  const messagesHere = kept.filter(({ isRemoved }) => !isRemoved).length;
  return { messagesLegacy: listing.length, messagesHere, bytesCompared, differences };
}

interface MessagesHere {
  readonly record: MailboxRecord;
  readonly messages: ReadonlyMap<Uid, StoredMessage>;
}

async function messagesOf(
  store: AccountStore,
  entries: readonly MaildropEntry[],
): Promise<ReadonlyMap<MailboxId, MessagesHere>> {
  const ids = new Set(entries.map(({ message }) => message?.mailbox));
  const found = new Map<MailboxId, MessagesHere>();
  for (const record of store.mailboxes().filter(({ id }) => ids.has(id))) {
    const loaded = await store.loadMessages(record);
    found.set(record.id, { record, messages: new Map(loaded.map((message) => [message.uid, message])) });
  }
  return found;
}

async function digestThere(session: Pop3Session, number: number): Promise<string> {
  const hash = createHash("sha256");
  await session.retrieve(number, (bytes) => void hash.update(bytes) as undefined);
  return hash.digest("hex");
}
