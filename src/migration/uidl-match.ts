/**
 * Which message of a POP3 maildrop is which IMAP message (a superset of Dovecot's pop3_migration). Pure: each way
 * takes what is not matched yet and gives pairs; what it cannot say for certain it leaves to the next one, which
 * costs more. A pair that is given is never taken back.
 *
 * 1. `matchByRecipe`: the server's UIDL is a function of UID and UIDVALIDITY; held against the live listing.
 * 2. `matchBySizeAndOrder`: both sides have the same sizes in the same order.
 * 3. `matchByKey`: a print of the header, or of the whole message.
 */
import type { MailboxId, Uid, Uidl, UidValidity } from "../mail/ids.ts";
import { parseUidlFormat, type UidlFormat, uidlPresets } from "../mail/uidl-format.ts";

export interface ImapSide {
  readonly mailbox: MailboxId;
  readonly uidValidity: UidValidity;
  readonly uid: Uid;
  /** undefined where it is not known yet. */
  readonly sizeBytes: number | undefined;
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
 * Tries each recipe. One is believed that explains every UIDL of the maildrop, each by one message; or some of them,
 * if it holds a UIDVALIDITY that nobody hits by chance. Which one it was is told, for the messages to come.
 */
export function matchByRecipe(
  matching: Matching,
  recipes: readonly string[] = Object.values(uidlPresets),
): Matching & { readonly recipe: string | undefined } {
  for (const recipe of new Set(recipes)) {
    const format = parseUidlFormat(recipe);
    if (!format || !isPlausible(format, matching)) continue;
    const pairs = pairsOfRecipe(matching, format);
    const isWhole = pairs.length === matching.pop3.length;
    if (pairs.length > 0 && (isWhole || isTelling(format, matching)))
      return { ...withPairs(matching, pairs), recipe };
  }
  return { ...matching, recipe: undefined };
}

/** A look at a few UIDLs: to make those of all messages takes its time. */
function isPlausible({ hasValidity }: UidlFormat, { imap, pop3 }: Matching): boolean {
  const step = Math.max(1, Math.floor(pop3.length / sampleSize));
  const samples = pop3.filter((_, index) => index % step === 0).map(({ uidl }) => uidl.toLowerCase());
  if (!hasValidity) return samples.some((text) => /^[0-9a-f]{1,10}$/.test(text));
  const validities = new Set(imap.map(({ uidValidity }) => uidValidity));
  const spellings = [...validities].flatMap((one) => [String(one), one.toString(16)]);
  return samples.some((text) => spellings.some((spelling) => text.includes(spelling)));
}

const sampleSize = 20;

/** The recipe was believed before: what it explains is taken. */
export function matchByKnownRecipe(matching: Matching, recipe: string): Matching {
  const format = parseUidlFormat(recipe);
  return format ? withPairs(matching, pairsOfRecipe(matching, format)) : matching;
}

function isTelling({ hasValidity }: UidlFormat, { imap }: Matching): boolean {
  return hasValidity && imap.every((message) => message.uidValidity >= 1_000_000);
}

function pairsOfRecipe({ imap, pop3 }: Matching, format: UidlFormat): readonly Pair[] {
  const byUidl = new Map<Uidl, ImapSide | "several">();
  for (const message of imap) {
    const uidl = format.of(message);
    if (uidl !== undefined) byUidl.set(uidl, byUidl.has(uidl) ? "several" : message);
  }
  const pairs: Pair[] = [];
  for (const message of pop3) {
    const found = byUidl.get(message.uidl);
    if (found === undefined || found === "several") continue;
    // A bare number may be anything.
    if (!format.hasValidity && found.sizeBytes !== message.sizeBytes) return [];
    byUidl.set(message.uidl, "several");
    pairs.push({ imap: found, pop3: message });
  }
  return pairs;
}

/**
 * Where one size differs nothing is said: a message that only one side has would shift all others. Those of one size
 * are left, since nobody can say which is which.
 */
export function matchBySizeAndOrder(matching: Matching): Matching {
  const { imap, pop3 } = matching;
  const isSame =
    imap.length === pop3.length && imap.every(({ sizeBytes }, at) => sizeBytes === pop3[at]?.sizeBytes);
  if (!isSame) return matching;
  const counts = new Map<number, number>();
  for (const { sizeBytes } of pop3) counts.set(sizeBytes, (counts.get(sizeBytes) ?? 0) + 1);
  const pairs = imap.flatMap((left, at): Pair[] => {
    const right = pop3[at];
    return right && counts.get(right.sizeBytes) === 1 ? [{ imap: left, pop3: right }] : [];
  });
  return withPairs(matching, pairs);
}

/** What makes messages equal: the same for both sides; undefined where it is not known. */
export interface Keys {
  readonly ofImap: (message: ImapSide) => string | undefined;
  readonly ofPop3: (message: Pop3Side) => string | undefined;
}

/**
 * `single`: a key that one message of each side has. `even`: as many on both sides, told apart by their order. `any`:
 * by their order as far as they go, for keys that say that messages are equal to the last byte.
 */
export type KeyRule = "single" | "even" | "any";

export function matchByKey(matching: Matching, keys: Keys, rule: KeyRule): Matching {
  const left = groups(matching.imap, keys.ofImap);
  const right = groups(matching.pop3, keys.ofPop3);
  const pairs: Pair[] = [];
  for (const [key, messages] of left) {
    const others = right.get(key) ?? [];
    const isEven = messages.length === others.length;
    if (rule !== "any" && !(isEven && (rule === "even" || messages.length === 1))) continue;
    for (let at = 0; at < Math.min(messages.length, others.length); at++) {
      const [imap, pop3] = [messages[at], others[at]];
      if (imap && pop3) pairs.push({ imap, pop3 });
    }
  }
  return withPairs(matching, pairs);
}

/** Of what is not matched, the messages whose key is on both sides: each could be one of several. */
export function rivals({ imap, pop3 }: Matching, keys: Keys): Pick<Matching, "imap" | "pop3"> {
  const left = groups(imap, keys.ofImap);
  const right = groups(pop3, keys.ofPop3);
  const isOnBoth = (key: string | undefined): boolean => key !== undefined && left.has(key) && right.has(key);
  return {
    imap: imap.filter((message) => isOnBoth(keys.ofImap(message))),
    pop3: pop3.filter((message) => isOnBoth(keys.ofPop3(message))),
  };
}

export function groups<T>(
  messages: readonly T[],
  keyOf: (message: T) => string | undefined,
): Map<string, T[]> {
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
