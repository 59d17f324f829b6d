/**
 * The mailbox that a connection has selected, and what may be asked of it. There are servers that take a UID that
 * is not there for one nearby (a STORE then marks another message), and show a message as empty that another
 * session has changed since this one selected the mailbox (quirks.ts): they are asked for nothing but UIDs that
 * they list, and an empty message is none.
 */
import { MailError } from "../errors.ts";
import type { EncodedMailboxName, Uid } from "../mail/ids.ts";
import { type UidSet, uidSetOf } from "../mail/number-set.ts";
import { type ExamineOptions, examine } from "./examine.ts";
import type { FetchAnswer } from "./fetch-answer.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { streamedLiteral } from "./response-reader.ts";
import type { Examined } from "./source.ts";
import { type FetchRequest, uidFetch } from "./uid-fetch.ts";
import { uidSearch } from "./uid-search.ts";
import { contains } from "./uid-set.ts";

export interface SelectedMailbox {
  readonly connection: ImapConnection;
  /** As it was selected last. */
  readonly examined: Examined;
  /** Selects it once more. */
  again(): Promise<Examined>;
  /** The same in the middle of something: throws UNAVAILABLE where UIDs have come to name other messages. */
  refresh(): Promise<void>;
  /** All UIDs, ascending. */
  uids(): Promise<readonly Uid[]>;
  /** Of `uids` those that it lists. */
  listed(uids: UidSet): Promise<UidSet>;
  fetch(request: FetchRequest): Promise<void>;
}

export async function selectMailbox(
  connection: ImapConnection,
  name: EncodedMailboxName,
  options: ExamineOptions,
): Promise<SelectedMailbox> {
  const { guessesUids, frozenSessions } = connection.quirks;
  let listing: Promise<readonly Uid[]> | undefined;
  /** Such a session sees nothing but what is added: one listing holds until it selects again, and is asked with it. */
  const select = async (wanted: ExamineOptions): Promise<Examined> => {
    const selecting = examine(connection, name, wanted);
    if (frozenSessions) {
      listing = uidSearch(connection, ["ALL"]);
      listing.catch(() => undefined);
    }
    return selecting;
  };
  let examined = await select(options);
  const uids = async (): Promise<readonly Uid[]> => {
    if (examined.exists === 0) return [];
    return listing ?? uidSearch(connection, ["ALL"]);
  };
  const again = async (): Promise<Examined> => {
    // What follows a first look is none.
    examined = await select({ ...options, quick: false });
    return examined;
  };
  const refresh = async (): Promise<void> => {
    const { uidValidity } = examined;
    const { uidValidity: now, exists } = await again();
    if (now !== uidValidity && exists > 0) throw new MailError("UNAVAILABLE", "The mailbox has changed");
  };
  const listed = async (asked: UidSet): Promise<UidSet> =>
    uidSetOf((await uids()).filter((uid) => contains(asked, uid)));

  /** Tells which came as an empty shell. */
  const fetchListed = async (request: FetchRequest): Promise<ReadonlySet<Uid>> => {
    const empty = new Set<Uid>();
    const { onAnswer } = request;
    const wary: FetchRequest = {
      ...request,
      uids: await listed(request.uids),
      onAnswer(uid, answer) {
        if (!isEmptyShell(answer)) return onAnswer(uid, answer);
        empty.add(uid);
        return true;
      },
    };
    await uidFetch(connection, wary).catch(asPassing);
    return empty;
  };

  return {
    connection,
    get examined() {
      return examined;
    },
    again,
    refresh,
    uids,
    listed,
    async fetch(request) {
      if (!guessesUids && !frozenSessions) return uidFetch(connection, request);
      const empty = await fetchListed(request);
      if (empty.size === 0) return;
      // Another session has changed them: this one is to see it. What is empty then is not answered.
      await refresh();
      await fetchListed({ ...request, uids: uidSetOf(empty) });
    },
  };
}

/** Leaves the mailbox, where a session that stays would hold on to what it saw, and would write it down late. */
export async function leaveMailbox(connection: ImapConnection): Promise<void> {
  if (!connection.quirks.frozenSessions || connection.isClosed || !connection.capabilities.has("UNSELECT"))
    return;
  connection.selected = undefined;
  // Where that fails the connection is closed, and with it the mailbox.
  await connection.run({ parts: ["UNSELECT"] }).catch(() => undefined);
}

function isEmptyShell({ sizeBytes, content, header, bodyStructure }: FetchAnswer): boolean {
  return (
    sizeBytes === 0 ||
    (content?.length === 0 && content !== streamedLiteral) ||
    header?.length === 0 ||
    bodyStructure?.toString("latin1") === "()"
  );
}

/** A set of what it listed a moment ago is refused where the mailbox has been selected anew in between. */
function asPassing(error: unknown): never {
  if (!(error instanceof MailError) || error.code !== "CANNOT") throw error;
  throw new MailError("UNAVAILABLE", error.message, error);
}
