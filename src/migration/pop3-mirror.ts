/**
 * An account whose legacy server has POP3 only: INBOX is fed from its maildrop, and all else (flags, other
 * mailboxes, what clients file) is here from the start, as in a local account.
 */
import { setTimeout as delay } from "node:timers/promises";
import { isUnavailable, MailError } from "../errors.ts";
import { closeWhenAborted } from "../legacy/pop3-client.ts";
import type { Pop3Source } from "../legacy/pop3-source.ts";
import type { Logger } from "../log.ts";
import { type EncodedMailboxName, inbox, type MailboxId, type Uid } from "../mail/ids.ts";
import type { AccountStore } from "../store/store.ts";
import { anyOf, singleFlight, waitWith } from "../waiting.ts";
import { answerInTime, defaultPatienceMs, type InTime } from "./answer-in-time.ts";
import { type BackgroundPull, createBackgroundPull, type PullOutcome } from "./background-pull.ts";
import { type DeletionRules, defaultDeletionRules } from "./follow-names.ts";
import { type HeldDeletions, makeRescueMailbox, nothingHeld } from "./held-deletions.ts";
import { keptListing } from "./listing.ts";
import { beginLocalAccount, openLocalMirror } from "./local-mirror.ts";
import { isTransferring } from "./local-transfer.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import type { MailboxState } from "./mailbox-state.ts";
import type { MaildropMirror, OpenedMaildrop } from "./maildrop-mirror.ts";
import type { Mirror } from "./mirror.ts";
import { createPop3Feed, type Pop3Feed } from "./pop3-feed.ts";
import { watchWhileWanted } from "./watch.ts";

export interface Pop3MirrorOptions {
  readonly store: AccountStore;
  readonly source: Pop3Source;
  readonly logger: Logger;
  /** Called whenever a pull has ended. */
  readonly onOutcome: (outcome: PullOutcome) => void;
  readonly deletions?: DeletionRules | undefined;
  /** How long a client waits for a look: what comes later is announced. */
  readonly clientsWaitMs?: number | undefined;
  /** Mailboxes that are open already. */
  readonly states?: ReadonlyMap<MailboxId, MailboxState> | undefined;
}

/** Between two looks at a maildrop: each is a login there. */
const pollMs = 60_000;

