/**
 * A client that keeps what it knows of a mailbox between its visits, and asks for no more than what has changed
 * since (RFC 7162 3.2.5): what it knows afterwards must be what is there.
 */
import { parseSequenceSet, resolveSequenceSet } from "../../src/mail/number-set.ts";
import type { ImapClient } from "./imap-client.ts";

export interface Known {
  readonly uidValidity: number;
  readonly highestModSeq: bigint;
  readonly uidNext: number;
  /** Flags in order, by UID. */
  readonly flags: ReadonlyMap<number, string>;
}

/** `FETCH` lines and others, as text. */
export type Answer = readonly string[];

/** The whole mailbox, as a client sees it that knows nothing. */
export async function lookAtAll(client: ImapClient, name: string): Promise<Known> {
  await client.ok("ENABLE QRESYNC");
  const told = toldBy(await answerOf(client, `SELECT ${name}`));
  const flags = new Map<number, string>();
  if (told.exists > 0) noteFetches(flags, await answerOf(client, "UID FETCH 1:* (FLAGS)"));
  return { ...told, flags };
}

/** `withUids`: it names the UIDs that it knows, and asks for newer ones itself. */
export async function comeBack(
  client: ImapClient,
  name: string,
  known: Known,
  withUids: boolean,
): Promise<{ readonly known: Known; readonly answer: Answer }> {
  await client.ok("ENABLE QRESYNC");
  const uids = withUids && known.uidNext > 1 ? ` 1:${known.uidNext - 1}` : "";
  const parameter = `(QRESYNC (${known.uidValidity} ${known.highestModSeq}${uids}))`;
  const answer = await answerOf(client, `SELECT ${name} ${parameter}`);
  const told = toldBy(answer);
  const flags = new Map(known.flags);
  noteVanished(flags, answer);
  noteFetches(flags, answer);
  if (uids !== "") noteFetches(flags, await answerOf(client, `UID FETCH ${known.uidNext}:* (FLAGS)`));
  return { known: { ...told, flags }, answer };
}

/** Taken in while the mailbox is selected: `NOOP`, or whatever a command told besides. */
export function noteNews(known: Known, answer: Answer): Known {
  const flags = new Map(known.flags);
  noteVanished(flags, answer);
  noteFetches(flags, answer);
  return { ...known, flags };
}

export async function answerOf(client: ImapClient, command: string): Promise<Answer> {
  const { untagged } = await client.ok(command);
  return untagged.map((line) => line.toString("latin1"));
}

function toldBy(answer: Answer): Omit<Known, "flags"> & { readonly exists: number } {
  const text = answer.join("\n");
  const number = (pattern: RegExp): string => {
    const match = pattern.exec(text);
    if (!match?.[1]) throw new Error(`${pattern} is not in ${text}`);
    return match[1];
  };
  return {
    uidValidity: Number(number(/\[UIDVALIDITY (\d+)\]/)),
    uidNext: Number(number(/\[UIDNEXT (\d+)\]/)),
    highestModSeq: BigInt(number(/\[HIGHESTMODSEQ (\d+)\]/)),
    exists: Number(number(/^\* (\d+) EXISTS/m)),
  };
}

function noteFetches(flags: Map<number, string>, answer: Answer): void {
  for (const line of answer) {
    const uid = /^\* \d+ FETCH .*\bUID (\d+)/.exec(line)?.[1];
    const list = /\bFLAGS \(([^)]*)\)/.exec(line)?.[1];
    if (uid === undefined || list === undefined) continue;
    const kept = list.split(" ").filter((flag) => flag !== "" && flag !== "\\Recent");
    flags.set(Number(uid), kept.sort().join(" "));
  }
}

function noteVanished(flags: Map<number, string>, answer: Answer): void {
  for (const line of answer) {
    const set = /^\* VANISHED (?:\(EARLIER\) )?([\d:,]+)$/.exec(line)?.[1];
    if (set === undefined) continue;
    const ranges = resolveSequenceSet(parseSequenceSet(set) ?? [], 0);
    for (const uid of flags.keys()) {
      if (ranges.some(({ from, to }) => uid >= from && uid <= to)) flags.delete(uid);
    }
  }
}
