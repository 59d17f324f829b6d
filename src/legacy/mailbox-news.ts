/**
 * What a server tells of the mailbox that a connection has selected, beside the answers to commands: EXISTS, EXPUNGE,
 * VANISHED, FETCH, FLAGS (RFC 3501 7, RFC 7162 3.2.10). It is gathered in the order in which it comes until somebody
 * takes it; what is told without a UID is told apart, since sequence numbers are good for one question at the most.
 */
import { noModSeq } from "../mail/mod-seq.ts";
import type { NumberRange } from "../mail/number-set.ts";
import { answerCursor, asTexts, readValue } from "./answer-cursor.ts";
import type { FetchAnswer } from "./fetch-answer.ts";
import type { FlagsOf, MailboxTold } from "./source.ts";
import { readUidRanges } from "./uid-ranges.ts";
import type { Untagged } from "./untagged.ts";

export interface NewsGatherer extends MailboxTold {
  /** Takes an untagged response that was no answer. */
  note(untagged: Untagged): void;
  /** The mailbox has been selected: nothing is news any more. */
  restart(exists: number, hasModSeqs: boolean): void;
  /** A listing of all has shown so many. */
  noteListed(count: number): void;
  /** Goes up whenever messages are told as expunged. */
  readonly expungedEver: number;
  /** Resolves when there is news, or at `until`. */
  next(until: AbortSignal): Promise<void>;
}

/** More is not held: who takes it asks for all of them. */
const maxHeld = 10_000;
/** So many are moved up at each expunge: more are asked for anew. */
const maxMoved = 200;
const maxVanished = 1_000_000;

export function createNewsGatherer(): NewsGatherer {
  let exists: number | undefined = 0;
  let existsTaken: number | undefined = 0;
  let vanished: NumberRange[] = [];
  let hasModSeqs = false;
  let flags: FlagsOf[] = [];
  let unnamed = new Set<number>();
  let isAnyUnnamed = false;
  let expunged = 0;
  let expungedEver = 0;
  let flagNames: readonly string[] | undefined;
  let permanentFlags: readonly string[] | undefined;

  const hasGone = (): boolean => expunged > 0 || vanished.length > 0;
  const clear = (): void => {
    existsTaken = exists;
    flags = [];
    unnamed = new Set();
    isAnyUnnamed = false;
    expunged = 0;
    vanished = [];
  };
  /** Those behind it move up. */
  const noteExpunge = (number: number): void => {
    if (exists !== undefined) exists = Math.max(0, exists - 1);
    expunged++;
    expungedEver++;
    if (unnamed.size === 0) return;
    if (unnamed.size > maxMoved) {
      isAnyUnnamed = true;
      unnamed = new Set();
      return;
    }
    unnamed = new Set(
      [...unnamed].filter((one) => one !== number).map((one) => (one > number ? one - 1 : one)),
    );
  };
  /** Ranges may reach over UIDs that were not there: how many are left, only a listing tells. */
  const noteVanished = (text: string): boolean => {
    if (text.startsWith("(")) return false;
    const ranges = vanished.length < maxVanished ? readUidRanges(text.trim()) : undefined;
    for (const range of ranges ?? []) vanished.push(range);
    // What is beyond that is not named: which they are, listings tell.
    if (!ranges) expunged++;
    exists = undefined;
    expungedEver++;
    // Where those stand that were told of without a UID, nobody can say any more.
    if (unnamed.size > 0) isAnyUnnamed = true;
    return true;
  };
  const noteFetch = (number: number, { uid, flags: told, modSeq }: FetchAnswer): boolean => {
    if (told === undefined && modSeq === undefined) return false;
    const isWhole = uid !== undefined && told !== undefined && (modSeq !== undefined || !hasModSeqs);
    if (isWhole && flags.length < maxHeld) flags.push({ uid, flags: told, modSeq: modSeq ?? noModSeq });
    else if (unnamed.size < maxHeld) unnamed.add(number);
    else isAnyUnnamed = true;
    return true;
  };
  const isNews = (untagged: Untagged): boolean => {
    switch (untagged.kind) {
      case "fetch":
        return noteFetch(numberOf(untagged.text), untagged.answer);
      case "count":
        if (untagged.name === "EXISTS") exists = untagged.value;
        else if (untagged.name === "EXPUNGE") noteExpunge(untagged.value);
        else return false;
        return true;
      case "status":
        if (untagged.tail.code === "PERMANENTFLAGS")
          permanentFlags = asTexts(readValue(answerCursor(untagged.tail.codeArguments, [])));
        return false;
      case "data": {
        const { name, text, literals, position } = untagged;
        if (name === "VANISHED") return noteVanished(text.slice(position));
        if (name === "FLAGS") flagNames = asTexts(readValue(answerCursor(text, literals, position)));
        return false;
      }
    }
  };

  const waiting = new Set<() => void>();
  return {
    note(untagged) {
      if (isNews(untagged)) for (const tell of waiting) tell();
    },
    next(until) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const tell = (): void => resolve();
      waiting.add(tell);
      until.addEventListener("abort", tell, { once: true });
      if (until.aborted) tell();
      return promise.finally(() => {
        waiting.delete(tell);
        until.removeEventListener("abort", tell);
      });
    },
    restart(count, withModSeqs) {
      exists = count;
      hasModSeqs = withModSeqs;
      permanentFlags = undefined;
      flagNames = undefined;
      clear();
    },
    take() {
      const named = isAnyUnnamed ? ("any" as const) : [...unnamed];
      const news = { flags, unnamed: named, expunged, vanished, exists, flagNames };
      clear();
      return news;
    },
    get hasNews() {
      return flags.length > 0 || unnamed.size > 0 || isAnyUnnamed || hasGone() || exists !== existsTaken;
    },
    takeFlags() {
      const told = flags;
      flags = [];
      return told;
    },
    get isPartial() {
      return isAnyUnnamed || unnamed.size > 0;
    },
    get flagNames() {
      return flagNames;
    },
    get permanentFlags() {
      return permanentFlags;
    },
    get expunged() {
      return expunged;
    },
    get vanished() {
      return vanished;
    },
    noteListed(count) {
      if (exists !== undefined) return;
      exists = count;
      existsTaken = count;
    },
    get exists() {
      return exists;
    },
    get expungedEver() {
      return expungedEver;
    },
  };
}

/** Of `* n FETCH …`. */
function numberOf(text: string): number {
  return Number.parseInt(text.slice(2), 10);
}
