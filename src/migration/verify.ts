/**
 * The proof that both sides are equal: reads the legacy server and the Maildir anew, UID by UID and byte
 * by byte, trusting nothing that the mirror remembers. What differs is looked at again, since people go on
 * working meanwhile.
 */
import { setTimeout as delay } from "node:timers/promises";
import { isLasting, isUnavailable } from "../errors.ts";
import type { Examined, ImapSource, LeaseOptions, MailboxLease } from "../legacy/source.ts";
import { sameFlags } from "../mail/flags.ts";
import type { EncodedMailboxName, Uid } from "../mail/ids.ts";
import { formatInternalDate } from "../mail/internal-date.ts";
import type { MessageMeta } from "../mail/message.ts";
import { uidSetOf } from "../mail/number-set.ts";
import type { AccountStore, MailboxRecord, StoredMessage } from "../store/store.ts";
import { compareUids } from "./compare.ts";
import { compareBytes } from "./compare-bytes.ts";
import { fetchListing, isPulled } from "./listing.ts";
import { lossesOf } from "./losses.ts";
import { sampleOf } from "./sample.ts";
import { shutOf } from "./shut-mailbox.ts";
import { verifyAround } from "./verify-around.ts";

export { digestHere } from "./compare-bytes.ts";

export type Difference =
  | { readonly kind: "mailbox" | "uidnext"; readonly detail: string }
  | { readonly kind: "missing" | "extra" | "not-pulled"; readonly uid: Uid; readonly detail: string }
  | { readonly kind: "flags" | "date" | "size"; readonly uid: Uid; readonly detail: string }
  | {
      readonly kind: "bytes";
      readonly uid: Uid;
      readonly detail: string;
      /** The legacy server has given it. */
      readonly isGiven?: boolean;
      /** Its file here is damaged or gone: that is told though it is fetched anew. */
      readonly isDamaged?: boolean;
    };

export interface MailboxVerdict {
  readonly name: EncodedMailboxName;
  readonly messagesLegacy: number;
  readonly messagesHere: number;
  readonly bytesCompared: number;
  /** Messages that differ in nothing but header fields that the legacy server writes into them itself. */
  readonly rewritten: number;
  /** Messages of which the legacy server tells another date at each look. */
  readonly undated: number;
  /** It is not compared: a cutover goes without it. */
  readonly isLeftOut?: boolean;
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
  /** Of so many percent of the messages, chosen at random, the bytes are compared; of all by default. */
  readonly samplePercent?: number | undefined;
  /** Those that a cutover goes without. */
  readonly leftOut?: ReadonlySet<EncodedMailboxName>;
  /** Makes the mirror take in what changed on the legacy server in the meantime. */
  readonly resync: (name: EncodedMailboxName) => Promise<void>;
  /** What differs of messages that are here is fetched anew, once, before it is told. */
  readonly fetchAnew?: (name: EncodedMailboxName, uids: readonly Uid[]) => Promise<void>;
  /** Called after each mailbox. */
  readonly onMailbox?: (verdict: MailboxVerdict) => void;
}

/** And a little more. */
const oneSecondMs = 1_100;

export async function verifyMailboxes(options: VerifyOptions): Promise<MailboxesVerdict> {
  const { store, source, signal } = options;
  const listing = await fetchListing(source, "background", signal);
  const records = new Map(store.mailboxes().map((record) => [record.name, record]));
  const mailboxes: MailboxVerdict[] = [];
  for (const entry of listing.mailboxes.filter((name) => isPulled(name, listing.namespaces))) {
    const record = records.get(entry.name);
    records.delete(entry.name);
    const verdict = await verdictOn(entry.name, record, options);
    mailboxes.push(verdict);
    options.onMailbox?.(verdict);
  }
  for (const name of records.keys()) mailboxes.push(absent(name, "not on the legacy server"));
  return { equal: mailboxes.every((verdict) => verdict.differences.length === 0), mailboxes };
}

function absent(name: EncodedMailboxName, detail: string): MailboxVerdict {
  const differences: Difference[] = [{ kind: "mailbox", detail }];
  return {
    name,
    messagesLegacy: 0,
    messagesHere: 0,
    bytesCompared: 0,
    rewritten: 0,
    undated: 0,
    differences,
  };
}

async function verdictOn(
  name: EncodedMailboxName,
  record: MailboxRecord | undefined,
  options: VerifyOptions,
): Promise<MailboxVerdict> {
  if (options.leftOut?.has(name)) return { ...absent(name, ""), differences: [], isLeftOut: true };
  if (!record) return absent(name, "not here");
  try {
    return await verifyRepeatedly(record, options);
  } catch (error) {
    // One that the legacy server does not open is no obstacle to comparing the others.
    const isShut = isUnavailable(error) && shutOf({ store: options.store, record }) !== undefined;
    if (!isLasting(error) && !isShut) throw error;
    return absent(name, error.message);
  }
}

/** What differed at one look and the next differs. */
const looks = 3;

