/**
 * The mailbox that a connection has selected, and what may be asked of it. It stays selected: what the server tells
 * of it is gathered (mailbox-news.ts), and nothing is selected again to learn that.
 *
 * There are servers that take a UID that is not there for one nearby (a STORE then marks another message), and show
 * a message as empty that another session has changed since this one selected the mailbox (quirks.ts): they are
 * asked for nothing but UIDs that they list, an empty message is none, and each who uses the mailbox selects it anew.
 */
import { MailError } from "../errors.ts";
import type { EncodedMailboxName, Uid } from "../mail/ids.ts";
import { type UidSet, uidSetOf } from "../mail/number-set.ts";
import { type ExamineOptions, examine, offersModSeqs, readStatus } from "./examine.ts";
import type { FetchAnswer } from "./fetch-answer.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { createNewsGatherer, type NewsGatherer } from "./mailbox-news.ts";
import { streamedLiteral } from "./response-reader.ts";
import type { Examined } from "./source.ts";
import { type FetchRequest, uidFetch } from "./uid-fetch.ts";
import { type SearchedUids, searchAll } from "./uid-search.ts";
import { contains } from "./uid-set.ts";
import { gapBelow, lastUid, listWhole } from "./whole-listing.ts";

export interface SelectedMailbox {
  readonly connection: ImapConnection;
  readonly name: EncodedMailboxName;
  /** As it was selected last. */
  readonly examined: Examined;
  readonly isReadWrite: boolean;
  readonly news: NewsGatherer;
  /** Selects it once more. */
  again(options?: ExamineOptions): Promise<Examined>;
  /** What selecting it again would tell; without that where the server can. */
  look(): Promise<Examined>;
  /** The same in the middle of something: throws UNAVAILABLE where UIDs have come to name other messages. */
  refresh(): Promise<void>;
  /** All UIDs, ascending. */
  uids(): Promise<readonly Uid[]>;
  /** Why the last listing was not all, for people. */
  readonly listingGap: string | undefined;
  /** UID of the last message; undefined where it is not told. */
  lastUid(): Promise<Uid | undefined>;
  /** Of `uids` those that it lists. */
  listed(uids: UidSet): Promise<UidSet>;
  /** Of `uids` those that it knows by their UIDs. */
  known(uids: UidSet): Promise<readonly Uid[]>;
  fetch(request: FetchRequest): Promise<void>;
}

/** Each connection's, for who takes it next. */
const selections = new WeakMap<ImapConnection, SelectedMailbox>();
/** Those who share a connection select one after the other: there is one selection, which hears of everything. */
const selecting = new WeakMap<ImapConnection, Promise<unknown>>();

export interface SelectOptions extends ExamineOptions {
  /** Also where the connection has it selected already. */
  readonly anew?: boolean;
}

interface Selection {
  readonly mailbox: SelectedMailbox;
  readonly isNew: boolean;
}

/** The mailbox as the connection has it, where it has it as it is wanted; otherwise it is selected. */
export function selectMailbox(
  connection: ImapConnection,
  name: EncodedMailboxName,
  options: SelectOptions,
): Promise<Selection> {
  const before = selecting.get(connection) ?? Promise.resolve();
  const selection = before.then(() => selectInTurn(connection, name, options));
  selecting.set(
    connection,
    selection.catch(() => undefined),
  );
  return selection;
}

async function selectInTurn(
  connection: ImapConnection,
  name: EncodedMailboxName,
  options: SelectOptions,
): Promise<Selection> {
  const held = selections.get(connection);
  if (held?.name === name) {
    const isWritable = options.write !== true || held.isReadWrite;
    if (connection.selected === name && options.anew !== true && isWritable)
      return { mailbox: held, isNew: false };
    // Never a second one beside it: whoever holds it would hear of nothing any more.
    await held.again(options);
    return { mailbox: held, isNew: true };
  }
  const mailbox = await select(connection, name, options);
  selections.set(connection, mailbox);
  return { mailbox, isNew: true };
}

