/**
 * The proof that both sides are equal: reads the legacy server and the Maildir anew, UID by UID and byte
 * by byte, trusting nothing that the mirror remembers. A mailbox that differs is looked at a second time,
 * since people go on working meanwhile.
 */
import { createHash, type Hash } from "node:crypto";
import { isUnavailable } from "../errors.ts";
import type { BodySink, ImapSource, LeaseOptions, MailboxLease } from "../legacy/source.ts";
import { sameFlags } from "../mail/flags.ts";
import type { EncodedMailboxName, Uid } from "../mail/ids.ts";
import { formatInternalDate } from "../mail/internal-date.ts";
import type { MessageContent, MessageMeta } from "../mail/message.ts";
import { piecesOf } from "../mail/message-content.ts";
import { uidSetOf } from "../mail/number-set.ts";
import type { AccountStore, MailboxRecord, StoredMessage } from "../store/store.ts";
import { compareUids } from "./compare.ts";
import { fetchListing, isPulled } from "./listing.ts";
import { chunks } from "./pull-meta.ts";

export type Difference =
  | { readonly kind: "mailbox"; readonly detail: string }
  | { readonly kind: "missing" | "extra" | "not-pulled"; readonly uid: Uid; readonly detail: string }
  | { readonly kind: "flags" | "date" | "size" | "bytes"; readonly uid: Uid; readonly detail: string };

export interface MailboxVerdict {
  readonly name: EncodedMailboxName;
  readonly messagesLegacy: number;
  readonly messagesHere: number;
  readonly bytesCompared: number;
  readonly differences: readonly Difference[];
}

export interface MailboxesVerdict {
  readonly equal: boolean;
  readonly mailboxes: readonly MailboxVerdict[];
}

export interface VerifyOptions {
  readonly store: AccountStore;
  readonly source: ImapSource;
  readonly signal: AbortSignal;
  /** Makes the mirror take in what changed on the legacy server in the meantime. */
  readonly resync: (name: EncodedMailboxName) => Promise<void>;
  /** Called after each mailbox. */
  readonly onMailbox?: (verdict: MailboxVerdict) => void;
}

/** Bodies are read from both sides in ranges of this many messages. */
const bodyRange = 200;

export async function verifyMailboxes(options: VerifyOptions): Promise<MailboxesVerdict> {
  const { store, source, signal } = options;
  const listing = await fetchListing(source, "background", signal);
  const records = new Map(store.mailboxes().map((record) => [record.name, record]));
  const mailboxes: MailboxVerdict[] = [];
  for (const entry of listing.mailboxes.filter((name) => isPulled(name, listing.namespaces))) {
    const record = records.get(entry.name);
    records.delete(entry.name);
    const verdict = record ? await verifyTwice(record, options) : absent(entry.name, "not here");
    mailboxes.push(verdict);
    options.onMailbox?.(verdict);
  }
  for (const name of records.keys()) mailboxes.push(absent(name, "not on the legacy server"));
  return { equal: mailboxes.every((verdict) => verdict.differences.length === 0), mailboxes };
}

function absent(name: EncodedMailboxName, detail: string): MailboxVerdict {
  const differences: Difference[] = [{ kind: "mailbox", detail }];
  return { name, messagesLegacy: 0, messagesHere: 0, bytesCompared: 0, differences };
}

async function verifyTwice(record: MailboxRecord, options: VerifyOptions): Promise<MailboxVerdict> {
  const verdict = await verifyMailbox(record, options);
  if (verdict.differences.length === 0) return verdict;
  await options.resync(record.name);
  const current = options.store.mailboxes().find((mailbox) => mailbox.id === record.id);
  return current ? verifyMailbox(current, options) : verdict;
}

