/**
 * What can be asked of one connection while it is held (see source.ts). Calls may overlap: their commands
 * are pipelined, and each gets its own answers.
 */
import type { EncodedMailboxName, ModSeq, Uid } from "../mail/ids.ts";
import { noModSeq } from "../mail/mod-seq.ts";
import { uidSetOf } from "../mail/number-set.ts";
import { anyOf } from "../waiting.ts";
import { appendMessage, changeName, mailboxChanges } from "./change.ts";
import { type CommandPart, criteriaParts } from "./command-text.ts";
import { examine, readStatus } from "./examine.ts";
import { keepIdling } from "./idle.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { joinAnswers, type WholeMetadata } from "./join-answers.ts";
import { keptChanges } from "./kept-changes.ts";
import { readListing } from "./listing.ts";
import { expectFetched } from "./refusal.ts";
import { leaveMailbox, type SelectedMailbox, type SelectOptions, selectMailbox } from "./selected-mailbox.ts";
import type { ImapLease, LegacyStatus, MailboxLease } from "./source.ts";
import type { Turn } from "./turns.ts";
import { uidSort, uidThread } from "./uid-arrange.ts";
import { contentsRequest } from "./uid-fetch.ts";
import { uidSearch } from "./uid-search.ts";
import { splitUidSet } from "./uid-set.ts";
import { vanishedSince } from "./vanished.ts";

export function createLease(connection: ImapConnection): ImapLease {
  return {
    capabilities: connection.capabilities,
    append: (target, message) => appendMessage(connection, target, message),
    changeName: (change) => changeName(connection, change),
    listing: () => readListing(connection),
    status: (name) => statusOf(connection, name),
  };
}

/** Selects the mailbox first, where the connection does not have it selected. */
export async function createMailboxLease(
  connection: ImapConnection,
  name: EncodedMailboxName,
  options: SelectOptions = {},
  turn?: Turn,
): Promise<MailboxLease> {
  const { mailbox, isNew } = await selectMailbox(connection, name, options);
  const metadata = metadataFetches(mailbox);
  const changes = mailboxChanges(mailbox);
  const { frozenSessions, guessesUids, selectsForStatus } = connection.quirks;
  return {
    ...createLease(connection),
    ...(frozenSessions ? keptChanges(mailbox, changes, metadata.fetchFlags) : changes),
    async status(other) {
      const status = await statusOf(connection, other);
      if (selectsForStatus) await mailbox.again();
      return status;
    },
    isWanted: () => turn?.isWanted ?? false,
    get examined() {
      return mailbox.examined;
    },
    isNew,
    altersMail: frozenSessions,
    async ask() {
      await connection.run({ parts: ["NOOP"] });
    },
    told: mailbox.news,
    watch: (until, onNews) => watch(mailbox, until, onNews),
    look: () => mailbox.look(),
    examineAgain: () => mailbox.again(),
    listUids: () => mailbox.uids(),
    get listingGap() {
      return mailbox.listingGap;
    },
    lastUid: () => mailbox.lastUid(),
    listDeleted: () => uidSearch(connection, ["DELETED"]),
    async search(criteria, charset) {
      // They may name UIDs.
      if (guessesUids) return undefined;
      return uidSearch(connection, [charsetPart(charset), ...criteriaParts(criteria)]);
    },
    sort: (keys, uids) => uidSort(connection, keys, uids),
    thread: (algorithm, uids) => uidThread(connection, algorithm, uids),
    vanishedSince: (uids, since) => vanishedSince(connection, uids, since),
    async fetchBodies(uids, sink) {
      const nil: Uid[] = [];
      await mailbox.fetch(contentsRequest(uids, sink, (uid) => nil.push(uid)));
      if (nil.length > 0 && sink.nil) for (const uid of await stillThere(mailbox, nil)) sink.nil(uid);
      const doubt = sink.doubt?.();
      if (!doubt) return;
      // What is asked for again is asked for on another connection. A length that is wrong may have taken others'
      // answers along; where nothing is wrong but what it says, those who share it go on.
      if (doubt.isOfLength || !connection.isBusy) connection.destroy(doubt.fault);
      throw doubt.fault;
    },
    ...metadata,
    ...textFetches(mailbox),
  };
}

/** Dovecot tells NIL of a message that another session has removed, until this one has heard of it. */
async function stillThere(mailbox: SelectedMailbox, uids: readonly Uid[]): Promise<readonly Uid[]> {
  await mailbox.connection.run({ parts: ["NOOP"] });
  return mailbox.known(uidSetOf(uids));
}

/** Where STATUS is not to be believed, by selecting the mailbox and leaving it again. */
async function statusOf(connection: ImapConnection, name: EncodedMailboxName): Promise<LegacyStatus> {
  if (!connection.quirks.selectsForStatus) {
    if (connection.selected === name) await connection.run({ parts: ["NOOP"] });
    return readStatus(connection, name);
  }
  const { exists, uidNext, uidValidity } = await examine(connection, name);
  const unseen = exists === 0 ? [] : await uidSearch(connection, ["UNSEEN"]);
  await leaveMailbox(connection);
  return { messages: exists, uidNext, uidValidity, unseen: unseen.length, highestModSeq: undefined };
}

