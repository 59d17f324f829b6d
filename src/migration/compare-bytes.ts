/** The bytes of messages on both sides, held against each other by their hashes. */
import { createHash, type Hash } from "node:crypto";
import { isUnavailable } from "../errors.ts";
import type { MailboxLease } from "../legacy/source.ts";
import type { Uid } from "../mail/ids.ts";
import type { MessageContent } from "../mail/message.ts";
import { uidSetOf } from "../mail/number-set.ts";
import { createServerFieldFilter } from "../mail/server-fields.ts";
import type { AccountStore, MailboxRecord, StoredMessage } from "../store/store.ts";
import { type Digest, digestingSink, digestOf } from "./digests.ts";
import { chunks } from "./pull-meta.ts";

export interface ComparedBytes {
  readonly bytesCompared: number;
  /** Which differ, and how. */
  readonly different: ReadonlyMap<Uid, string>;
  /** Of these, which the legacy server has given. */
  readonly given: ReadonlySet<Uid>;
  /** Which cannot be read here. */
  readonly damaged: ReadonlySet<Uid>;
  /** Which differ in nothing but fields that the legacy server writes into messages itself. */
  readonly rewritten: ReadonlySet<Uid>;
}

export interface BytesToCompare {
  readonly store: AccountStore;
  readonly record: MailboxRecord;
  readonly messages: readonly (StoredMessage & { presence: "full" })[];
  readonly lease: MailboxLease;
  readonly signal: AbortSignal;
}

/** Bodies are read from both sides in ranges of this many messages. */
const bodyRange = 200;

/** `sizes`: of these the server tells another size than is known here, which the same may explain. */
export async function compareBytes(
  comparison: BytesToCompare,
  sizes: ReadonlySet<Uid>,
): Promise<ComparedBytes> {
  const { messages, signal } = comparison;
  const different = new Map<Uid, string>();
  const given = new Set<Uid>();
  const damaged = new Set<Uid>();
  const rewritten = new Set<Uid>();
  for (const range of chunks(messages, bodyRange)) {
    signal.throwIfAborted();
    const whole = await digestsOf(comparison, range, plainDigest);
    const isOdd = ({ uid }: StoredMessage): boolean => !isEqual(whole.get(uid)) || sizes.has(uid);
    const odd = range.filter(isOdd);
    const stripped = odd.length === 0 ? whole : await digestsOf(comparison, odd, digestWithoutServerFields);
    for (const { uid } of odd) {
      const [found, without] = [whole.get(uid), stripped.get(uid)];
      const hasFields = found?.there !== without?.there || found?.here !== without?.here;
      if (isEqual(without) && hasFields) rewritten.add(uid);
      else if (!isEqual(found)) different.set(uid, described(found));
      if (found?.there !== undefined) given.add(uid);
      if (found?.here === unreadable) damaged.add(uid);
    }
  }
  const bytesCompared = messages.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return { bytesCompared, different, given, damaged, rewritten };
}

/** In place of a digest, of a file that is damaged or gone. */
const unreadable = "unreadable";

interface BothSides {
  /** undefined: it did not answer. */
  readonly there: string | undefined;
  readonly here: string;
}

function isEqual(digests: BothSides | undefined): boolean {
  return digests?.there !== undefined && digests.there === digests.here;
}

function described(digests: BothSides | undefined): string {
  return digests?.there === undefined
    ? "the legacy server did not answer"
    : `sha256 ${digests.there} there, ${digests.here} here`;
}

function plainDigest(): Digest {
  const hash = createHash("sha256");
  return { write: (bytes) => void hash.update(bytes), end: () => hash.digest("hex") };
}

function digestWithoutServerFields(): Digest {
  const hash: Hash = createHash("sha256");
  const filter = createServerFieldFilter((bytes) => void hash.update(bytes));
  return {
    write: filter.write,
    end() {
      filter.end();
      return hash.digest("hex");
    },
  };
}

async function digestsOf(
  { store, record, lease }: BytesToCompare,
  range: BytesToCompare["messages"],
  createDigest: () => Digest,
): Promise<ReadonlyMap<Uid, BothSides>> {
  const there = new Map<Uid, string>();
  await lease.fetchBodies(uidSetOf(range.map(({ uid }) => uid)), digestingSink(there, createDigest));
  const both = new Map<Uid, BothSides>();
  for (const message of range) {
    const here = await digestHere(() => store.openMessage(record, message), createDigest);
    both.set(message.uid, { there: there.get(message.uid), here });
  }
  return both;
}

/** A file that is damaged or gone is a difference, not a failure of the comparison. */
export async function digestHere(
  open: () => MessageContent,
  createDigest: () => Digest = plainDigest,
): Promise<string> {
  try {
    const content = open();
    try {
      return await digestOf(content, createDigest());
    } finally {
      content.close();
    }
  } catch (error) {
    if (isUnavailable(error)) return unreadable;
    throw error;
  }
}