async function verifyRepeatedly(record: MailboxRecord, options: VerifyOptions): Promise<MailboxVerdict> {
  let verdict = await verifyAround(record, options, verifyMailbox);
  // Reading one takes its file out of the mailbox: later looks do not find it any more.
  const damaged = verdict.differences.filter(isDamagedHere);
  for (let look = 1; look < looks && verdict.differences.length > 0; look++) {
    await options.resync(record.name);
    verdict = await lookAgain(verdict, options);
  }
  const others = verdict.differences.flatMap((one) => (isGivenOtherwise(one) ? [one.uid] : []));
  const uids = new Set([...others, ...damaged.map(uidOf)] as Uid[]);
  if (uids.size === 0 || !options.fetchAnew) return verdict;
  await options.fetchAnew(record.name, [...uids]);
  verdict = await lookAgain(verdict, options);
  const still = new Set(verdict.differences.map(uidOf));
  const told = damaged.filter((one) => !still.has(uidOf(one)));
  return { ...verdict, differences: [...verdict.differences, ...told] };
}

type OfMessage = Difference & { readonly uid: Uid };

function isDamagedHere(one: Difference): boolean {
  return one.kind === "bytes" && one.isDamaged === true;
}

function isGivenOtherwise(one: Difference): one is OfMessage {
  return one.kind === "date" || one.kind === "size" || (one.kind === "bytes" && one.isGiven === true);
}

/** At what differed, and nothing else. */
async function lookAgain(verdict: MailboxVerdict, options: VerifyOptions): Promise<MailboxVerdict> {
  const record = options.store.mailboxes().find(({ name }) => name === verdict.name);
  if (!record || verdict.differences.length === 0) return verdict;
  const isWhole = verdict.differences.some(({ kind }) => kind === "mailbox");
  const uids = new Set(verdict.differences.map(uidOf));
  const again = await verifyAround(
    record,
    options,
    verifyMailbox,
    isWhole ? undefined : (uid) => uids.has(uid),
  );
  if (isWhole) return again;
  return {
    ...again,
    bytesCompared: verdict.bytesCompared + again.bytesCompared,
    rewritten: verdict.rewritten + again.rewritten,
    undated: verdict.undated + again.undated,
  };
}

/** Whether what differed still does. Both sides have come to rest, and the mirror is up to date. */
export async function verifyDifferences(
  { mailboxes }: MailboxesVerdict,
  options: VerifyOptions,
): Promise<MailboxesVerdict> {
  const again: MailboxVerdict[] = [];
  for (const verdict of mailboxes) again.push(await lookAgain(verdict, options));
  return { equal: again.every((verdict) => verdict.differences.length === 0), mailboxes: again };
}

async function verifyMailbox(
  record: MailboxRecord,
  options: VerifyOptions,
  onlyOf: ((uid: Uid) => boolean) | undefined,
  onFailure: (error: unknown) => void,
): Promise<MailboxVerdict> {
  const { store, signal, samplePercent = 100 } = options;
  const lost = await acceptedAsLost(store, record);
  const isAsked = (uid: Uid): boolean => !lost.has(uid) && (onlyOf?.(uid) ?? true);
  const lease: LeaseOptions = { priority: "background", signal };
  const look = async (connection: MailboxLease): Promise<MailboxVerdict> => {
    const { examined } = connection;
    const here = new Map((await store.loadMessages(record)).map((message) => [message.uid, message]));
    // An empty mailbox's names nothing.
    if (record.uidValidity !== examined.uidValidity && examined.exists + here.size > 0) {
      return absent(
        record.name,
        `UIDVALIDITY is ${examined.uidValidity ?? "not told"} there and ${record.uidValidity} here`,
      );
    }
    const all = await connection.listUids();
    // As long as it is so, nothing else that is found tells whether both sides are equal.
    if (connection.listingGap !== undefined) return absent(record.name, connection.listingGap);
    const there = all.filter(isAsked);
    const metas = new Map<Uid, MessageMeta>();
    // What is not here is not asked for: it may be what the legacy server cannot give.
    const asked = there.filter((uid) => here.get(uid)?.presence === "full");
    if (asked.length > 0) await connection.fetchMeta(uidSetOf(asked), (meta) => metas.set(meta.uid, meta));
    const partly = await partlyTold(
      connection,
      asked.filter((uid) => !metas.has(uid)),
    );
    const { arrived, vanished } = compareUids([...here.keys()].filter(isAsked), there);
    const differences: Difference[] = [
      ...compareUidNext(store, record, examined),
      ...arrived.map((uid): Difference => ({ kind: "missing", uid, detail: "on the legacy server only" })),
      ...vanished.map((uid): Difference => ({ kind: "extra", uid, detail: "here only" })),
    ];
    const full: (StoredMessage & { presence: "full" })[] = [];
    for (const uid of there) {
      const ours = here.get(uid);
      const theirs = metas.get(uid) ?? partly.get(uid);
      if (!ours) continue;
      if (ours.presence !== "full") differences.push(notPulled(ours));
      else if (theirs) differences.push(...compareMeta(ours, theirs));
      else differences.push({ kind: "bytes", uid, detail: "the legacy server did not answer" });
      if (ours.presence === "full") full.push(ours);
    }
    const sizes = new Set(differences.flatMap((one) => (one.kind === "size" ? [one.uid] : [])));
    const chosen = new Set(onlyOf ? full : sampleOf(full, samplePercent));
    // The bytes may explain another size.
    const messages = full.filter((one) => chosen.has(one) || sizes.has(one.uid));
    const bytes = await compareBytes({ store, record, messages, lease: connection, signal }, sizes);
    for (const [uid, detail] of bytes.different)
      differences.push({
        kind: "bytes",
        uid,
        detail,
        isGiven: bytes.given.has(uid),
        isDamaged: bytes.damaged.has(uid),
      });
    const misdated = differences.flatMap((one) => (one.kind === "date" ? [one.uid] : []));
    const undated = await withoutDate(connection, misdated, metas, signal);
    return {
      name: record.name,
      messagesLegacy: all.length,
      messagesHere: here.size,
      bytesCompared: bytes.bytesCompared,
      rewritten: bytes.rewritten.size,
      undated: undated.size,
      differences: differences
        .filter((one) => !(one.kind === "size" && bytes.rewritten.has(one.uid)))
        .filter((one) => !(one.kind === "date" && undated.has(one.uid)))
        .sort((a, b) => uidOf(a) - uidOf(b)),
    };
  };
  return options.source.useMailbox(record.name, lease, (connection) =>
    look(connection).catch((error: unknown) => {
      onFailure(error);
      throw error;
    }),
  );
}