export async function openPop3Mirror({
  store,
  source,
  logger,
  onOutcome,
  deletions: rules = defaultDeletionRules,
  states,
  clientsWaitMs = defaultPatienceMs,
}: Pop3MirrorOptions): Promise<Mirror> {
  let background: BackgroundPull | undefined;
  let isBehind = false;
  const wakeForRemovals = (): void => {
    if (background && !background.busy) background.wake();
    else isBehind = true;
  };
  if (!keptListing(store)) beginLocalAccount(store);
  const local = await openLocalMirror({
    store,
    logger,
    states,
    onRemoving: ({ id, name }, uids) => {
      const rescued = new Set(name === inbox ? rescuedIn(store) : []);
      store.maildrop.forgetMessages(
        id,
        uids.filter((uid) => rescued.has(uid)),
      );
      store.maildrop.markRemoved(
        id,
        uids.filter((uid) => !rescued.has(uid)),
      );
      if (name === inbox) wakeForRemovals();
    },
  });
  endRescue(store);
  const closing = new AbortController();
  const { signal } = closing;
  const inboxHere = await local.mailbox(inbox, signal);
  const feed = createPop3Feed({ store, source, inbox: inboxHere, logger, signal, rules });
  let triedAt = Number.NEGATIVE_INFINITY;
  /** Of the run in progress: resolves when something of it can be seen, or it has ended. */
  let news: PromiseWithResolvers<void> | undefined;
  let secondLook: NodeJS.Timeout | undefined;
  signal.addEventListener("abort", () => clearTimeout(secondLook), { once: true });
  const lookAgainInTime = (): void => {
    clearTimeout(secondLook);
    const inMs = feed.againInMs();
    if (inMs !== undefined && !signal.aborted) secondLook = setTimeout(() => background?.wake(), inMs);
  };
  const run = singleFlight(async () => {
    const own = Promise.withResolvers<void>();
    news = own;
    try {
      await feed.run(own.resolve);
    } finally {
      triedAt = performance.now();
      news = undefined;
      own.resolve();
      lookAgainInTime();
    }
  });
  /** New mail may wait where the old server cannot be asked, or takes long: what comes later is announced. */
  const lookWithPatience = async (waiting: AbortSignal): Promise<void> => {
    if (performance.now() - triedAt < pollMs || source.backgroundInMs() > 0) return;
    if (!news) void run().catch((error: unknown) => logger.warn({ err: error }, "new mail has to wait"));
    const patience = anyOf(waiting, AbortSignal.timeout(clientsWaitMs));
    await waitWith(news?.promise ?? Promise.resolve(), patience).catch(() => waiting.throwIfAborted());
    triedAt = performance.now();
  };
  const fed = fedInbox(inboxHere, lookWithPatience, signal);
  const withFed = (mailbox: MailboxMirror): MailboxMirror => (mailbox === inboxHere ? fed : mailbox);
  const maildrop = maildropOf({
    store,
    source,
    feed,
    lookAgain: lookAgainInTime,
    logger,
    run,
    clientsWaitMs,
  });
  const pull = createBackgroundPull({
    store,
    logger,
    signal,
    maildrop,
    list: async () => {
      await run();
      return local.all();
    },
    onOutcome(outcome) {
      onOutcome(outcome);
      if (isBehind) pull.wake();
      isBehind = false;
    },
  });
  background = pull;

  return {
    store,
    maildrop,
    held: heldOf({ store, local, inboxHere, feed, run }),
    asOne: (work) => work(),
    authority: local.authority,
    listing: (waiting) => local.listing(waiting),
    learnNames: () => undefined,
    mailbox: async (name, waiting) => (name === inbox ? fed : local.mailbox(name, waiting)),
    legacyStatus: async (name, waiting) => {
      if (name === inbox) await lookWithPatience(waiting);
      return undefined;
    },
    opened: () => local.opened().map(withFed),
    all: async () => (await local.all()).map(withFed),
    get isWholeOpen() {
      return local.isWholeOpen;
    },
    pull(waiting) {
      feed.retryNow();
      return waitWith(pull.run(), waiting);
    },
    wake: () => pull.wake(),
    wakeIfBehind() {
      if (pull.outcome?.kind !== "complete" || performance.now() - triedAt >= pollMs) pull.wake();
    },
    get outcome() {
      return pull.outcome;
    },
    get busy() {
      return pull.busy;
    },
    async retire() {
      closing.abort(new MailError("UNAVAILABLE", "the account has another home now"));
      await source.close();
      await pull.ended();
      await run().catch(() => undefined);
      await local.retire();
    },
    async close() {
      closing.abort(new MailError("UNAVAILABLE", "the account is being closed"));
      await source.close();
      await pull.ended();
      // One that a client or a watch has begun.
      await run().catch(() => undefined);
      await local.close();
    },
  };
}

