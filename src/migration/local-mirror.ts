/**
 * A local account behind the same interface as a mirrored one: what a legacy server would be asked is known
 * here, and every message is `full`.
 */
import { isUnavailable, MailError } from "../errors.ts";
import type { ImapSource, ListedName, Listing } from "../legacy/source.ts";
import type { Logger } from "../log.ts";
import { findByName } from "../mail/below-inbox.ts";
import { type EncodedMailboxName, type MailboxId, uid } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import { MessageLost } from "../store/store-errors.ts";
import { singleFlight, waitWith } from "../waiting.ts";
import { expungedSince } from "./expunged-since.ts";
import { nothingHeld } from "./held-deletions.ts";
import { dropAbsent } from "./left-behind.ts";
import { commitListing, isPulled, keptListing } from "./listing.ts";
import { createLocalAuthority } from "./local-authority.ts";
import { localPermanentFlags, systemFlags } from "./local-mailbox.ts";
import { dropLost } from "./local-messages.ts";
import { firstListing, type Renamed, withParents, withRenamed } from "./local-names.ts";
import { finishTransfer } from "./local-transfer.ts";
import { type MailboxMirror, noSuchMailbox } from "./mailbox-mirror.ts";
import type { MailboxState, OnRemoving } from "./mailbox-state.ts";
import type { Mirror } from "./mirror.ts";
import { openMailboxState } from "./open-mailbox-state.ts";
import { listRebuilt } from "./rebuilt-names.ts";
import { renameMailbox } from "./rename-mailbox.ts";
import type { Sweep } from "./straggler-sweep.ts";
import { takeDropped, watchDropped } from "./take-dropped.ts";
import { watchWhileWanted } from "./watch.ts";

export interface LocalMirrorOptions {
  readonly store: AccountStore;
  readonly logger: Logger;
  /** Called before messages are removed that somebody wants removed. */
  readonly onRemoving?: OnRemoving | undefined;
  /** Mailboxes that are open already, and have become local. */
  readonly states?: ReadonlyMap<MailboxId, MailboxState> | undefined;
  /** What may still come from the legacy server. Closed with the mirror. */
  readonly sweep?: Sweep | undefined;
}

export async function openLocalMirror(options: LocalMirrorOptions): Promise<Mirror> {
  const { store, logger, onRemoving, states, sweep } = options;
  const closing = new AbortController();
  const { signal } = closing;
  const mirrors = new Map<MailboxId, Promise<MailboxMirror>>();
  const opened = new Map<MailboxId, MailboxMirror>();

  const open = (record: MailboxRecord): Promise<MailboxMirror> => {
    const known = mirrors.get(record.id);
    if (known) return known;
    const opening = stateOf(record).then((state) => {
      const mailbox = localMailbox(state, signal);
      if (state.table.uids.length === 0) void noteEmpty(mailbox);
      opened.set(record.id, mailbox);
      return mailbox;
    });
    mirrors.set(record.id, opening);
    opening.catch(() => mirrors.delete(record.id));
    return opening;
  };
  /** Writes the list that nobody has written yet: its UIDVALIDITY is ours. */
  const noteEmpty = (mailbox: MailboxMirror): Promise<void> =>
    mailbox.checkpoint().catch((error: unknown) => {
      if (!signal.aborted) logger.warn({ err: error }, "dovecot-uidlist was not written");
    });
  const stateOf = async (record: MailboxRecord): Promise<MailboxState> => {
    const known = states?.get(record.id);
    known?.adopt({ signal, source: nobody, onRemoving });
    return (
      known ?? openMailboxState({ store, record, logger, signal, onRemoving, source: nobody, local: true })
    );
  };
  const recordOf = (name: EncodedMailboxName): MailboxRecord => {
    const record = findByName(store.mailboxes(), name);
    if (!record) throw noSuchMailbox();
    return record;
  };
  const listing = (): Listing => keptListing(store) ?? firstListing;
  const commitNames = async (next: Listing): Promise<void> => {
    for (const record of commitListing(store, next)) {
      const mailbox = await mirrors.get(record.id)?.catch(() => undefined);
      const drop = async (): Promise<void> => {
        mirrors.delete(record.id);
        opened.delete(record.id);
        mailbox?.state.announceGone("Mailbox was deleted");
        await store.dropMailbox(record.id);
      };
      await (mailbox ? mailbox.state.exclusive(drop) : drop());
    }
    for (const record of store.mailboxes()) {
      if (record.uidValidity !== undefined) continue;
      begin(store, record);
      // A Dovecot beside us would give it another UIDVALIDITY.
      await (await open(recordOf(record.name))).checkpoint();
    }
  };
  const rename = async (renamed: readonly Renamed[]): Promise<void> => {
    store.writeSetting(renamingKey, JSON.stringify(renamed));
    await finishRename();
  };
  /** Brings a RENAME that was cut off to its end: a listing and mailboxes that do not agree would lose mail. */
  const finishRename = async (): Promise<void> => {
    const kept = store.readSetting(renamingKey) ?? "";
    if (kept === "") return;
    const renamed = JSON.parse(kept) as readonly Renamed[];
    for (const { from, to } of renamed) {
      const record = store.mailboxes().find((one) => one.name === from);
      if (record) await renameMailbox({ store, mirrors }, record, to);
    }
    await commitNames(withRenamed(listing(), renamed));
    store.writeSetting(renamingKey, "");
  };
  const all = (): Promise<readonly MailboxMirror[]> => Promise.all(store.mailboxes().map(open));

  listRebuilt(store);
  dropForeignNames(store);
  dropAbsent(store);
  await finishRename();
  await finishTransfer(store, open);
  // A CREATE or DELETE that was cut off has told the listing first.
  if (keptListing(store)) await commitNames(listing());

  return {
    store,
    maildrop: undefined,
    held: nothingHeld,
    asOne: (work) => work(),
    authority: createLocalAuthority({
      store,
      listing,
      commitNames,
      mailbox: async (name) => open(recordOf(name)),
      rename,
      finishRename,
    }),
    listing: async () => withParents(listing()),
    learnNames: () => undefined,
    mailbox: async (name, waiting) => {
      const mailbox = await open(recordOf(name));
      await mailbox.sync(waiting).catch((error: unknown) => {
        if (!isUnavailable(error)) throw error;
        logger.warn({ err: error, mailbox: name }, "new mail has to wait");
      });
      return mailbox;
    },
    legacyStatus: async () => undefined,
    opened: () => [...opened.values()],
    all,
    get isWholeOpen() {
      return store.mailboxes().every((record) => opened.has(record.id));
    },
    pull: async () => ({ kind: "complete" }),
    wake: () => sweep?.wake(open),
    wakeIfBehind: () => sweep?.wake(open),
    outcome: { kind: "complete" },
    busy: false,
    async retire() {
      closing.abort(new MailError("UNAVAILABLE", "the account has another home now"));
      await sweep?.close();
    },
    async close() {
      closing.abort(new MailError("UNAVAILABLE", "the account is being closed"));
      try {
        await sweep?.close();
        const ends = [...opened.values()].map((mailbox) => mailbox.checkpoint());
        for (const end of await Promise.allSettled(ends)) {
          if (end.status === "rejected") logger.error({ err: end.reason }, "not all could be written");
        }
      } finally {
        await store.close();
      }
    },
  };
}