/** RFC 2978 names only, since it goes out as it is. */
function charsetPart(charset: string | undefined): CommandPart {
  return charset !== undefined && /^[\w.:+-]{1,40}$/.test(charset) ? `CHARSET ${charset} ` : "";
}

type MetadataFetches = Pick<MailboxLease, "fetchMeta" | "fetchPartly" | "fetchFlags" | "tellFlags">;

function metadataFetches(mailbox: SelectedMailbox): MetadataFetches {
  const { connection, news } = mailbox;
  // It may have been selected again, and not only for a quick look.
  const modSeqItem = (): string => (mailbox.examined.highestModSeq === undefined ? "" : " MODSEQ");
  const emailIdItem = itemForEmailId(connection.capabilities);
  const since = (changedSince: ModSeq | undefined): string =>
    changedSince === undefined ? "" : ` (CHANGEDSINCE ${changedSince})`;
  return {
    async fetchMeta(uids, onMeta, changedSince) {
      const answers = joinAnswers();
      const tell = (uid: Uid, whole: WholeMetadata): void => {
        const { flags, internalDate, sizeBytes, modSeq = noModSeq, emailId } = whole;
        const meta = { uid, flags, internalDate, sizeBytes, modSeq };
        onMeta(emailId === undefined ? meta : { ...meta, emailId });
      };
      await mailbox.fetch({
        uids,
        items: `(UID FLAGS INTERNALDATE RFC822.SIZE${modSeqItem()}${emailIdItem})${since(changedSince)}`,
        onAnswer(uid, part) {
          const whole = answers.take(uid, part);
          if (whole) tell(uid, whole);
          return whole !== undefined;
        },
      });
      for (const [uid, whole] of answers.rest()) tell(uid, whole);
    },
    fetchPartly: (uids, items, onPart) =>
      mailbox.fetch({
        uids,
        items: `(UID ${items.join(" ")}${items.includes("FLAGS") ? modSeqItem() : ""})`,
        onAnswer(uid, { flags, internalDate, sizeBytes, modSeq }) {
          onPart(uid, {
            ...(flags && { flags }),
            ...(internalDate && { internalDate }),
            ...(sizeBytes !== undefined && { sizeBytes }),
            ...(modSeq !== undefined && { modSeq }),
          });
          return true;
        },
      }),
    fetchFlags: (uids, onFlags, changedSince, { modSeqs } = { modSeqs: true }) =>
      mailbox.fetch({
        uids,
        items: `(UID FLAGS${modSeqs ? modSeqItem() : ""})${since(changedSince)}`,
        onFlags,
        onAnswer(uid, { flags, internalDate, modSeq }) {
          // With INTERNALDATE it answers a fetchMeta that is in flight as well.
          if (flags === undefined || internalDate !== undefined) return false;
          onFlags({ uid, flags, modSeq: modSeq ?? noModSeq });
          return true;
        },
      }),
    async tellFlags(messages) {
      const before = news.expungedEver;
      const items = `(UID FLAGS${modSeqItem()})`;
      const commands =
        "uids" in messages
          ? splitUidSet(messages.uids).map(({ wire }) => `UID FETCH ${wire} ${items}`)
          : splitUidSet(uidSetOf(messages.numbers as Uid[])).map(({ wire }) => `FETCH ${wire} ${items}`);
      const answers = await Promise.all(commands.map((command) => connection.run({ parts: [command] })));
      if ("uids" in messages) for (const tagged of answers) expectFetched(tagged);
      // A number that is too high by now is refused.
      return answers.every(({ status }) => status === "OK") && news.expungedEver === before;
    },
  };
}

/** Until `until`, in IDLE as far as nothing else is asked. */
async function watch(
  { connection, news }: SelectedMailbox,
  until: AbortSignal,
  onNews: () => Promise<void>,
): Promise<void> {
  const ended = new AbortController();
  const idling = keepIdling(connection, anyOf(until, ended.signal));
  idling.catch(() => undefined);
  try {
    while (!until.aborted) {
      if (news.hasNews) await onNews();
      else await Promise.race([idling, news.next(until)]);
      if (connection.isClosed) break;
    }
  } finally {
    ended.abort();
  }
  await idling;
}

/** RFC 8474; Gmail's extensions. */
function itemForEmailId(capabilities: ReadonlySet<string>): string {
  if (capabilities.has("OBJECTID")) return " EMAILID";
  return capabilities.has("X-GM-EXT-1") ? " X-GM-MSGID" : "";
}

function textFetches(mailbox: SelectedMailbox): Pick<MailboxLease, "fetchHeaders" | "fetchStructures"> {
  return {
    fetchHeaders: (uids, onHeader) =>
      mailbox.fetch({
        uids,
        items: "(UID BODY.PEEK[HEADER])",
        onAnswer(uid, { header }) {
          if (header === undefined) return false;
          if (header !== null) onHeader(uid, header);
          return true;
        },
      }),
    fetchStructures: (uids, onStructure) =>
      mailbox.fetch({
        uids,
        items: "(UID BODY BODYSTRUCTURE)",
        onAnswer(uid, { body, bodyStructure }) {
          if (!body || !bodyStructure) return false;
          onStructure(uid, { body, bodyStructure });
          return true;
        },
      }),
  };
}
