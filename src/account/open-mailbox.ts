/**
 * A mailbox as one session has it open: what is known, and the means to make more known. Several
 * sessions share the mirror below; this holds what is one session's own: which messages are \Recent to
 * it, and the headers it has just asked for.
 */
import { isNonexistent, isUnavailable, unreadableIn } from "../errors.ts";
import type { Logger } from "../log.ts";
import { hasFlag } from "../mail/flags.ts";
import type { EncodedMailboxName, Uid } from "../mail/ids.ts";
import type { MessageMeta } from "../mail/message.ts";
import { readHeader } from "../mail/read-header.ts";
import type { ThreadNode } from "../mail/thread.ts";
import type { Authority } from "../migration/authority.ts";
import { flagsKnown } from "../migration/early-flags.ts";
import type { MailboxMirror } from "../migration/mailbox-mirror.ts";
import { unreadableOf } from "../migration/unreadable.ts";
import { waitWith } from "../waiting.ts";
import type { MailboxChange, Need, OpenMailbox, OpenOptions } from "./account.ts";
import { clientFirstMs, soon } from "./client-first.ts";
import { computeStructure } from "./message-structure.ts";
import { lookAt, type Patience } from "./patience.ts";
import type { RecentLedger } from "./recent.ts";

export interface OpenMailboxOptions extends OpenOptions {
  readonly mirror: MailboxMirror;
  readonly authority: Authority;
  /** A mailbox's name as it is listed. */
  readonly spelled: (name: EncodedMailboxName) => EncodedMailboxName;
  readonly patience: Patience;
  readonly recentLedger: RecentLedger;
  readonly logger: Logger;
  /** Whatever mailboxes have gone is announced when it resolves. */
  readonly lookForNames: (signal: AbortSignal) => Promise<void>;
  readonly onClose: () => void;
}

/** Longer headers are read back from the store: a command asks for hundreds at a time. */
const maxHeldHeaderBytes = 32 << 10;

