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
import { readListing } from "./listing.ts";
import type { Examined, ImapLease, MailboxLease } from "./source.ts";
import { uidSort, uidThread } from "./uid-arrange.ts";
import { fetchContents, uidFetch } from "./uid-fetch.ts";
import { uidSearch } from "./uid-search.ts";
import { vanishedSince } from "./vanished.ts";

export function createLease(connection: ImapConnection): ImapLease {
  return {
    capabilities: connection.capabilities,
    append: (target, message) => appendMessage(connection, target, message),
    changeName: (change) => changeName(connection, change),
    listing: () => readListing(connection),
    status: (name) => readStatus(connection, name),
  };
}

/** Selects the mailbox first. */
export async function createMailboxLease(
  connection: ImapConnection,
  name: EncodedMailboxName,
  options: ExamineOptions = {},
): Promise<MailboxLease> {
  const examined = await examine(connection, name, options);
  let current = examined;
  return {
    ...createLease(connection),
    ...mailboxChanges(connection, examined),
    examined,
    idle: (until) => idle(connection, until),
    async examineAgain() {
      current = await examine(connection, name, options);
      return current;
    },
    listUids: async () => (current.exists === 0 ? [] : await uidSearch(connection, ["ALL"])),
    async search(criteria, charset) {
      return uidSearch(connection, [charsetPart(charset), ...criteriaParts(criteria)]);
    },
    sort: (keys, uids) => uidSort(connection, keys, uids),
    thread: (algorithm, uids) => uidThread(connection, algorithm, uids),
    vanishedSince: (uids, since) => vanishedSince(connection, uids, since),
    fetchBodies: (uids, sink) => fetchContents(connection, uids, sink),
    ...metadataFetches(connection, examined),
    ...textFetches(connection),
  };
}

/** RFC 2978 names only, since it goes out as it is. */
function charsetPart(charset: string | undefined): CommandPart {
  return charset !== undefined && /^[\w.:+-]{1,40}$/.test(charset) ? `CHARSET ${charset} ` : "";
}

function metadataFetches(
  connection: ImapConnection,
  { highestModSeq }: Examined,
): Pick<MailboxLease, "fetchMeta" | "fetchFlags"> {
  const modSeqItem = highestModSeq === undefined ? "" : " MODSEQ";
  const emailIdItem = itemForEmailId(connection.capabilities);
  const since = (changedSince: ModSeq | undefined): string =>
    changedSince === undefined ? "" : ` (CHANGEDSINCE ${changedSince})`;
  return {
    fetchMeta: (uids, onMeta, changedSince) =>
      uidFetch(connection, {
        uids,
        items: `(UID FLAGS INTERNALDATE RFC822.SIZE${modSeqItem}${emailIdItem})${since(changedSince)}`,
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
      uidFetch(connection, {
        uids,
        items: `(UID FLAGS${modSeqItem})${since(changedSince)}`,
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

function textFetches(connection: ImapConnection): Pick<MailboxLease, "fetchHeaders" | "fetchStructures"> {
  return {
    fetchHeaders: (uids, onHeader) =>
      uidFetch(connection, {
        uids,
        items: "(UID BODY.PEEK[HEADER])",
        onAnswer(uid, { header }) {
          if (header === undefined) return false;
          if (header !== null) onHeader(uid, header);
          return true;
        },
      }),
    fetchStructures: (uids, onStructure) =>
      uidFetch(connection, {
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
