/**
 * One account here and on the legacy server: its names, its mailboxes, and the background pull that
 * brings everything across. Opened by the account, closed by it; whoever waits on shared work waits with
 * a signal of his own, the work itself lives as long as the mirror.
 */
import { isNonexistent, isUnavailable, MailError } from "../errors.ts";
import type { Pop3Source } from "../legacy/pop3-source.ts";
import type { ImapSource, LegacyStatus, Listing } from "../legacy/source.ts";
import type { Logger } from "../log.ts";
import { findByName } from "../mail/below-inbox.ts";
import { type EncodedMailboxName, encodedMailboxName, inbox, type MailboxId } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import { waitWith } from "../waiting.ts";
import type { Authority } from "./authority.ts";
import { createBackgroundPull, type PullOutcome } from "./background-pull.ts";
import { createMessageChanges } from "./change-messages.ts";
import { createNameChanges } from "./change-names.ts";
import { type DeletionRules, defaultDeletionRules, followNames } from "./follow-names.ts";
import { createHeldDeletions, type HeldDeletions } from "./held-deletions.ts";
import { isLeftBehind } from "./left-behind.ts";
import { mayTake, noteLeft } from "./left-names.ts";
import { isSelectable, keptListing, nothingListed, writeSubscriptions } from "./listing.ts";
import { doubtsOf, noteAbsence } from "./mailbox-doubts.ts";
import { type MailboxMirror, noSuchMailbox, openMailboxMirror } from "./mailbox-mirror.ts";
import type { MailboxState } from "./mailbox-state.ts";
import { type MaildropMirror, type MaildropMirrorOptions, openMaildropMirror } from "./maildrop-mirror.ts";
import { renameMailbox, validityAs } from "./rename-mailbox.ts";

export type { LegacyStatus } from "../legacy/source.ts";

export interface Mirror {
  readonly store: AccountStore;
  /** undefined where there is no legacy POP3 server: its UIDLs are made here. */
  readonly maildrop: MaildropMirror | undefined;
  /** As the legacy server lists it now; as last seen while it is away. */
  listing(signal: AbortSignal): Promise<Listing>;
  /** Fetches the names in the background where none were fetched yet: INBOX is opened without them. */
  learnNames(): void;
  /** Throws NONEXISTENT. */
  mailbox(name: EncodedMailboxName, signal: AbortSignal): Promise<MailboxMirror>;
  /** Deletions of the legacy server that are not believed. */
  readonly held: HeldDeletions;
  /** Changes of one command that belong together: the last word does not pass to another in between. */
  asOne<T>(work: () => Promise<T>): Promise<T>;
  /** Who is asked first about a change. */
  readonly authority: Authority;
  /** undefined while the legacy server is away; throws NONEXISTENT. */
  legacyStatus(name: EncodedMailboxName, signal: AbortSignal): Promise<LegacyStatus | undefined>;
  /** Mailboxes that were opened so far. */
  opened(): readonly MailboxMirror[];
  /** Every mailbox there is a record of is among the opened ones. */
  readonly isWholeOpen: boolean;
  /** Every mailbox there is a record of, opened. */
  all(): Promise<readonly MailboxMirror[]>;
  /** Brings every message across; joins a pull that is running. */
  pull(signal: AbortSignal): Promise<PullOutcome>;
  /** Starts the background pull if it is not running. */
  wake(): void;
  /** The same, unless the last one has brought everything across, and lately: what has come since is known. */
  wakeIfBehind(): void;
  /** What the background pull ended with last, if it did; undefined while it runs or never ran. */
  readonly outcome: PullOutcome | undefined;
  readonly busy: boolean;
  /**
   * Another one takes its place: the legacy server is left, and what is known of the mailboxes and the store stay
   * open.
   */
  retire(): Promise<void>;
  close(): Promise<void>;
}

export interface MirrorOptions {
  readonly store: AccountStore;
  readonly source: ImapSource;
  /** Where the legacy server has POP3, too. */
  readonly pop3?: LegacyMaildrop | undefined;
  readonly logger: Logger;
  /** Called whenever a pull has ended. */
  readonly onOutcome: (outcome: PullOutcome) => void;
  readonly deletions?: DeletionRules | undefined;
  /** Mailboxes that are open already, and were local. */
  readonly states?: ReadonlyMap<MailboxId, MailboxState> | undefined;
}

