/** UID SEARCH, answered by ESEARCH (RFC 4731) where the server has it: ranges instead of every number. */
import { MailError } from "../errors.ts";
import { maxUid, type Uid } from "../mail/ids.ts";
import { maxMessages } from "./answer-allowance.ts";
import type { CommandPart } from "./command-text.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { expectOk } from "./refusal.ts";
import { readUidRanges } from "./uid-ranges.ts";

/** Some may have come, and not been told of, since EXISTS. */
const freeUids = 10_000;

/** Ascending, without duplicates. */
export async function uidSearch(
  connection: ImapConnection,
  criteria: readonly CommandPart[],
): Promise<readonly Uid[]> {
  return ascending(await search(connection, criteria));
}

export interface SearchedUids {
  /** Ascending, without duplicates. */
  readonly uids: readonly Uid[];
  /** The last number is below the one before: it may be the beginning of another. */
  readonly isCut: boolean;
}

/** None, and cut, where its answer makes no sense: there are other ways to list all. */
export async function searchAll(connection: ImapConnection): Promise<SearchedUids> {
  try {
    const found = await search(connection, ["ALL"]);
    return { uids: ascending(found), isCut: (found.at(-1) ?? 0) < (found.at(-2) ?? 0) };
  } catch (error) {
    if (!(error instanceof MailError) || connection.isClosed) throw error;
    return { uids: [], isCut: true };
  }
}

function ascending(found: readonly number[]): readonly Uid[] {
  return (isAscending(found) ? found : sortedOnce(found)) as readonly Uid[];
}

async function search(connection: ImapConnection, criteria: readonly CommandPart[]): Promise<number[]> {
  const found: number[] = [];
  // A range costs few bytes to send and many to hold. EXISTS may be on its way yet.
  const maxUids = (): number => Math.min(2 * connection.mostMessages + freeUids, maxMessages);
  let isAnswered = false;
  const isExtended = connection.capabilities.has("ESEARCH");
  const tagged = await connection.run({
    parts: [isExtended ? "UID SEARCH RETURN (ALL) " : "UID SEARCH ", ...criteria],
    onUntagged(untagged, tag) {
      if (untagged.kind !== "data") return false;
      const { name, text, position } = untagged;
      if (name === "SEARCH") addNumbers(found, text, position, maxUids());
      else if (name === "ESEARCH" && isAnswerTo(text, tag)) addRanges(found, text.slice(position), maxUids());
      else return false;
      isAnswered = true;
      return true;
    },
  });
  expectOk(tagged);
  // RFC 3501 6.4.4 wants one SEARCH: an answer left out must not be taken for "there are none".
  if (!isAnswered) throw nonsense();
  return found;
}

/** Without duplicates: as nearly every server answers. */
function isAscending(numbers: readonly number[]): boolean {
  for (let index = 1; index < numbers.length; index++) {
    if ((numbers[index - 1] ?? 0) >= (numbers[index] ?? 0)) return false;
  }
  return true;
}

function isAnswerTo(text: string, tag: string): boolean {
  const match = /^\* ESEARCH \(TAG "?([^")]*)"?\)/i.exec(text);
  return !match || match[1] === tag;
}

function sortedOnce(numbers: readonly number[]): number[] {
  const sorted = Uint32Array.from(numbers).sort();
  return Array.from(sorted.filter((number, index) => number !== sorted[index - 1]));
}

/** `2 84 882`, with ` (MODSEQ n)` at the end when a criterion was one (RFC 7162 3.1.5). */
function addNumbers(found: number[], text: string, from: number, maxUids: number): void {
  const end = text.indexOf("(", from);
  // Read by hand, as the ranges below.
  for (let at = from, number = none; at <= text.length; at++) {
    const code = at === end || at === text.length ? space : text.charCodeAt(at);
    if (code >= zero && code <= nine) number = Math.max(number, 0) * 10 + code - zero;
    else if (code !== space) throw nonsense();
    else if (number !== none) {
      if (number === 0 || number > maxUid || found.length >= maxUids) throw nonsense();
      found.push(number);
      number = none;
    }
    if (at === end) return;
  }
}

function addRanges(found: number[], answer: string, maxUids: number): void {
  const ranges = /(?:^|[ )])ALL ([\d:,]+)/i.exec(answer)?.[1] ?? "";
  if (ranges === "") return;
  const read = readUidRanges(ranges);
  if (!read) throw nonsense();
  for (const { from, to } of read) addRange(found, from, to, maxUids);
}

function addRange(found: number[], low: number, high: number, maxUids: number): void {
  if (found.length + high - low >= maxUids) throw nonsense();
  for (let uid = low; uid <= high; uid++) found.push(uid);
}

const none = -1;
const space = 0x20;
const zero = 0x30;
const nine = 0x39;

function nonsense(): MailError {
  return new MailError("UNAVAILABLE", "The old server's answer to SEARCH makes no sense");
}
