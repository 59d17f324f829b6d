/**
 * All UIDs of the mailbox that is selected, held against EXISTS. Servers are seen whose SEARCH is capped or cut, and
 * which hand out one UID twice: where the count differs it is listed by other ways, by UID and by sequence number.
 */
import type { Uid } from "../mail/ids.ts";
import type { FetchAnswer } from "./fetch-answer.ts";
import type { ImapConnection } from "./imap-connection.ts";
import type { NewsGatherer } from "./mailbox-news.ts";
import { searchAll } from "./uid-search.ts";

export interface WholeListing {
  /** Ascending. */
  readonly uids: readonly Uid[];
  /** Why that is not all, for people; undefined where it is. */
  readonly gap: string | undefined;
}

type Counted = Pick<NewsGatherer, "exists">;

/** For servers that answer with no more than so many messages. */
const numbersAtOnce = 500;
/** Mail may come and go meanwhile. */
const tries = 2;

/** Takes what SEARCH has given. */
export async function listWhole(
  connection: ImapConnection,
  news: Counted,
  searched: Awaited<ReturnType<typeof searchAll>>,
): Promise<WholeListing> {
  if (!searched.isCut && searched.uids.length === news.exists) return { uids: searched.uids, gap: undefined };
  const isAll = (uids: readonly Uid[]): boolean => uids.length === news.exists;
  const twice = new Set<Uid>();
  const all = new Set<Uid>();
  for (let left = tries; left > 0; left--) {
    await connection.run({ parts: ["NOOP"] });
    const again = await searchAll(connection);
    if (!again.isCut && isAll(again.uids)) return { uids: again.uids, gap: undefined };
    const fetched = await fetchUids(connection, "UID FETCH 1:*", twice);
    // Both ways agree that there are more than EXISTS says: none is left out.
    const isMore = fetched.length > (news.exists ?? 0) && isSame(fetched, again.uids);
    if (twice.size === 0 && (isAll(fetched) || isMore)) return { uids: fetched, gap: undefined };
    for (const uid of [...again.uids, ...fetched]) all.add(uid);
  }
  for (const uid of await fetchByNumber(connection, news.exists ?? 0, twice)) all.add(uid);
  const uids = [...all].sort((a, b) => a - b);
  return { uids, gap: isAll(uids) && twice.size === 0 ? undefined : gapOf(uids.length, news.exists, twice) };
}

/** Of one listing, where there is no other way. */
export function gapBelow(uids: readonly Uid[], exists: number | undefined): string | undefined {
  return uids.length < (exists ?? 0) ? gapOf(uids.length, exists, new Set()) : undefined;
}

function gapOf(listed: number, exists: number | undefined, twice: ReadonlySet<Uid>): string {
  const [first] = twice;
  if (first !== undefined)
    return `the old server has given two messages the UID ${first}: only one of them can be told from the other`;
  return `the old server says that there are ${exists} messages, and lists ${listed}`;
}

async function fetchByNumber(
  connection: ImapConnection,
  exists: number,
  twice: Set<Uid>,
): Promise<readonly Uid[]> {
  const found: Uid[] = [];
  const fetch = async (from: number, to: number): Promise<void> => {
    const uids = await fetchUids(connection, `FETCH ${from}:${to}`, twice);
    for (const uid of uids) found.push(uid);
    // It answers with fewer than that, too.
    if (uids.length === 0 || uids.length > to - from || from === to) return;
    const middle = Math.floor((from + to) / 2);
    await fetch(from, middle);
    await fetch(middle + 1, to);
  };
  for (let from = 1; from <= exists; from += numbersAtOnce)
    await fetch(from, Math.min(exists, from + numbersAtOnce - 1));
  return found;
}

/** Ascending; none where the server refuses. Notes which are given to several messages. */
async function fetchUids(
  connection: ImapConnection,
  command: string,
  twice: Set<Uid>,
): Promise<readonly Uid[]> {
  const found = new Map<Uid, number>();
  await connection.run({
    parts: [`${command} (UID)`],
    onUntagged(untagged) {
      if (untagged.kind !== "fetch") return false;
      const { answer, text } = untagged;
      const { uid } = answer;
      if (uid === undefined) return false;
      const number = Number.parseInt(text.slice(2), 10);
      if (isBare(answer) && (found.get(uid) ?? number) !== number) twice.add(uid);
      found.set(uid, number);
      return isBare(answer);
    },
  });
  return [...found.keys()].sort((a, b) => a - b);
}

/** Nothing but its UID: no answer to others, and no news. */
function isBare({ flags, sizeBytes, content, header, body, modSeq }: FetchAnswer): boolean {
  return [flags, sizeBytes, content, header, body, modSeq].every((item) => item === undefined);
}

/** UID of the last message, where UIDNEXT is not to be believed; undefined where the server does not tell it. */
export async function lastUid(connection: ImapConnection): Promise<Uid | undefined> {
  return (await fetchUids(connection, "FETCH *", new Set())).at(-1);
}

function isSame(a: readonly Uid[], b: readonly Uid[]): boolean {
  return a.length === b.length && a.every((uid, index) => uid === b[index]);
}