export function createOpenMailbox(options: OpenMailboxOptions): OpenMailbox {
  const { mirror, authority, spelled, patience, recentLedger, onChange, logger } = options;
  const { state } = mirror;
  const { uidValidity } = state.record;
  if (uidValidity === undefined) throw new Error("a mailbox is opened only after its first sync");
  const recent = new Set<Uid>(recentLedger.claim(state, options.examine));
  /** Headers read from files for the command that is running. */
  let headers = new Map<Uid, Buffer>();
  let closed = false;
  const unsubscribe = mirror.subscribe((change: MailboxChange) => {
    if (change.kind === "arrived" && !options.examine) {
      for (const uid of recentLedger.claim(state, false)) recent.add(uid);
    }
    onChange(change);
  });

  const unwatch = soon(state.isLocal ? 0 : clientFirstMs, () => mirror.watch());

  const isFull = (uid: Uid): boolean => state.table.get(uid)?.presence === "full";
  const metaOf = (uid: Uid): MessageMeta | undefined => {
    const message = state.table.get(uid);
    return message && message.presence !== "remote" ? message : undefined;
  };
  const isPresent = (uid: Uid): boolean => state.table.get(uid) !== undefined;

  const requireHeaders = async (uids: readonly Uid[], signal: AbortSignal): Promise<void> => {
    headers = new Map();
    await ofEach(
      mirror.headers(uids.filter((uid) => isPresent(uid) && !isFull(uid))),
      () => state.store.missingHeaders(state.record, uids.filter(isPresent)),
      async (uid) => {
        const content = await mirror.content(uid, signal);
        if (!content) return;
        const header = await readHeader(content);
        if (header.length <= maxHeldHeaderBytes) headers.set(uid, header);
        else state.store.saveHeaders(state.record, new Map([[uid, header]]));
      },
    );
  };
  const requireStructures = async (uids: readonly Uid[], signal: AbortSignal): Promise<void> => {
    await ofEach(
      mirror.structures(uids.filter((uid) => isPresent(uid) && !isFull(uid))),
      () => state.store.missingStructures(state.record, uids.filter(isPresent)),
      async (uid) => {
        const content = await mirror.content(uid, signal);
        if (!content) return;
        state.store.saveStructures(state.record, new Map([[uid, await computeStructure(content, signal)]]));
      },
    );
  };
  const requireBodies = async (uids: readonly Uid[], signal: AbortSignal): Promise<void> => {
    mirror.prefetch(uids);
    for (const uid of uids) (await mirror.content(uid, signal))?.close();
  };

  return {
    get name() {
      return state.record.name;
    },
    uidValidity,
    readOnly: state.readOnly,
    recent,
    get flags() {
      return state.record.flags;
    },
    get permanentFlags() {
      return state.record.permanentFlags;
    },
    get uids() {
      return state.table.uids;
    },
    get uidNext() {
      return state.record.uidNext;
    },
    get highestModSeq() {
      return state.record.highestModSeq === 0n ? undefined : state.record.highestModSeq;
    },
    get firstUnseen() {
      return firstUnseen(mirror);
    },
    get complete() {
      return state.table.fullCount === state.table.uids.length;
    },
    async require(uids, need: Need, signal) {
      signal.throwIfAborted();
      if (need === "flags") return waitWith(mirror.flags(uids), signal);
      const remote = uids.filter((uid) => state.table.get(uid)?.presence === "remote");
      // One of which the old server cannot tell the size may have a header that can be read.
      const failed = await unreadableIn(mirror.metadata(remote));
      if (need === "header") await requireHeaders(uids, signal);
      if (need === "structure") await requireStructures(uids, signal);
      if (need === "full") await requireBodies(uids, signal);
      if (failed) throw failed;
    },
    requireChanged: (since, signal) => waitWith(mirror.changedSince(since), signal),
    async expungedSince(since, uids, signal) {
      const ask = (): ReturnType<MailboxMirror["expungedSince"]> => mirror.expungedSince(since, uids);
      try {
        return await patience.wait(`expunged ${state.record.name}`, ask, signal);
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        return undefined;
      }
    },
    flagsOf: (uid) => flagsKnown(state, uid),
    // What is counted here is given to a message with its metadata.
    modSeqOf: (uid) => metaOf(uid)?.modSeq ?? (state.countsModSeqs ? undefined : state.early.modSeqOf(uid)),
    meta: metaOf,
    internalDateOf: (uid) => metaOf(uid)?.internalDate ?? unreadableOf(state).dates.get(uid),
    header: (uid) => headers.get(uid) ?? state.store.header(state.record, uid),
    structure(uid, extensible) {
      const structure = state.store.structure(state.record, uid);
      return extensible ? structure?.bodyStructure : structure?.body;
    },
    content: (uid, signal) => mirror.content(uid, signal),
    prefetch: (uids) => mirror.prefetch(uids),
    searchRemotely: (criteria, charset, signal) => mirror.search(criteria, charset, signal),
    sortRemotely: async (keys, uids, signal) => {
      const known = new Set(uids);
      return (await waitWith(mirror.sort(keys, uids), signal))?.filter((uid) => known.has(uid));
    },
    threadRemotely: async (algorithm, uids, signal) => {
      const threads = await waitWith(mirror.thread(algorithm, uids), signal);
      return threads && only(threads, new Set(uids));
    },
    store: (uids, change, signal, unchangedSince) =>
      waitWith(authority.store(mirror, uids, change, unchangedSince), signal),
    expunge: (uids, signal) => waitWith(authority.expunge(mirror, uids), signal),
    copy: (uids, target, signal) => waitWith(authority.copy(mirror, uids, spelled(target)), signal),
    move: (uids, target, signal) => waitWith(authority.move(mirror, uids, spelled(target)), signal),
    async poll(signal, { modSeqs = false } = {}) {
      try {
        const look = (): Promise<void> => mirror.sync(signal, { lately: true, modSeqs });
        await (state.isLocal ? look() : patience.wait(lookAt(state.record.name), look, signal));
      } catch (error) {
        // Deleted by others: the session is to be told, and not to be refused for ever.
        if (isNonexistent(error)) return options.lookForNames(signal);
        if (!isUnavailable(error)) throw error;
        logger.debug({ err: error, mailbox: state.record.name }, "no delta: the legacy server is away");
      }
    },
    close() {
      if (closed) return;
      closed = true;
      unwatch();
      unsubscribe();
      headers.clear();
      options.onClose();
    },
  };
}

/** `read`s those that are missing when `fetching` has ended; one that cannot be had keeps none of the others. */
async function ofEach(
  fetching: Promise<void>,
  missing: () => readonly Uid[],
  read: (uid: Uid) => Promise<void>,
): Promise<void> {
  let failed = await unreadableIn(fetching);
  for (const uid of missing()) {
    if (failed?.messages.has(uid)) continue;
    failed = (await unreadableIn(read(uid))) ?? failed;
  }
  if (failed) throw failed;
}

function firstUnseen({ state }: MailboxMirror): number | undefined {
  const { uids } = state.table;
  for (let index = 0; index < uids.length; index++) {
    const message = state.table.get(uids[index] as Uid);
    if (message === undefined || message.presence === "remote") return state.firstUnseenHint;
    if (!hasFlag(message.flags, "\\Seen")) return index + 1;
  }
  return undefined;
}

/** A message that this session does not know is but a place in its thread. */
function only(threads: readonly ThreadNode[], uids: ReadonlySet<Uid>): readonly ThreadNode[] {
  const nodes = new Map<ThreadNode, ThreadNode>();
  const order = [...threads];
  for (let at = 0; at < order.length; at++) for (const child of order[at]?.children ?? []) order.push(child);
  for (const node of order.reverse()) {
    const children = node.children.map((child) => nodes.get(child)).filter((child) => child !== undefined);
    if (node.uid !== undefined && uids.has(node.uid)) nodes.set(node, { uid: node.uid, children });
    else if (children.length > 0) nodes.set(node, { uid: undefined, children });
  }
  return threads.map((node) => nodes.get(node)).filter((node) => node !== undefined);
}
