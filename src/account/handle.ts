/**
 * One session's hold on an account, from login to logout.
 */
import { isNonexistent, isUnavailable, MailError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { asListed } from "../mail/below-inbox.ts";
import { type EncodedMailboxName, uid } from "../mail/ids.ts";
import type { NameChange } from "../mail/name-change.ts";
import { keptListing } from "../migration/listing.ts";
import { doubtsOf } from "../migration/mailbox-doubts.ts";
import { type LookOptions, type MailboxMirror, noSuchMailbox } from "../migration/mailbox-mirror.ts";
import type { LegacyStatus, Mirror } from "../migration/mirror.ts";
import { waitWith } from "../waiting.ts";
import type { AccountHandle, MailboxStatus, OpenMailbox, OpenOptions, StatusOptions } from "./account.ts";
import { clientFirstMs, soon } from "./client-first.ts";
import { watchInbox } from "./inbox-watch.ts";
import { type MaildropLock, openMaildrop, type Pop3Options } from "./maildrop.ts";
import { createOpenMailbox } from "./open-mailbox.ts";
import { lookAt, type Patience } from "./patience.ts";
import type { RecentLedger } from "./recent.ts";

export interface HandleOptions {
  readonly user: string;
  readonly mirror: Mirror;
  readonly recentLedger: RecentLedger;
  /** Of the account's sessions. */
  readonly patience: Patience;
  readonly maildropLock: MaildropLock;
  readonly pop3: Pop3Options;
  readonly logger: Logger;
  readonly onRelease: () => void;
  readonly ended: () => string | undefined;
}

export function createHandle({
  user,
  mirror,
  recentLedger,
  patience,
  maildropLock,
  pop3,
  logger,
  onRelease,
  ended,
}: HandleOptions): AccountHandle {
  const open = new Set<OpenMailbox>();
  /** Mailboxes that this session has opened before. */
  const visited = new Set<EncodedMailboxName>();
  let endAside: (() => void) | undefined;
  let released = false;
  /** What a session is good for besides its own questions. */
  const beginAside = (): (() => void) => {
    mirror.learnNames();
    return watchInbox(mirror, logger);
  };
  /** As last seen where the legacy server takes its time. */
  const listing = async (signal: AbortSignal): Promise<Listing> => {
    if (!keptListing(mirror.store)) return mirror.listing(signal);
    try {
      return await patience.wait("names", () => mirror.listing(signal), signal);
    } catch (error) {
      const kept = keptListing(mirror.store);
      if (!isUnavailable(error) || !kept) throw error;
      return kept;
    }
  };
  /** Who writes INBOX/Sub means the Inbox/Sub that is listed. */
  const spelled = (name: EncodedMailboxName): EncodedMailboxName =>
    asListed(keptListing(mirror.store)?.mailboxes ?? [], name);
  const spelledChange = (change: NameChange): NameChange => {
    const name = spelled(change.name);
    return change.kind === "RENAME" ? { ...change, name, to: spelled(change.to) } : { ...change, name };
  };
  return {
    user,
    ended,
    namespaces: async (signal) => (await listing(signal)).namespaces,
    mailboxes: async (signal) => (await listing(signal)).mailboxes,
    subscriptions: async (signal) => (await listing(signal)).subscriptions,
    receive: async (sizeBytes) => mirror.store.receive(sizeBytes),
    append: (target, message, signal) => waitWith(mirror.authority.append(spelled(target), message), signal),
    changeName: (change, signal) => waitWith(mirror.authority.changeName(spelledChange(change)), signal),
    status: (name, options, signal) =>
      mailboxStatus({ mirror, patience, recentLedger, name: spelled(name), signal, ...options }),
    async open(written, options, signal) {
      const name = spelled(written);
      const mailbox = await mirror.mailbox(name, signal);
      // Where it comes back the legacy server is asked in any case: by what it is told now it decides what to load.
      await syncOrServeKept(mailbox, patience, { ...options, lately: visited.has(name) }, signal);
      visited.add(name);
      // Deleted meanwhile: who opens it now would not be told.
      if (mailbox.state.isGone) throw noSuchMailbox();
      const opened: OpenMailbox = createOpenMailbox({
        ...options,
        mirror: mailbox,
        authority: mirror.authority,
        spelled,
        patience,
        recentLedger,
        logger,
        lookForNames: async (waiting) => void (await mirror.listing(waiting)),
        onClose: () => open.delete(opened),
      });
      open.add(opened);
      if (!released) endAside ??= soon(clientFirstMs, beginAside);
      mirror.wakeIfBehind();
      return opened;
    },
    async maildrop(signal) {
      const opened = await openMaildrop({ ...pop3, mirror, lock: maildropLock, signal });
      mirror.wakeIfBehind();
      return opened;
    },
    release() {
      if (released) return;
      released = true;
      for (const mailbox of open) mailbox.close();
      endAside?.();
      onRelease();
    },
  };
}

/** While the legacy server is away, or takes its time, a mailbox that was listed whole is served as it was. */
async function syncOrServeKept(
  mailbox: MailboxMirror,
  patience: Patience,
  { examine, ...options }: Pick<OpenOptions, "examine"> & LookOptions,
  signal: AbortSignal,
): Promise<void> {
  const { modSeqs = false, lately = false, onFirstLook } = options;
  const { listed, isLocal, record } = mailbox.state;
  const look = (): Promise<void> =>
    mailbox[examine ? "sync" : "select"](signal, { modSeqs, lately, onFirstLook });
  try {
    await (listed && !isLocal ? patience.wait(lookAt(record.name), look, signal) : look());
  } catch (error) {
    if (!mailbox.state.listed || !(isUnavailable(error) || isLeftOut(mailbox, error))) throw error;
  }
}

/** The old server does not know of it at the moment, and it is kept here. */
function isLeftOut({ state }: MailboxMirror, error: unknown): boolean {
  return isNonexistent(error) && doubtsOf(state).isServed;
}

type Listing = Awaited<ReturnType<Mirror["listing"]>>;

interface StatusQuestion extends StatusOptions {
  readonly mirror: Mirror;
  readonly patience: Patience;
  readonly recentLedger: RecentLedger;
  readonly name: EncodedMailboxName;
  readonly signal: AbortSignal;
}

async function mailboxStatus(question: StatusQuestion): Promise<MailboxStatus> {
  const { mirror, patience, recentLedger, name, signal, modSeqs } = question;
  const open = mirror.opened().find(({ state }) => state.record.name === name && state.source.isShared(name));
  if (open) {
    await syncOrServeKept(open, patience, { examine: true, modSeqs }, signal);
    if (open.state.table.remoteCount === 0)
      return { ...statusHere(open), recent: recentLedger.count(open.state) };
  }
  const legacy = await legacyStatus(question).catch((error: unknown) => {
    const left = mirror.opened().find(({ state }) => state.record.name === name);
    if (!left?.state.listed || !isLeftOut(left, error)) throw error;
    return undefined;
  });
  const known = mirror.opened().find((mailbox) => mailbox.state.record.name === name);
  const recent = known?.state.listed ? recentLedger.count(known.state) : 0;
  const lacksModSeq = modSeqs && (legacy?.highestModSeq === undefined || known?.state.countsModSeqs === true);
  if (isWholeStatus(legacy) && !lacksModSeq) {
    return {
      messages: legacy.messages,
      recent,
      uidNext: uid(Math.max(legacy.uidNext, sameValidity(known, legacy.uidValidity)?.record.uidNext ?? 0)),
      uidValidity: legacy.uidValidity,
      unseen: legacy.unseen ?? 0,
      highestModSeq: legacy.highestModSeq,
    };
  }
  const mailbox = await mirror.mailbox(name, signal);
  if (legacy) await syncOrServeKept(mailbox, patience, { examine: true, modSeqs }, signal);
  return { ...statusHere(mailbox), recent: recentLedger.count(mailbox.state) };
}

/** undefined where it is away, and where it takes its time and can be done without. */
async function legacyStatus({
  mirror,
  patience,
  name,
  signal,
}: StatusQuestion): Promise<LegacyStatus | undefined> {
  let asked: Promise<LegacyStatus | undefined> | undefined;
  const ask = (): Promise<LegacyStatus | undefined> => {
    asked ??= mirror.legacyStatus(name, signal);
    return asked;
  };
  if (!mirror.store.mailboxes().some((record) => record.name === name)) return ask();
  try {
    return await patience.wait(`status ${name}`, ask, signal);
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    const { state } = await mirror.mailbox(name, signal);
    return state.listed ? undefined : ask();
  }
}

type WholeStatus = LegacyStatus & Pick<MailboxStatus, "messages" | "uidNext" | "uidValidity">;

function isWholeStatus(status: LegacyStatus | undefined): status is WholeStatus {
  return status?.uidValidity !== undefined && status.uidNext !== undefined && status.messages !== undefined;
}

function sameValidity(
  mailbox: MailboxMirror | undefined,
  validity: number,
): MailboxMirror["state"] | undefined {
  return mailbox?.state.record.uidValidity === validity ? mailbox.state : undefined;
}

/** The answer from what is here; throws UNAVAILABLE where that is not a whole listing. */
function statusHere({ state }: MailboxMirror): Omit<MailboxStatus, "recent"> {
  const { uidValidity, uidNext, highestModSeq } = state.record;
  if (!state.listed || uidValidity === undefined) {
    throw new MailError("UNAVAILABLE", "The mail server behind is not available");
  }
  return {
    messages: state.table.uids.length,
    uidNext,
    uidValidity,
    unseen: state.table.unseenCount,
    highestModSeq: highestModSeq === 0n ? undefined : highestModSeq,
  };
}
