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
  /** All of them, in the order of `uids`. */
  all(): StoredMessage[];
  /** Replaces what is known of messages that are in the table; others are ignored. */
  put(messages: Iterable<StoredMessage>): void;
  /** Makes `uids` (ascending) the whole table, of which `vanished` have left: their entries are dropped. */
  setUids(uids: readonly Uid[], vanished: readonly Uid[]): void;
  /** Adds `uids`, ascending and above all others. */
  append(uids: readonly Uid[]): void;
  /** Takes these out. */
  remove(uids: readonly Uid[]): void;
  /** How many messages are `full`, how many are only listed, and how many are known to be without \Seen. */
  readonly fullCount: number;
  readonly remoteCount: number;
  readonly unseenCount: number;
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
  let unseenCount = 0;
  let knownBytes = 0;
  let fullBytes = 0;
  let revision = 0;
  const has = (uid: Uid): boolean => uids[lowerBound(uids, uid)] === uid;
  const count = (message: StoredMessage | undefined, sign: 1 | -1): void => {
    if (!message || message.presence === "remote") return;
    knownBytes += sign * message.sizeBytes;
    if (!hasFlag(message.flags, "\\Seen")) unseenCount += sign;
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
  const drop = (uid: Uid): void => {
    count(known.get(uid), -1);
    known.delete(uid);
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
    get unseenCount() {
      return unseenCount;
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
    all: () => uids.map((uid) => known.get(uid) ?? { presence: "remote", uid }),
    put(messages) {
      for (const message of messages) {
        if (!has(message.uid)) continue;
        revision++;
        set(message);
      }
    },
    setUids(next, vanished) {
      if (next === uids) return;
      revision++;
      uids = next;
      for (const uid of vanished) drop(uid);
    },
    append(added) {
      if (added.length === 0) return;
      revision++;
      uids = uids.concat(added);
    },
    remove(gone) {
      if (gone.length === 0) return;
      revision++;
      uids = without(uids, gone);
      for (const uid of gone) drop(uid);
    },
  };
}

/** So few are cut out of a copy; more are left out of a new list. */
const fewCuts = 50;

function without(uids: readonly Uid[], gone: readonly Uid[]): readonly Uid[] {
  if (gone.length > fewCuts) {
    const left = new Set(gone);
    return uids.filter((one) => !left.has(one));
  }
  const rest = uids.slice();
  for (const one of gone) {
    const index = lowerBound(rest, one);
    if (rest[index] === one) rest.splice(index, 1);
  }
  return rest;
}
