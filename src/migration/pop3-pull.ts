/**
 * Brings messages of an old POP3 server's maildrop into INBOX, in its order, each once.
 *
 * What always holds
 * - A message's UIDL and its UID are written down before its file: whatever cuts in, it is not fetched twice.
 * - Only one whose bytes agree with LIST is filed, or that is proven otherwise (pop3-doubts.ts). Of what comes behind
 *   another on its connection nothing is taken: it may be that one's text.
 */
import { unlessRefused } from "../errors.ts";
import type { Pop3Session } from "../legacy/pop3-client.ts";
import { type Uid, uid } from "../mail/ids.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import type { AccountStore } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import { addMessages } from "./add-local-messages.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { ListedMessage } from "./maildrop-listing.ts";
import type { MaildropSizes } from "./maildrop-sizes.ts";
import { createPop3Doubts, haveOneSize } from "./pop3-doubts.ts";
import { discardAll, type Retrieved, retrieveAll } from "./pop3-retrieve.ts";

export interface Pop3PullRequest {
  readonly session: Pop3Session;
  /** Of the session; each has its row. */
  readonly messages: readonly ListedMessage[];
  readonly signal: AbortSignal;
  /** Called whenever some of it can be seen here. */
  readonly onNews?: () => void;
}

export interface Pop3PullOptions {
  readonly store: AccountStore;
  readonly inbox: MailboxMirror;
  readonly sizes: MaildropSizes;
}

export interface Pop3Pulled {
  /** How many messages it has brought. */
  readonly count: number;
  /** The rest needs a fresh connection; never twice for the same. */
  readonly needsAnother: boolean;
}

export interface Pop3Pull {
  bring(request: Pop3PullRequest): Promise<Pop3Pulled>;
  /** Somebody asks for all: what was put aside is asked for once more, too. */
  retryNow(): void;
}

/** Fetched together: a bound on memory, and on what a lost connection costs. */
const rangeBytes = 4 << 20;
const rangeMessages = 100;
const firstRangeMessages = 10;
/** How often a message may break the connection before it is put aside, and for how long. */
const maxFailures = 3;
const retryMs = 10 * 60_000;

export const isEntryHere =
  ({ state }: MailboxMirror) =>
  ({ message }: MaildropEntry): boolean =>
    message !== undefined && state.table.get(message.uid) !== undefined;