const renamingKey = "renaming";

/** Mailboxes of other users and shared ones are those of a legacy server, which is asked no more. */
function dropForeignNames(store: AccountStore): void {
  const kept = keptListing(store);
  if (!kept) return;
  const isOwn = (entry: ListedName): boolean => isPulled({ ...entry, attributes: [] }, kept.namespaces);
  const mailboxes = kept.mailboxes.filter(isOwn);
  const subscriptions = kept.subscriptions.filter(isOwn);
  if (mailboxes.length + subscriptions.length === kept.mailboxes.length + kept.subscriptions.length) return;
  commitListing(store, { ...kept, mailboxes, subscriptions });
}

/** Makes the account's INBOX, in a store that has none. */
export function beginLocalAccount(store: AccountStore): void {
  commitListing(store, firstListing);
  for (const record of store.mailboxes()) if (record.uidValidity === undefined) begin(store, record);
}

function begin(store: AccountStore, record: MailboxRecord): void {
  store.saveMailbox({
    ...record,
    uidValidity: store.nextUidValidity(),
    uidNext: uid(1),
    flags: systemFlags,
    permanentFlags: localPermanentFlags,
  });
}

/** Nobody is asked any more. */
const nobody: ImapSource = {
  use: async () => Promise.reject(new MailError("CANNOT", "the account is local")),
  useMailbox: async () => Promise.reject(new MailError("CANNOT", "the account is local")),
  isCrowded: false,
  isShared: () => false,
  shareMailbox: async () => Promise.reject(new MailError("CANNOT", "the account is local")),
  trouble: () => undefined,
  close: async () => undefined,
};

function localMailbox(state: MailboxState, signal: AbortSignal): MailboxMirror {
  const { store } = state;
  const look = singleFlight(() => takeDropped(state));
  const watch = watchWhileWanted((ended) => watchDropped(state, look, ended), signal);
  const sync = async (waiting: AbortSignal): Promise<void> => void (await waitWith(look(), waiting));
  return {
    state,
    quarantine: new Map(),
    retryNow: () => undefined,
    headers: async () => undefined,
    structures: async () => undefined,
    subscribe: (listener) => state.subscribe(listener),
    sync,
    select: sync,
    publish: (_, waiting) => sync(waiting),
    watch: () => watch.start(),
    flags: async () => undefined,
    metadata: async () => undefined,
    changedSince: async () => undefined,
    expungedSince: (since, uids) => expungedSince(state, since, uids),
    prefetch: () => undefined,
    async content(wanted) {
      const message = state.table.get(wanted);
      if (message?.presence !== "full") return undefined;
      try {
        return store.openMessage(state.record, message);
      } catch (error) {
        if (!(error instanceof MessageLost)) throw error;
        await state.exclusive(() => dropLost(store, state, [wanted]));
        return undefined;
      }
    },
    search: async () => [],
    sort: async () => undefined,
    thread: async () => undefined,
    pullTurn: async () => "done",
    isBehind: () => false,
    checkpoint: () => state.exclusive(() => store.checkpoint(state.record, state.table)),
  };
}
