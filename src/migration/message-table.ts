/**
 * The messages of one mailbox in memory, ascending by UID. `uids` is replaced, never changed in place,
 * so that a session may keep the array it saw. A UID without an entry is `remote`: listed, nothing else.
 */
import { hasFlag } from "../mail/flags.ts";
import type { Uid } from "../mail/ids.ts";
import { indexFinder, lowerBound } from "../mail/number-set.ts";
import type { StoredMessage } from "../store/store.ts";

export interface MessageTable {
  readonly uids: readonly Uid[];
  /** undefined for a UID that is not in the mailbox. */
  get(uid: Uid): StoredMessage | undefined;
  /** Replaces what is known of messages that are in the table; others are ignored. */
  put(messages: Iterable<StoredMessage>): void;
  /** Makes `uids` (ascending) the whole table; entries of UIDs that left are dropped. */
  setUids(uids: readonly Uid[]): void;
  /** How many messages are `full`, and how many are only listed. */
  readonly fullCount: number;
  readonly remoteCount: number;
  /** RFC822.SIZE summed over messages whose metadata are known, and over those that are `full`. */
  readonly knownBytes: number;
  readonly fullBytes: number;
  /** Goes up with each change. */
  readonly revision: number;
}

/** Whether it is known here to be marked \Deleted. */
export function isMarkedDeleted(table: MessageTable, uid: Uid): boolean {
  const message = table.get(uid);
  return message !== undefined && message.presence !== "remote" && hasFlag(message.flags, "\\Deleted");
}

/** Tells which messages are only listed, most quickly in ascending order; until the table changes. */
export function remoteIn(table: MessageTable): (uid: Uid) => boolean {
  const { uids, remoteCount } = table;
  if (remoteCount < uids.length) return (uid) => table.get(uid)?.presence === "remote";
  const find = indexFinder(uids);
  return (uid) => find(uid) >= 0;
}

export function createMessageTable(loaded: readonly StoredMessage[]): MessageTable {
  let uids: readonly Uid[] = loaded.map((message) => message.uid);
  const known = new Map<Uid, StoredMessage>();
  let fullCount = 0;
  let knownBytes = 0;
  let fullBytes = 0;
  let revision = 0;
  const has = (uid: Uid): boolean => uids[lowerBound(uids, uid)] === uid;
  const count = (message: StoredMessage | undefined, sign: 1 | -1): void => {
    if (!message || message.presence === "remote") return;
    knownBytes += sign * message.sizeBytes;
    if (message.presence !== "full") return;
    fullCount += sign;
    fullBytes += sign * message.sizeBytes;
  };
  const set = (message: StoredMessage): void => {
    count(known.get(message.uid), -1);
    count(message, 1);
    if (message.presence === "remote") known.delete(message.uid);
    else known.set(message.uid, message);
  };
  for (const message of loaded) set(message);
  return {
    get uids() {
      return uids;
    },
    get fullCount() {
      return fullCount;
    },
    get remoteCount() {
      return uids.length - known.size;
    },
    get knownBytes() {
      return knownBytes;
    },
    get fullBytes() {
      return fullBytes;
    },
    get revision() {
      return revision;
    },
    get(uid) {
      return known.get(uid) ?? (has(uid) ? { presence: "remote", uid } : undefined);
    },
    put(messages) {
      for (const message of messages) {
        if (!has(message.uid)) continue;
        revision++;
        set(message);
      }
    },
    setUids(next) {
      if (next !== uids) revision++;
      uids = next;
      if (known.size === 0) return;
      const present = new Set(next);
      for (const [uid, message] of known) {
        if (present.has(uid)) continue;
        count(message, -1);
        known.delete(uid);
      }
    },
  };
}