export function createPop3Pull({ store, inbox, sizes }: Pop3PullOptions): Pop3Pull {
  const isHere = isEntryHere(inbox);
  /** By UIDL: of messages at which the connection broke. */
  const failures = new Map<string, { count: number; retryAt: number }>();
  const doubts = createPop3Doubts(sizes);

  const noteFailure = (entry: MaildropEntry): void => {
    const { count } = failures.get(entry.uidl) ?? { count: 0 };
    failures.set(entry.uidl, { count: count + 1, retryAt: performance.now() + retryMs });
    if (count + 1 < maxFailures) return;
    const problem = `asked for ${count + 1} times, the old server breaks off`;
    store.maildrop.noteProblem(entry, problem);
  };
  const putAside = ({ entry }: ListedMessage, problem: string): void => {
    failures.set(entry.uidl, { count: maxFailures, retryAt: performance.now() + retryMs });
    store.maildrop.noteProblem(entry, problem);
  };
  const isPutAside = ({ uidl }: MaildropEntry): boolean => {
    const failure = failures.get(uidl);
    return failure !== undefined && failure.count >= maxFailures && failure.retryAt > performance.now();
  };
  const file = async (retrieved: readonly Retrieved[]): Promise<number> => {
    const refused = retrieved.filter((one) => one.kind === "refused");
    const whole = retrieved.filter((one) => one.kind === "whole");
    for (const { entry, problem } of refused) store.maildrop.noteProblem(entry, problem);
    const writeDown = (first: Uid): void => {
      const { id: mailbox } = inbox.state.record;
      for (const [index, { entry, print }] of whole.entries())
        store.maildrop.noteMessage(entry, { mailbox, uid: uid(first + index) }, print);
    };
    const added = await addMessages(
      store,
      inbox,
      whole.map(({ addition }) => addition),
      writeDown,
    );
    return added.length;
  };

  /** What may be filed of a range, and whether the connection is good for more. */
  const judge = async (
    { session, messages }: Pop3PullRequest,
    range: readonly ListedMessage[],
    retrieved: readonly Retrieved[],
  ): Promise<{ readonly taken: readonly Retrieved[]; readonly isGoodForMore: boolean }> => {
    const [message, only] = [range[0], retrieved[0]];
    if (message && isAskedAlone(message)) {
      if (only?.kind !== "whole") {
        if (only) doubts.forget(message);
        return { taken: retrieved, isGoodForMore: true };
      }
      const isOneSize = haveOneSize(messages);
      const judged = await doubts.judgeAlone({ session, message, answer: only.answer, isOneSize });
      if (judged.kind === "whole") return { taken: retrieved, isGoodForMore: judged.isInStep };
      if (judged.kind === "contradictory") putAside(message, judged.problem);
      return { taken: [], isGoodForMore: judged.kind === "contradictory" && judged.isInStep };
    }
    for (const [index, one] of retrieved.entries()) {
      const asked = range[index];
      if (one.kind !== "whole" || !asked) continue;
      if (!one.answer.agreesWith(one.entry.sizeBytes)) {
        doubts.doubt(asked, one.answer);
        return { taken: retrieved.slice(0, index), isGoodForMore: false };
      }
      sizes.noteAgreed();
    }
    return { taken: retrieved, isGoodForMore: true };
  };
  const isAskedAlone = (message: ListedMessage): boolean => sizes.areWorthless || doubts.isDoubted(message);

  const bring = async (request: Pop3PullRequest): Promise<Pop3Pulled> => {
    const { session, messages, signal, onNews } = request;
    let count = 0;
    const missing = doubtedFirst(
      messages.filter(({ entry }) => !isHere(entry) && !entry.isRemoved && !isPutAside(entry)),
      doubts.isDoubted,
    );
    for (let from = 0; from < missing.length; ) {
      signal.throwIfAborted();
      const next = missing[from];
      if (from > 0 && next && doubts.isDoubted(next)) return { count, needsAnother: true };
      // Something to see first.
      const atOnce = from === 0 ? firstRangeMessages : rangeMessages;
      const range = rangeFrom(missing, from, next && isAskedAlone(next) ? 1 : atOnce);
      from += range.length;
      const { retrieved, failure } = await retrieveAll(store, session, range);
      let isGoodForMore: boolean;
      try {
        const judged = await judge(request, range, retrieved);
        ({ isGoodForMore } = judged);
        count += await file(judged.taken);
      } finally {
        discardAll(retrieved);
      }
      onNews?.();
      if (!isGoodForMore) {
        signal.throwIfAborted();
        return { count, needsAnother: true };
      }
      if (failure === undefined) continue;
      const broken = range[retrieved.length]?.entry;
      if (signal.aborted || failure instanceof StoreTrouble || !broken) throw failure;
      noteFailure(broken);
      if (!isPutAside(broken)) throw failure;
      // It stops none but itself.
      return { count, needsAnother: true };
    }
    // What was read servers note at QUIT, and RSET has some forget it: no client has read it.
    if (missing.length > 0) await unlessRefused(session.reset());
    return { count, needsAnother: false };
  };
  return {
    bring,
    retryNow() {
      for (const failure of failures.values()) failure.retryAt = Number.NEGATIVE_INFINITY;
    },
  };
}

/** The first of them: those before it were asked for on the connection on which it was doubted. */
function doubtedFirst(
  messages: readonly ListedMessage[],
  isDoubted: (message: ListedMessage) => boolean,
): readonly ListedMessage[] {
  const first = messages.find(isDoubted);
  return first ? [first, ...messages.filter((message) => message !== first)] : messages;
}

function rangeFrom(
  messages: readonly ListedMessage[],
  from: number,
  maxMessages: number,
): readonly ListedMessage[] {
  let sizeBytes = 0;
  const range: ListedMessage[] = [];
  for (const message of messages.slice(from, from + maxMessages)) {
    sizeBytes += message.entry.sizeBytes;
    if (sizeBytes > rangeBytes && range.length > 0) break;
    range.push(message);
  }
  return range;
}