async function verifyMailbox(record: MailboxRecord, options: VerifyOptions): Promise<MailboxVerdict> {
  const lease: LeaseOptions = { priority: "background", signal: options.signal };
  return options.source.useMailbox(record.name, lease, async (connection) => {
    const { examined } = connection;
    if (record.uidValidity !== examined.uidValidity) {
      return absent(
        record.name,
        `UIDVALIDITY is ${examined.uidValidity ?? "not told"} there and ${record.uidValidity} here`,
      );
    }
    const there = await connection.listUids();
    const here = new Map((await options.store.loadMessages(record)).map((message) => [message.uid, message]));
    const metas = new Map<Uid, MessageMeta>();
    if (there.length > 0) await connection.fetchMeta(uidSetOf(there), (meta) => metas.set(meta.uid, meta));
    const { arrived, vanished } = compareUids([...here.keys()], there);
    const differences: Difference[] = [
      ...arrived.map((uid): Difference => ({ kind: "missing", uid, detail: "on the legacy server only" })),
      ...vanished.map((uid): Difference => ({ kind: "extra", uid, detail: "here only" })),
    ];
    const full: (StoredMessage & { presence: "full" })[] = [];
    for (const uid of there) {
      const ours = here.get(uid);
      const theirs = metas.get(uid);
      if (!ours || !theirs) continue;
      differences.push(...compareMeta(ours, theirs));
      if (ours.presence === "full") full.push(ours);
    }
    const bytesCompared = await compareBytes(record, full, connection, options, differences);
    return {
      name: record.name,
      messagesLegacy: there.length,
      messagesHere: here.size,
      bytesCompared,
      differences: differences.sort((a, b) => uidOf(a) - uidOf(b)),
    };
  });
}

function compareMeta(ours: StoredMessage, theirs: MessageMeta): Difference[] {
  const { uid } = theirs;
  if (ours.presence === "remote") return [{ kind: "not-pulled", uid, detail: "only its UID is here" }];
  const found: Difference[] = [];
  const add = (kind: "flags" | "date" | "size", there: string, here: string): void => {
    found.push({ kind, uid, detail: `${there} there, ${here} here` });
  };
  if (!sameFlags(ours.flags, theirs.flags))
    add("flags", `(${theirs.flags.join(" ")})`, `(${ours.flags.join(" ")})`);
  const dates = [theirs.internalDate, ours.internalDate] as const;
  if (dates[0].epochSeconds !== dates[1].epochSeconds || dates[0].zoneMinutes !== dates[1].zoneMinutes) {
    add("date", formatInternalDate(dates[0]), formatInternalDate(dates[1]));
  }
  if (ours.sizeBytes !== theirs.sizeBytes) add("size", String(theirs.sizeBytes), String(ours.sizeBytes));
  if (ours.presence === "meta") found.push({ kind: "not-pulled", uid, detail: "its bytes are not here" });
  return found;
}

/** Hashes both sides; returns how many bytes were compared. */
async function compareBytes(
  record: MailboxRecord,
  messages: readonly (StoredMessage & { presence: "full" })[],
  connection: MailboxLease,
  { store, signal }: VerifyOptions,
  differences: Difference[],
): Promise<number> {
  let bytes = 0;
  for (const range of chunks(messages, bodyRange)) {
    signal.throwIfAborted();
    const digests = new Map<Uid, string>();
    await connection.fetchBodies(uidSetOf(range.map(({ uid }) => uid)), hashingSink(digests));
    for (const message of range) {
      const there = digests.get(message.uid);
      const here = await digestHere(() => store.openMessage(record, message));
      bytes += message.sizeBytes;
      if (there === here) continue;
      const detail =
        there === undefined ? "the legacy server did not answer" : `sha256 ${there} there, ${here} here`;
      differences.push({ kind: "bytes", uid: message.uid, detail });
    }
  }
  return bytes;
}

function hashingSink(digests: Map<Uid, string>): BodySink {
  let current: { readonly uid: Uid; readonly hash: Hash } | undefined;
  return {
    begin(uid) {
      current = { uid, hash: createHash("sha256") };
    },
    write(chunk) {
      current?.hash.update(chunk);
      return undefined;
    },
    end() {
      if (current) digests.set(current.uid, current.hash.digest("hex"));
      return undefined;
    },
  };
}

/** A file that is damaged or gone is a difference, not a failure of the comparison. */
export async function digestHere(open: () => MessageContent): Promise<string> {
  try {
    return await digestOf(open());
  } catch (error) {
    if (isUnavailable(error)) return "unreadable";
    throw error;
  }
}

async function digestOf(content: MessageContent): Promise<string> {
  try {
    const hash = createHash("sha256");
    for await (const bytes of piecesOf(content)) hash.update(bytes);
    return hash.digest("hex");
  } finally {
    content.close();
  }
}

const uidOf = (difference: Difference): number => ("uid" in difference ? difference.uid : 0);