/** Nobody asks for what an operator has accepted as lost, unless it has come after all. */
async function acceptedAsLost(store: AccountStore, record: MailboxRecord): Promise<ReadonlySet<Uid>> {
  const { accepted } = lossesOf(store, record);
  if (accepted.size === 0) return new Set();
  const full = (await store.loadMessages(record)).filter(({ presence }) => presence === "full");
  const here = new Set(full.map(({ uid }) => uid));
  return new Set([...accepted.keys()].filter((uid) => !here.has(uid)));
}

/** Ours may be above: clients never see a UID that comes before what they were told (RFC 3501 2.3.1.1). */
function compareUidNext(store: AccountStore, { id, uidNext }: MailboxRecord, there: Examined): Difference[] {
  // The record as it is by now.
  const here = store.mailboxes().find((one) => one.id === id)?.uidNext ?? uidNext;
  return here < there.uidNext ? [{ kind: "uidnext", detail: `${there.uidNext} there, ${here} here` }] : [];
}

function notPulled({ uid, presence }: StoredMessage): Difference {
  const detail = presence === "remote" ? "only its UID is here" : "its bytes are not here";
  return { kind: "not-pulled", uid, detail };
}

/** What the server does not tell is shown here as its text says, and nothing that could differ. */
function compareMeta(ours: MessageMeta, { uid, ...theirs }: PartlyTold): Difference[] {
  const found: Difference[] = [];
  const add = (kind: "flags" | "date" | "size", there: string, here: string): void => {
    found.push({ kind, uid, detail: `${there} there, ${here} here` });
  };
  if (theirs.flags && !sameFlags(ours.flags, theirs.flags))
    add("flags", `(${theirs.flags.join(" ")})`, `(${ours.flags.join(" ")})`);
  const [there, here] = [theirs.internalDate, ours.internalDate];
  if (there && (there.epochSeconds !== here.epochSeconds || there.zoneMinutes !== here.zoneMinutes))
    add("date", formatInternalDate(there), formatInternalDate(here));
  if (theirs.sizeBytes !== undefined && ours.sizeBytes !== theirs.sizeBytes)
    add("size", String(theirs.sizeBytes), String(ours.sizeBytes));
  return found;
}

type PartlyTold = Pick<MessageMeta, "uid"> & Partial<MessageMeta>;

/** Of messages whose metadata the server does not tell as it should what it tells of them. */
async function partlyTold(
  connection: MailboxLease,
  uids: readonly Uid[],
): Promise<ReadonlyMap<Uid, PartlyTold>> {
  const told = new Map<Uid, PartlyTold>();
  if (uids.length > 0)
    await connection.fetchPartly(uidSetOf(uids), ["FLAGS", "INTERNALDATE", "RFC822.SIZE"], (uid, part) =>
      told.set(uid, { ...told.get(uid), ...part, uid }),
    );
  return told;
}

/**
 * Those whose date the server tells otherwise at the next look: it has none, and tells the present second (Mailutils,
 * of a message without a Date field).
 */
async function withoutDate(
  connection: MailboxLease,
  uids: readonly Uid[],
  metas: ReadonlyMap<Uid, MessageMeta>,
  signal: AbortSignal,
): Promise<ReadonlySet<Uid>> {
  const undated = new Set<Uid>();
  if (uids.length === 0) return undated;
  await delay(oneSecondMs, undefined, { signal });
  await connection.fetchMeta(uidSetOf(uids), ({ uid, internalDate }) => {
    if (metas.get(uid)?.internalDate.epochSeconds !== internalDate.epochSeconds) undated.add(uid);
  });
  return undated;
}

const uidOf = (difference: Difference): number => ("uid" in difference ? difference.uid : 0);
