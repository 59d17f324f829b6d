/**
 * Which message of a POP3 maildrop is which IMAP message (a superset of Dovecot's pop3_migration). Pure: each way
 * takes what is not matched yet and gives pairs; what it cannot say for certain it leaves to the next one, which
 * costs more. A pair that is given is never taken back.
 *
 * 1. `matchByRecipe`: the server's UIDL is a function of UID and UIDVALIDITY; held against the live listing.
 * 2. `matchBySizeAndOrder`: from the first message on, as long as sizes tell neighbours apart.
 * 3. `matchByKey`: a hash of the header, or of the whole message; equal ones are told apart by their order.
 */
import type { MailboxId, Uid, Uidl, UidValidity } from "../mail/ids.ts";
import { parseUidlFormat, uidlPresets } from "../mail/uidl-format.ts";

export interface ImapSide {
  readonly mailbox: MailboxId;
  readonly uidValidity: UidValidity;
  readonly uid: Uid;
  readonly sizeBytes: number;
}

export interface Pop3Side {
  /** In the maildrop's order, from 1. */
  readonly number: number;
  readonly uidl: Uidl;
  readonly sizeBytes: number;
}

export interface Pair {
  readonly imap: ImapSide;
  readonly pop3: Pop3Side;
}

export interface Matching {
  readonly pairs: readonly Pair[];
  readonly imap: readonly ImapSide[];
  readonly pop3: readonly Pop3Side[];
}

/** Nothing is matched yet. Both sides in order: by UID, mailbox after mailbox, and by number. */
export function unmatched(imap: readonly ImapSide[], pop3: readonly Pop3Side[]): Matching {
  return { pairs: [], imap, pop3 };
}

/**
 * Tries each recipe. One is believed that explains every UIDL of the maildrop, each by one message; all of the
 * maildrop is matched then. Which one it was is told, for the messages to come.
 */
export function matchByRecipe(
  matching: Matching,
  recipes: readonly string[] = Object.values(uidlPresets),
): Matching & { readonly recipe: string | undefined } {
  for (const recipe of new Set(recipes)) {
    const pairs = pairsOfRecipe(matching, recipe);
    if (pairs) return { ...withPairs(matching, pairs), recipe };
  }
  return { ...matching, recipe: undefined };
}

function pairsOfRecipe({ imap, pop3 }: Matching, recipe: string): readonly Pair[] | undefined {
  const format = parseUidlFormat(recipe);
  if (!format || pop3.length === 0) return undefined;
  const byUidl = new Map<Uidl, ImapSide | "several">();
  for (const message of imap) {
    const uidl = format.of(message);
    if (uidl !== undefined) byUidl.set(uidl, byUidl.has(uidl) ? "several" : message);
  }
  const pairs: Pair[] = [];
  for (const message of pop3) {
    const found = byUidl.get(message.uidl);
    if (found === undefined || found === "several") return undefined;
    byUidl.set(message.uidl, "several");
    pairs.push({ imap: found, pop3: message });
  }
  return pairs;
}

/**
 * Walks both sides from their beginning while sizes agree; stops at the first that differ, and before two neighbours
 * of one size, of which nobody can say which is which.
 */
export function matchBySizeAndOrder(matching: Matching): Matching {
  const { imap, pop3 } = matching;
  const pairs: Pair[] = [];
  for (let at = 0; at < Math.min(imap.length, pop3.length); at++) {
    const [left, right] = [imap[at], pop3[at]];
    if (!left || !right || left.sizeBytes !== right.sizeBytes) break;
    if (pop3[at + 1]?.sizeBytes === right.sizeBytes || imap[at + 1]?.sizeBytes === left.sizeBytes) break;
    pairs.push({ imap: left, pop3: right });
  }
  return withPairs(matching, pairs);
}

/** What makes messages equal: the same for both sides; undefined where it is not known. */
export interface Keys {
  readonly ofImap: (message: ImapSide) => string | undefined;
  readonly ofPop3: (message: Pop3Side) => string | undefined;
}

/**
 * Pairs messages of one key. Where both sides have equally many of it, they are paired in their order; where they
 * have not, nobody can say which one is missing, and `mayBeUneven` decides whether order is believed all the same.
 */
export function matchByKey(matching: Matching, keys: Keys, mayBeUneven = false): Matching {
  const left = groups(matching.imap, keys.ofImap);
  const right = groups(matching.pop3, keys.ofPop3);
  const pairs: Pair[] = [];
  for (const [key, messages] of left) {
    const others = right.get(key) ?? [];
    if (messages.length !== others.length && !mayBeUneven) continue;
    for (let at = 0; at < Math.min(messages.length, others.length); at++) {
      const [imap, pop3] = [messages[at], others[at]];
      if (imap && pop3) pairs.push({ imap, pop3 });
    }
  }
  return withPairs(matching, pairs);
}

function groups<T>(messages: readonly T[], keyOf: (message: T) => string | undefined): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const message of messages) {
    const key = keyOf(message);
    if (key === undefined) continue;
    const group = found.get(key);
    if (group) group.push(message);
    else found.set(key, [message]);
  }
  return found;
}

function withPairs({ pairs, imap, pop3 }: Matching, added: readonly Pair[]): Matching {
  const [left, right] = [new Set(added.map((pair) => pair.imap)), new Set(added.map((pair) => pair.pop3))];
  return {
    pairs: [...pairs, ...added],
    imap: imap.filter((message) => !left.has(message)),
    pop3: pop3.filter((message) => !right.has(message)),
  };
}