async function select(
  connection: ImapConnection,
  name: EncodedMailboxName,
  firstOptions: ExamineOptions,
): Promise<SelectedMailbox> {
  const { guessesUids, frozenSessions } = connection.quirks;
  const news = createNewsGatherer();
  let options = firstOptions;
  let listing: Promise<SearchedUids> | undefined;
  let listingGap: string | undefined;
  /** Such a session sees nothing but what is added: one listing holds until it selects again, and is asked with it. */
  const selectNow = async (): Promise<Examined> => {
    connection.onUnasked = (untagged) => news.note(untagged);
    const selecting = examine(connection, name, {
      ...options,
      onSelected: (exists, hasModSeqs) => news.restart(exists, hasModSeqs),
    });
    if (frozenSessions) {
      listing = searchAll(connection);
      listing.catch(() => undefined);
    }
    return selecting;
  };
  let examined = await selectNow();
  const uids = async (): Promise<readonly Uid[]> => {
    listingGap = undefined;
    if (news.exists === 0) return [];
    const searched = await (listing ?? searchAll(connection));
    news.noteListed(searched.uids.length);
    const whole = frozenSessions
      ? { uids: searched.uids, gap: gapBelow(searched.uids, news.exists) }
      : await listWhole(connection, news, searched);
    listingGap = whole.gap;
    return whole.uids;
  };
  const again = async (others?: ExamineOptions): Promise<Examined> => {
    options = { write: options.write === true || others?.write === true };
    // Refused, it leaves nothing selected: whoever shares it would hear of nothing any more.
    examined = await selectNow().catch((error: unknown) => {
      connection.destroy(error);
      throw error;
    });
    return examined;
  };
  const look = async (): Promise<Examined> => {
    if (frozenSessions) return again();
    // NOOP behind STATUS: whatever the numbers of STATUS are about, this session has seen it then.
    const asked = offersModSeqs(connection) ? readStatus(connection, name) : undefined;
    asked?.catch(() => undefined);
    await connection.run({ parts: ["NOOP"] });
    const status = await asked;
    const isOther = status?.uidValidity !== undefined && status.uidValidity !== examined.uidValidity;
    const lacksModSeq = examined.highestModSeq !== undefined && status?.highestModSeq === undefined;
    if (isOther || lacksModSeq) return again();
    return {
      ...examined,
      exists: news.exists ?? status?.messages ?? (await uids()).length,
      uidNext: status?.uidNext ?? examined.uidNext,
      highestModSeq: examined.hasNoModSeqs ? undefined : status?.highestModSeq,
      firstUnseen: undefined,
      flags: news.flagNames ?? examined.flags,
    };
  };
  const refresh = async (): Promise<void> => {
    const { uidValidity } = examined;
    const { uidValidity: now, exists } = await again();
    if (now !== uidValidity && exists > 0) throw new MailError("UNAVAILABLE", "The mailbox has changed");
  };
  const listed = async (asked: UidSet): Promise<UidSet> =>
    uidSetOf((await uids()).filter((uid) => contains(asked, uid)));

  const known = async (asked: UidSet): Promise<readonly Uid[]> => {
    if (guessesUids) return (await uids()).filter((uid) => contains(asked, uid));
    const there: Uid[] = [];
    const onAnswer = (uid: Uid): boolean => {
      there.push(uid);
      return true;
    };
    await uidFetch(connection, { uids: asked, items: "(UID)", onAnswer });
    return there;
  };

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
    name,
    news,
    get examined() {
      return examined;
    },
    get isReadWrite() {
      return options.write === true;
    },
    again,
    look,
    refresh,
    uids,
    get listingGap() {
      return listingGap;
    },
    lastUid: async () => (frozenSessions ? (await uids()).at(-1) : lastUid(connection)),
    listed,
    known,
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
  if (!connection.quirks.frozenSessions) return;
  selections.delete(connection);
  if (connection.isClosed || !connection.capabilities.has("UNSELECT")) return;
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
