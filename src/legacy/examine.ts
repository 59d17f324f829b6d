/** EXAMINE and STATUS of one mailbox (RFC 3501 6.3.2, 6.3.10; RFC 7162 3.1.2). */
import { MailError } from "../errors.ts";
import {
  type EncodedMailboxName,
  encodedMailboxName,
  maxUid,
  type Uid,
  type UidValidity,
  uid,
  uidValidity,
} from "../mail/ids.ts";
import { answerCursor, asText, asTexts, isList, readValue, skipSpaces } from "./answer-cursor.ts";
import { nameArgument } from "./command-text.ts";
import { parseModSeq, parseUid } from "./fetch-answer.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { expectFetched, expectMailbox } from "./refusal.ts";
import type { Examined, LegacyStatus, MailboxLeaseOptions } from "./source.ts";
import type { StatusText, Untagged } from "./untagged.ts";

type Known = { -readonly [Key in keyof Examined]?: Examined[Key] | undefined };

export interface ExamineOptions extends Pick<MailboxLeaseOptions, "quick" | "write"> {
  /** Called with the tagged answer, before anything is read that the server tells behind it. */
  readonly onSelected?: (exists: number, hasModSeqs: boolean) => void;
}

/**
 * Selects, read-only unless asked to `write` (or the server has to be treated otherwise). Throws NONEXISTENT, or
 * UNAVAILABLE when the server leaves out what RFC 3501 demands.
 *
 * Dovecot keeps no HIGHESTMODSEQ until a client has asked for it (RFC 7162 3.1.8), which costs it 20 ms for 50,000
 * messages, and tells no MODSEQs of changes to who has not: `quick` leaves it at that.
 */
export async function examine(
  connection: ImapConnection,
  name: EncodedMailboxName,
  { quick = false, write = false, onSelected }: ExamineOptions = {},
): Promise<Examined> {
  const verb = write || connection.quirks.alwaysSelect ? "SELECT" : "EXAMINE";
  const { withoutModSeqs } = connection;
  const mayHaveModSeqs = offersModSeqs(connection) && !withoutModSeqs.has(name);
  const parameter = mayHaveModSeqs && !quick ? " (CONDSTORE)" : "";
  const examined = await examineOnce(connection, name, verb, parameter, onSelected);
  if (examined.highestModSeq !== undefined || (mayHaveModSeqs && quick)) return examined;
  if (mayHaveModSeqs) withoutModSeqs.add(name);
  return { ...examined, hasNoModSeqs: true };
}

async function examineOnce(
  connection: ImapConnection,
  name: EncodedMailboxName,
  verb: "SELECT" | "EXAMINE",
  parameter: string,
  onSelected: ExamineOptions["onSelected"],
): Promise<Examined> {
  const known: Known = {};
  connection.selected = undefined;
  const tagged = await connection.run({
    parts: [`${verb} `, nameArgument(name), parameter],
    onUntagged: (untagged) => {
      noteSelectData(known, untagged);
      return false;
    },
    onAnswered: () =>
      onSelected?.(known.exists ?? 0, offersModSeqs(connection) && known.highestModSeq !== undefined),
  });
  expectMailbox(tagged, name);
  const missing =
    known.uidNext === undefined || known.uidValidity === undefined
      ? await readStatus(connection, name)
      : undefined;
  connection.selected = name;
  const { exists, highestModSeq } = known;
  if (exists === undefined) throw new MailError("UNAVAILABLE", "The old server does not tell EXISTS");
  const told = known.uidNext ?? missing?.uidNext;
  const uidNext = told ?? (await aboveHighest(connection, exists));
  return {
    uidValidity: missing?.uidValidity ?? shown(connection, name, known.uidValidity),
    uidNext,
    ...(told === undefined && { isUidNextDerived: true }),
    exists,
    firstUnseen: known.firstUnseen,
    flags: known.flags ?? [],
    permanentFlags: known.permanentFlags ?? [],
    readOnly: verb === "EXAMINE" || tagged.code === "READ-ONLY",
    highestModSeq: offersModSeqs(connection) ? highestModSeq : undefined,
    hasNoModSeqs: false,
  };
}

/** RFC 3501 7.1 lets a server tell no UIDNEXT: what comes next is above all that is there. */
async function aboveHighest(connection: ImapConnection, exists: number): Promise<Uid> {
  let highest = 0;
  if (exists > 0)
    expectFetched(
      await connection.run({
        parts: ["UID FETCH * (UID)"],
        onUntagged(untagged) {
          if (untagged.kind !== "fetch") return false;
          highest = Math.max(highest, untagged.answer.uid ?? 0);
          return untagged.answer.flags === undefined;
        },
      }),
    );
  return uid(Math.min(highest + 1, maxUid));
}

