/** UID SEARCH, answered by ESEARCH (RFC 4731) where the server has it: ranges instead of every number. */
import { MailError } from "../errors.ts";
import type { Uid } from "../mail/ids.ts";
import type { CommandPart } from "./command-text.ts";
import { parseUid } from "./fetch-answer.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { expectOk } from "./refusal.ts";
import { readUidRanges } from "./uid-ranges.ts";

/** Bound on the answer: a range costs few bytes to send and many to hold. */
const maxUids = 10_000_000;

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
  return (isAscending(found) ? found : [...new Set(found)].sort((a, b) => a - b)) as readonly Uid[];
}

async function search(connection: ImapConnection, criteria: readonly CommandPart[]): Promise<number[]> {
  const found: number[] = [];
  let isAnswered = false;
  const isExtended = connection.capabilities.has("ESEARCH");
  const tagged = await connection.run({
    parts: [isExtended ? "UID SEARCH RETURN (ALL) " : "UID SEARCH ", ...criteria],
    onUntagged(untagged, tag) {
      if (untagged.kind !== "data") return false;
      const { name, text, position } = untagged;
      if (name === "SEARCH") addNumbers(found, text.slice(position));
      else if (name === "ESEARCH" && isAnswerTo(text, tag)) addRanges(found, text.slice(position));
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

/** `2 84 882`, with ` (MODSEQ n)` at the end when a criterion was one (RFC 7162 3.1.5). */
function addNumbers(found: number[], numbers: string): void {
  const end = numbers.indexOf("(");
  for (const number of (end < 0 ? numbers : numbers.slice(0, end)).split(" ")) {
    const uid = parseUid(number);
    if (uid !== undefined) found.push(uid);
    else if (number !== "") throw nonsense();
  }
}

function addRanges(found: number[], answer: string): void {
  const ranges = /(?:^|[ )])ALL ([\d:,]+)/i.exec(answer)?.[1] ?? "";
  if (ranges === "") return;
  const read = readUidRanges(ranges);
  if (!read) throw nonsense();
  for (const { from, to } of read) addRange(found, from, to);
}

function addRange(found: number[], low: number, high: number): void {
  if (found.length + high - low >= maxUids) throw nonsense();
  for (let uid = low; uid <= high; uid++) found.push(uid);
}

function nonsense(): MailError {
  return new MailError("UNAVAILABLE", "The old server's answer to SEARCH makes no sense");
}
