/** UID SEARCH, answered by ESEARCH (RFC 4731) where the server has it: ranges instead of every number. */
import { MailError } from "../errors.ts";
import type { Uid } from "../mail/ids.ts";
import { parseSequenceSet } from "../mail/number-set.ts";
import type { CommandPart } from "./command-text.ts";
import { parseUid } from "./fetch-answer.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { expectOk } from "./refusal.ts";

/** Bound on the answer: a range costs few bytes to send and many to hold. */
const maxUids = 10_000_000;

/** Ascending, without duplicates. */
export async function uidSearch(
  connection: ImapConnection,
  criteria: readonly CommandPart[],
): Promise<readonly Uid[]> {
  const found: number[] = [];
  const isExtended = connection.capabilities.has("ESEARCH");
  const tagged = await connection.run({
    parts: [isExtended ? "UID SEARCH RETURN (ALL) " : "UID SEARCH ", ...criteria],
    onUntagged(untagged, tag) {
      if (untagged.kind !== "data") return false;
      const { name, text, position } = untagged;
      if (name === "SEARCH") addNumbers(found, text.slice(position));
      else if (name === "ESEARCH" && isAnswerTo(text, tag)) addRanges(found, text.slice(position));
      else return false;
      return true;
    },
  });
  expectOk(tagged);
  return Array.from(new Set(new Float64Array(found).sort()), Number) as Uid[];
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
  const match = /(?:^|[ )])ALL ([\d:,]+)/i.exec(answer);
  if (!match?.[1]) return;
  const set = parseSequenceSet(match[1], maxUids);
  if (!set) throw nonsense();
  for (const { from, to } of set) {
    const [low, high] = [Math.min(Number(from), Number(to)), Math.max(Number(from), Number(to))];
    if (found.length + high - low >= maxUids) throw nonsense();
    for (let uid = low; uid <= high; uid++) found.push(uid);
  }
}

function nonsense(): MailError {
  return new MailError("UNAVAILABLE", "The old server's answer to SEARCH makes no sense");
}