/** INBOX, for whose sake the old server is looked at. */
function fedInbox(
  here: MailboxMirror,
  look: (waiting: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): MailboxMirror {
  const sync = async (waiting: AbortSignal): Promise<void> => {
    await look(waiting);
    await here.sync(waiting);
  };
  const poll = watchWhileWanted(async (ended) => {
    while (!ended.aborted) {
      await delay(pollMs, undefined, { signal: ended }).catch(() => undefined);
      if (!ended.aborted)
        await look(ended).catch((error: unknown) => here.state.logger.debug({ err: error }, "no look"));
    }
  }, signal);
  return {
    ...here,
    sync,
    select: sync,
    watch() {
      const ends = [here.watch(), poll.start()];
      return () => {
        for (const end of ends) end();
      };
    },
  };
}

interface HeldParts {
  readonly store: AccountStore;
  readonly local: Mirror;
  readonly inboxHere: MailboxMirror;
  readonly feed: Pop3Feed;
  readonly run: () => Promise<void>;
}

/**
 * UIDs of messages that are moved out of INBOX for people's sake: what leaves it otherwise is deleted at the old
 * server, where these may be back.
 */
const rescuedKey = "rescued";
const rescuedIn = (store: AccountStore): readonly Uid[] => JSON.parse(store.readSetting(rescuedKey) ?? "[]");

/** One that was cut off goes on with the next change, or the next opening. */
function endRescue(store: AccountStore): void {
  if (rescuedIn(store).length > 0 && !isTransferring(store)) store.writeSetting(rescuedKey, "[]");
}

function heldOf({ store, local, inboxHere, feed, run }: HeldParts): HeldDeletions {
  const { brake, table } = inboxHere.state;
  const present = (): readonly Uid[] => brake.held.filter((uid) => table.get(uid) !== undefined);
  /** Again where a client expunges one of them meanwhile. */
  const rescue = async (target: EncodedMailboxName): Promise<void> => {
    for (let held = present(); held.length > 0; held = present()) {
      store.writeSetting(rescuedKey, JSON.stringify(held));
      try {
        return await local.authority.move(inboxHere, held, target).then(() => undefined);
      } catch (error) {
        if (!(error instanceof MailError && error.code === "EXPUNGEISSUED")) throw error;
      } finally {
        endRescue(store);
      }
    }
  };
  return {
    ...nothingHeld,
    async list() {
      return brake.held.length === 0 ? [] : [{ mailbox: inbox, messages: brake.held.length }];
    },
    async accept(signal) {
      if (brake.held.length === 0) return;
      feed.release();
      await waitWith(run(), signal);
    },
    async refuse(signal) {
      if (brake.held.length === 0) return undefined;
      const target = await makeRescueMailbox(local.authority, await local.listing(signal));
      await feed.alone(async () => {
        await rescue(target);
        brake.release();
      });
      return target;
    },
  };
}

interface MaildropParts extends Pick<Pop3MirrorOptions, "store" | "source" | "logger"> {
  readonly feed: Pop3Feed;
  /** When it is time. */
  readonly lookAgain: () => void;
  readonly run: () => Promise<void>;
  readonly clientsWaitMs: number;
}

function maildropOf(parts: MaildropParts): MaildropMirror {
  const { store, source, feed, lookAgain, logger, run, clientsWaitMs } = parts;
  const open: InTime<OpenedMaildrop>["ask"] = async (waiting, follow) => {
    const session = await source.open(waiting).catch(async (error: unknown) => {
      if (!isUnavailable(error) || error.code === "INUSE" || !(await feed.isWhole())) throw error;
      logger.warn({ err: error }, "the old POP3 server is away");
      return undefined;
    });
    const stopClosing = session && closeWhenAborted(session, waiting);
    try {
      if (session) {
        follow(session);
        const { messages, isWhole } = await waitWith(feed.look(session), waiting);
        lookAgain();
        if (!isWhole) return { kind: "theirs", messages, session };
        // Nothing was asked of it that QUIT could refuse.
        await session.quit().catch((error: unknown) => logger.debug({ err: error }, "QUIT was refused"));
      }
      return { kind: "ours", entries: await store.maildrop.entries(), hasOthers: true };
    } catch (error) {
      session?.close();
      waiting.throwIfAborted();
      throw error;
    } finally {
      stopClosing?.();
    }
  };
  const fromHere = async (): Promise<OpenedMaildrop | undefined> =>
    (await feed.isWhole())
      ? { kind: "ours", entries: await store.maildrop.entries(), hasOthers: true }
      : undefined;
  return {
    open: (waiting) => answerInTime({ ask: open, fromHere, patienceMs: clientsWaitMs }, waiting),
    match: async () => [],
    matchAnew: () => undefined,
    removeThere: undefined,
    noteRemoved: (entries) => feed.noteRemoved(entries),
    noteGone: (entries) => feed.noteGone(entries),
    async writeThrough(waiting) {
      const patience = anyOf(waiting, AbortSignal.timeout(clientsWaitMs));
      // They are marked, and go with the next look.
      await waitWith(run(), patience).catch((error: unknown) =>
        logger.warn({ err: error }, "messages are to be deleted at the old server later"),
      );
    },
    problems: () => feed.problems(),
  };
}
