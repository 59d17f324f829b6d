/**
 * An old server that gives its messages other UIDLs: most of what was known has left, and the same mail is there under
 * names that are new. Where it does so each time nothing can be kept apart by them; where it did so once, the new
 * names are taken over.
 */
import { MailError } from "../errors.ts";
import type { Pop3Session } from "../legacy/pop3-client.ts";
import type { MaildropEntry } from "../store/maildrop-table.ts";
import type { MailboxMirror } from "./mailbox-mirror.ts";
import { headerHere, headerThere } from "./match-maildrop.ts";
import { chunks } from "./pull-meta.ts";
import { groups, type Pop3Side } from "./uidl-match.ts";
import { breathe } from "./waiting.ts";

export interface UidlWatch {
  /**
   * The entries that left and have only got another name, each with it. Throws UidlsDoNotLast while that may happen
   * again: until a second look finds the new names as they were, and has the time to compare all of them.
   */
  renamed(session: Pop3Session, change: ListedChange, maxQuestions: number): Promise<readonly RenamedEntry[]>;
}

export interface ListedChange {
  readonly left: readonly MaildropEntry[];
  readonly kept: readonly MaildropEntry[];
  readonly listing: readonly Pop3Side[];
}

export interface RenamedEntry {
  readonly entry: MaildropEntry;
  readonly as: Pop3Side;
}

/** Nothing can be kept apart by them: each look would bring all mail once more. */
export class UidlsDoNotLast extends MailError {
  constructor() {
    super("CANNOT", "The old POP3 server gives its messages other UIDLs each time");
  }
}

/** So many messages tell whether it is the same mail. */
const samples = 5;
const readsPerTurn = 50;
/** Sent ahead where the server bears it. */
const questionsAtOnce = 20;
/** The same by chance is less. */
const mostOf = 0.8;

export function createUidlWatch(inbox: MailboxMirror, signal: AbortSignal): UidlWatch {
  /** The new names that the last look found. */
  let found: ReadonlySet<string> = new Set();

  /** By size and header. */
  const entriesByPrint = async (
    entries: readonly MaildropEntry[],
    sizes: ReadonlySet<number>,
  ): Promise<Map<string, MaildropEntry[]>> => {
    const printed: { readonly entry: MaildropEntry; readonly key: string }[] = [];
    const candidates = entries.filter(({ sizeBytes }) => sizes.has(sizeBytes));
    for (const [index, entry] of candidates.entries()) {
      if (index % readsPerTurn === 0) await breathe();
      signal.throwIfAborted();
      const print = entry.message && (await headerHere(inbox, entry.message.uid, signal));
      if (print !== undefined) printed.push({ entry, key: `${entry.sizeBytes} ${print}` });
    }
    const byPrint = groups(printed, ({ key }) => key);
    return new Map([...byPrint].map(([key, same]) => [key, same.map(({ entry }) => entry)]));
  };
  const pair = async (
    session: Pop3Session,
    left: readonly MaildropEntry[],
    news: readonly Pop3Side[],
  ): Promise<readonly RenamedEntry[]> => {
    const byPrint = await entriesByPrint(left, new Set(news.map(({ sizeBytes }) => sizeBytes)));
    const renamed: RenamedEntry[] = [];
    for (const part of chunks(news, questionsAtOnce)) {
      signal.throwIfAborted();
      const prints = await Promise.all(part.map(({ number }) => headerThere(session, number)));
      for (const [index, as] of part.entries()) {
        const entry = byPrint.get(`${as.sizeBytes} ${prints[index]}`)?.shift();
        if (entry) renamed.push({ entry, as });
      }
    }
    return renamed;
  };
  return {
    async renamed(session, change, maxQuestions) {
      const news = newNames(change);
      if (!haveOtherNames(change, news)) return [];
      const sizes = new Set(change.left.map(({ sizeBytes }) => sizeBytes));
      const sample = news.filter(({ sizeBytes }) => sizes.has(sizeBytes)).slice(0, samples);
      const same = await pair(session, change.left, sample);
      if (same.length <= sample.length / 2) return [];
      const isLasting = news.filter(({ uidl }) => found.has(uidl)).length >= news.length * mostOf;
      found = new Set(news.map(({ uidl }) => uidl));
      if (!isLasting || news.length > maxQuestions) throw new UidlsDoNotLast();
      return pair(session, change.left, news);
    },
  };
}

function newNames({ kept, listing }: ListedChange): readonly Pop3Side[] {
  const known = new Set<string>(kept.map(({ uidl }) => uidl));
  return listing.filter(({ uidl }) => !known.has(uidl));
}

/** Most of what is kept has left, and as many unknown messages of the same sizes have come. */
function haveOtherNames({ left, kept }: ListedChange, news: readonly Pop3Side[]): boolean {
  if (left.length < 3 || left.length <= kept.length / 2) return false;
  const sizes = new Map<number, number>();
  for (const { sizeBytes } of news) sizes.set(sizeBytes, (sizes.get(sizeBytes) ?? 0) + 1);
  let same = 0;
  for (const { sizeBytes } of left) {
    const count = sizes.get(sizeBytes) ?? 0;
    if (count > 0) same++;
    sizes.set(sizeBytes, count - 1);
  }
  return same >= left.length * mostOf;
}
