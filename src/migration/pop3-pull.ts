/**
 * Brings messages of an old POP3 server's maildrop into INBOX, in its order, each once.
 *
 * What always holds
 * - A message's UIDL and its UID are written down before its file: whatever cuts in, it is not fetched twice.
 */
import { unlessRefused } from "../errors.ts";
import type { Pop3Session } from "../legacy/pop3-client.ts";
import { type Uid, uid } from "../mail/ids.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import type { AccountStore } from "../store/store.ts";
import { StoreTrouble } from "../store/store-errors.ts";
import { addMessages } from "./local-messages.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { ListedMessage } from "./maildrop-listing.ts";
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
}

/** How many messages it has brought. */
export type Pop3Pull = (request: Pop3PullRequest) => Promise<number>;

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

export function createPop3Pull({ store, inbox }: Pop3PullOptions): Pop3Pull {
  const isHere = isEntryHere(inbox);
  /** By UIDL: of messages at which the connection broke. */
  const failures = new Map<string, { count: number; retryAt: number }>();

  const noteFailure = (entry: MaildropEntry | undefined): void => {
    if (!entry) return;
    const { count } = failures.get(entry.uidl) ?? { count: 0 };
    failures.set(entry.uidl, { count: count + 1, retryAt: performance.now() + retryMs });
    if (count + 1 < maxFailures) return;
    const problem = `asked for ${count + 1} times, the old server breaks off`;
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

  return async ({ session, messages, signal, onNews }) => {
    let count = 0;
    const missing = messages.filter(({ entry }) => !isHere(entry) && !entry.isRemoved && !isPutAside(entry));
    for (let from = 0; from < missing.length; ) {
      signal.throwIfAborted();
      // Something to see first.
      const range = rangeFrom(missing, from, from === 0 ? firstRangeMessages : rangeMessages);
      from += range.length;
      const { retrieved, failure } = await retrieveAll(store, session, range);
      try {
        count += await file(retrieved);
      } finally {
        discardAll(retrieved);
      }
      onNews?.();
      if (failure === undefined) continue;
      if (!signal.aborted && !(failure instanceof StoreTrouble)) noteFailure(range[retrieved.length]?.entry);
      throw failure;
    }
    // What was read servers note at QUIT, and RSET has some forget it: no client has read it.
    if (missing.length > 0) await unlessRefused(session.reset());
    return count;
  };
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