/** The maildrop of the legacy server, and what is known of it beforehand. */
export interface LegacyMaildrop extends Pick<MaildropMirrorOptions, "onUnmatched" | "clientsWaitMs"> {
  readonly source: Pop3Source;
  /** In which mailboxes its messages are: INBOX, or any. */
  readonly mailboxes: "inbox" | "all";
}

export function openMirror(options: MirrorOptions): Mirror {
  const { store, source, pop3, logger, onOutcome, states } = options;
  const closing = new AbortController();
  const { signal } = closing;
  const mirrors = new Map<MailboxId, Promise<MailboxMirror>>();
  const opened = new Map<MailboxId, MailboxMirror>();
  const onItsWay = new Set<string>();

  const open = (record: MailboxRecord): Promise<MailboxMirror> => {
    const known = mirrors.get(record.id);
    if (known) return known;
    const state = states?.get(record.id);
    state?.adopt({ signal, source, onRemoving: undefined });
    const opening = openMailboxMirror({ store, source, logger, signal, record, onItsWay, state }).then(
      (mirror) => {
        opened.set(record.id, mirror);
        noteAbsence(mirror.state, names.absent);
        mirror.subscribe(({ kind }) => {
          if (kind === "arrived" && background.outcome) background.wakeFor(mirror);
        });
        return mirror;
      },
    );
    mirrors.set(record.id, opening);
    opening.catch(() => mirrors.delete(record.id));
    return opening;
  };
  const names = followNames({
    store,
    source,
    logger,
    signal,
    rules: options.deletions ?? defaultDeletionRules,
    mirrors,
    opened,
    open,
    onSettled: () => background.wake(),
  });
  const { refresh } = names;
  /** Where the server has given a new UIDVALIDITY, or does not tell, the mailbox is pulled anew. */
  const followRename = async (from: EncodedMailboxName, to: EncodedMailboxName): Promise<void> => {
    for (const record of store.mailboxes()) {
      const name = renamedTo(record, from, to);
      if (name === undefined || record.uidValidity === undefined) continue;
      try {
        const uidValidity = await validityAs({ store, source, signal }, record, name);
        const { table } = (await open(record)).state;
        noteLeft(store, record, table);
        if (uidValidity === record.uidValidity && mayTake(store, name, record, table)) {
          await renameMailbox({ store, mirrors }, record, name);
        } else names.absent.expect([record.name], "done");
      } catch (error) {
        names.absent.expect([record.name], "done");
        logger.warn({ err: error, mailbox: record.name }, "a mailbox was renamed and will be pulled again");
      }
    }
  };
  const authority: Authority = {
    ...createMessageChanges({
      source,
      logger,
      signal,
      opened: (name) => [...opened.values()].find(({ state }) => state.record.name === name),
    }),
    ...createNameChanges({
      source,
      logger,
      signal,
      keptNames: () => keptListing(store),
      async refreshNames() {
        await refresh();
        return keptListing(store) ?? nothingListed;
      },
      followRename,
      unseen: names.unseen,
      expectGone: names.absent.expect,
    }),
  };
  const freshListing = async (waiting: AbortSignal): Promise<Listing> => {
    try {
      await waitWith(refresh(), waiting);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      const kept = keptListing(store);
      if (!kept) throw error;
      return kept;
    }
    return keptListing(store) ?? nothingListed;
  };
  const recordOf = (name: EncodedMailboxName): MailboxRecord | undefined =>
    findByName(store.mailboxes(), name);

  const all = (): Promise<readonly MailboxMirror[]> =>
    Promise.all(store.mailboxes().filter(isSelectable).map(open));

  const maildropMailboxes = async (waiting: AbortSignal): Promise<readonly MailboxMirror[]> => {
    if (pop3?.mailboxes === "all") await waitWith(refresh(), waiting);
    const mailboxes =
      pop3?.mailboxes === "all" ? await all() : [await open(recordOf(inbox) ?? store.addMailbox(firstInbox))];
    const sync = async (mailbox: MailboxMirror): Promise<void> => {
      await mailbox.sync(waiting).catch((error: unknown) => {
        if (isLeftBehind(mailbox.state)) return;
        // One that is not listed any more, and may be gone.
        if (!isNonexistent(error) || doubtsOf(mailbox.state).absence === undefined) throw error;
      });
    };
    await Promise.all(mailboxes.map(sync));
    return mailboxes;
  };
  const maildrop =
    pop3 &&
    openMaildropMirror({
      ...pop3,
      store,
      logger,
      signal,
      mailboxes: maildropMailboxes,
      wake: () => background.wake(),
      onRemoving(message) {
        if (message) return opened.get(message.mailbox)?.state.brake.expect([message.uid]);
        for (const { state } of opened.values())
          if (pop3.mailboxes === "all" || state.record.name === inbox) state.brake.expectAny(1);
      },
    });

  const background = createBackgroundPull({
    store,
    maildrop,
    logger,
    signal,
    list: async () => {
      await refresh();
      return all();
    },
    onOutcome(outcome) {
      pulledAt = performance.now();
      onOutcome(outcome);
    },
  });
  let pulledAt = Number.NEGATIVE_INFINITY;

  // A kill may have come between the names and their file.
  const known = keptListing(store);
  if (known) writeSubscriptions(store, known);

  return {
    store,
    maildrop,
    held: createHeldDeletions({ store, authority, listing: freshListing, mailboxes: all, names }),
    asOne: (work) => work(),
    authority,
    listing: freshListing,
    learnNames() {
      if (keptListing(store)) return;
      refresh().catch((error: unknown) => logger.debug({ err: error }, "names are not known yet"));
    },
    async mailbox(name, waiting) {
      let record = recordOf(name);
      // INBOX always exists (RFC 3501 5.1): its first SELECT does not wait for the names of all others.
      if (!record && name === inbox) record = store.addMailbox(firstInbox);
      if (!record) {
        await freshListing(waiting);
        record = recordOf(name);
      }
      if (!record) throw noSuchMailbox();
      return waitWith(open(record), waiting);
    },
    async legacyStatus(name, waiting) {
      try {
        return await source.use({ priority: "interactive", signal: waiting }, (lease) => lease.status(name));
      } catch (error) {
        if (isUnavailable(error)) return undefined;
        throw error;
      }
    },
    opened: () => [...opened.values()],
    all,
    get isWholeOpen() {
      return store.mailboxes().every((record) => !isSelectable(record) || opened.has(record.id));
    },
    async pull(waiting) {
      for (const mailbox of await waitWith(all(), waiting)) mailbox.retryNow();
      maildrop?.matchAnew();
      return waitWith(background.run(), waiting);
    },
    wake: () => background.wake(),
    wakeIfBehind() {
      const isRecent = performance.now() - pulledAt < recentMs;
      if (background.outcome?.kind !== "complete" || !isRecent) background.wake();
    },
    get outcome() {
      return background.outcome;
    },
    get busy() {
      return background.busy;
    },
    async retire() {
      closing.abort(new MailError("UNAVAILABLE", "the account has another home now"));
      await background.ended();
      await Promise.allSettled([source.close(), pop3?.source.close()]);
    },
    async close() {
      closing.abort(new MailError("UNAVAILABLE", "the account is being closed"));
      try {
        await background.ended();
        const ends = [
          source.close(),
          pop3?.source.close(),
          ...[...opened.values()].map((mirror) => mirror.checkpoint()),
        ];
        for (const end of await Promise.allSettled(ends)) {
          if (end.status === "rejected") logger.error({ err: end.reason }, "not all could be written");
        }
      } finally {
        await store.close();
      }
    },
  };
}

/** All mailboxes are looked at as often while somebody is logged in. */
const recentMs = 5 * 60_000;

/** Its new name where it is among what was renamed; INBOX's messages go, it stays (RFC 3501 6.3.5). */
function renamedTo(
  { name, separator }: MailboxRecord,
  from: EncodedMailboxName,
  to: EncodedMailboxName,
): EncodedMailboxName | undefined {
  if (from === inbox) return undefined;
  const isBelow = separator !== null && name.startsWith(`${from}${separator}`);
  return name === from || isBelow ? encodedMailboxName(to + name.slice(from.length)) : undefined;
}

/** The listing that follows says the rest. */
const firstInbox = { name: inbox, separator: null, attributes: [], subscribed: false, prefix: "" };
