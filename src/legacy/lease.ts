/**
 * What can be asked of one connection while it is held (see source.ts). Calls may overlap: their commands
 * are pipelined, and each gets its own answers.
 */
import { noFlags } from "../mail/flags.ts";
import type { EncodedMailboxName, ModSeq } from "../mail/ids.ts";
import { noModSeq } from "../mail/mod-seq.ts";
import { appendMessage, changeName, mailboxChanges } from "./change.ts";
import { type CommandPart, criteriaParts } from "./command-text.ts";
import { type ExamineOptions, examine, readStatus } from "./examine.ts";
import { idle } from "./idle.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { keptChanges } from "./kept-changes.ts";
import { readListing } from "./listing.ts";
import { leaveMailbox, type SelectedMailbox, selectMailbox } from "./selected-mailbox.ts";
import type { ImapLease, LegacyStatus, MailboxLease } from "./source.ts";
import type { Turn } from "./turns.ts";
import { uidSort, uidThread } from "./uid-arrange.ts";
import { contentsRequest } from "./uid-fetch.ts";
import { uidSearch } from "./uid-search.ts";
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

/** Selects the mailbox first. */
export async function createMailboxLease(
  connection: ImapConnection,
  name: EncodedMailboxName,
  options: ExamineOptions = {},
  turn?: Turn,
): Promise<MailboxLease> {
  const mailbox = await selectMailbox(connection, name, options);
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
    examined: mailbox.examined,
    idle: (until) => idle(connection, until),
    examineAgain: () => mailbox.again(),
    listUids: () => mailbox.uids(),
    listDeleted: () => uidSearch(connection, ["DELETED"]),
    async search(criteria, charset) {
      // They may name UIDs.
      if (guessesUids) return undefined;
      return uidSearch(connection, [charsetPart(charset), ...criteriaParts(criteria)]);
    },
    sort: (keys, uids) => uidSort(connection, keys, uids),
    thread: (algorithm, uids) => uidThread(connection, algorithm, uids),
    vanishedSince: (uids, since) => vanishedSince(connection, uids, since),
    fetchBodies: (uids, sink) => mailbox.fetch(contentsRequest(uids, sink)),
    ...metadata,
    ...textFetches(mailbox),
  };
}

/** Where STATUS is not to be believed, by selecting the mailbox and leaving it again. */
async function statusOf(connection: ImapConnection, name: EncodedMailboxName): Promise<LegacyStatus> {
  if (!connection.quirks.selectsForStatus) return readStatus(connection, name);
  const { exists, uidNext, uidValidity } = await examine(connection, name);
  const unseen = exists === 0 ? [] : await uidSearch(connection, ["UNSEEN"]);
  await leaveMailbox(connection);
  return { messages: exists, uidNext, uidValidity, unseen: unseen.length, highestModSeq: undefined };
}

/** RFC 2978 names only, since it goes out as it is. */
function charsetPart(charset: string | undefined): CommandPart {
  return charset !== undefined && /^[\w.:+-]{1,40}$/.test(charset) ? `CHARSET ${charset} ` : "";
}

function metadataFetches(mailbox: SelectedMailbox): Pick<MailboxLease, "fetchMeta" | "fetchFlags"> {
  // It may have been selected again, and not only for a quick look.
  const modSeqItem = (): string => (mailbox.examined.highestModSeq === undefined ? "" : " MODSEQ");
  const emailIdItem = itemForEmailId(mailbox.connection.capabilities);
  const since = (changedSince: ModSeq | undefined): string =>
    changedSince === undefined ? "" : ` (CHANGEDSINCE ${changedSince})`;
  return {
    fetchMeta: (uids, onMeta, changedSince) =>
      mailbox.fetch({
        uids,
        items: `(UID FLAGS INTERNALDATE RFC822.SIZE${modSeqItem()}${emailIdItem})${since(changedSince)}`,
        onAnswer(uid, answer) {
          const { internalDate, sizeBytes, emailId } = answer;
          if (internalDate === undefined || sizeBytes === undefined) return false;
          const flags = answer.flags ?? noFlags;
          const meta = { uid, flags, internalDate, sizeBytes, modSeq: answer.modSeq ?? noModSeq };
          onMeta(emailId === undefined ? meta : { ...meta, emailId });
          return true;
        },
      }),
    fetchFlags: (uids, onFlags, changedSince) =>
      mailbox.fetch({
        uids,
        items: `(UID FLAGS${modSeqItem()})${since(changedSince)}`,
        onFlags,
        onAnswer(uid, { flags, internalDate, modSeq }) {
          // With INTERNALDATE it answers a fetchMeta that is in flight as well.
          if (flags === undefined || internalDate !== undefined) return false;
          onFlags({ uid, flags, modSeq: modSeq ?? noModSeq });
          return true;
        },
      }),
  };
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