function shown(
  { shownValidity }: ImapConnection,
  name: EncodedMailboxName,
  told: UidValidity | undefined,
): UidValidity | undefined {
  return shownValidity(name, told);
}

export function offersModSeqs({ capabilities }: ImapConnection): boolean {
  return capabilities.has("CONDSTORE") || capabilities.has("QRESYNC");
}

/** Data of a mailbox that was selected before come first, so the last word counts. */
function noteSelectData(known: Known, untagged: Untagged): void {
  if (untagged.kind === "count" && untagged.name === "EXISTS") known.exists = untagged.value;
  if (untagged.kind === "data" && untagged.name === "FLAGS") {
    known.flags = asTexts(readValue(answerCursor(untagged.text, untagged.literals, untagged.position)));
  }
  if (untagged.kind === "status") noteCode(known, untagged.tail);
}

function noteCode(known: Known, { code, codeArguments }: StatusText): void {
  switch (code) {
    case "UIDVALIDITY":
      known.uidValidity = parseUidValidity(codeArguments);
      break;
    case "UIDNEXT":
      known.uidNext = parseUid(codeArguments);
      break;
    case "UNSEEN":
      known.firstUnseen = parseUid(codeArguments);
      break;
    case "PERMANENTFLAGS":
      known.permanentFlags = asTexts(readValue(answerCursor(codeArguments, [])));
      break;
    case "HIGHESTMODSEQ":
      known.highestModSeq = parseModSeq(codeArguments);
      break;
    case "NOMODSEQ":
      known.highestModSeq = undefined;
      break;
  }
}

/**
 * Above 2^32 its lower half, which is what a client reads of it that counts in 32 bits: the same each time, and another
 * one where the server's changes.
 */
export function parseUidValidity(text: string): UidValidity | undefined {
  if (!/^\d{1,20}$/.test(text) || /^0+$/.test(text)) return undefined;
  return uidValidity(Number(BigInt.asUintN(32, BigInt(text))) || 1);
}

/** Throws NONEXISTENT. Of the mailbox that is selected, Dovecot tells what this connection has seen so far. */
export async function readStatus(
  connection: ImapConnection,
  name: EncodedMailboxName,
): Promise<LegacyStatus> {
  const items = `MESSAGES UIDNEXT UIDVALIDITY UNSEEN${offersModSeqs(connection) ? " HIGHESTMODSEQ" : ""}`;
  let answered: ReadonlyMap<string, string> | undefined;
  /** Under another name: there are servers that write it unquoted, in UTF-8, or in another case. */
  let misnamed: ReadonlyMap<string, string> | undefined;
  const tagged = await connection.run({
    parts: ["STATUS ", nameArgument(name), ` (${items})`],
    onUntagged(untagged) {
      if (answered || untagged.kind !== "data" || untagged.name !== "STATUS") return false;
      const status = parseStatus(untagged);
      if (status.name !== name) {
        // Others may have asked for that one, before this one or behind it: ours is the last ahead of our tagged answer.
        misnamed = status.items;
        return false;
      }
      answered = status.items;
      return true;
    },
  });
  expectMailbox(tagged, name);
  answered ??= misnamed;
  if (!answered) throw new MailError("UNAVAILABLE", "The old server did not answer STATUS");
  const number = (item: string): number | undefined => {
    const value = Number(answered?.get(item) ?? Number.NaN);
    return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  };
  return {
    messages: number("MESSAGES"),
    uidNext: parseUid(answered.get("UIDNEXT") ?? ""),
    uidValidity: shown(connection, name, parseUidValidity(answered.get("UIDVALIDITY") ?? "")),
    unseen: number("UNSEEN"),
    highestModSeq: parseModSeq(answered.get("HIGHESTMODSEQ") ?? ""),
  };
}

function parseStatus({ text, literals, position }: Untagged & { kind: "data" }): {
  readonly name: string;
  readonly items: ReadonlyMap<string, string>;
} {
  const cursor = answerCursor(text, literals, position);
  // `NIL` is a mailbox name like any other here.
  const name = asText(readValue(cursor)) ?? "NIL";
  skipSpaces(cursor);
  // Behind an unquoted name with spaces.
  if (text[cursor.position] !== "(") cursor.position = Math.max(text.lastIndexOf("("), cursor.position);
  const list = readValue(cursor);
  const items = new Map<string, string>();
  if (isList(list)) {
    for (let index = 0; index + 1 < list.length; index += 2) {
      items.set(asText(list[index])?.toUpperCase() ?? "", asText(list[index + 1]) ?? "");
    }
  }
  return { name: encodedMailboxName(name), items };
}
