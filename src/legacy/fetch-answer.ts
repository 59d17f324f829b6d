/**
 * One untagged FETCH response (RFC 3501 7.4.2): the attributes that Mailferry asks for. It is known by
 * its UID only, since sequence numbers of some servers cannot be trusted (Exchange sends numbers above
 * EXISTS). Other attributes are stepped over. It is parsed the same way when it is whole and when it
 * ends with the `{n}` of a literal that is still to come (then `literals` ends with a stand-in).
 */
import { type Flags, flagsOf } from "../mail/flags.ts";
import { type ModSeq, maxUid, modSeq, type Uid, uid } from "../mail/ids.ts";
import { type InternalDate, parseInternalDate } from "../mail/internal-date.ts";
import {
  type AnswerCursor,
  answerCursor,
  asBytes,
  asText,
  readAtom,
  readRaw,
  readValue,
  skipSpaces,
  takeChar,
} from "./answer-cursor.ts";

export interface FetchAnswer {
  uid: Uid | undefined;
  flags: Flags | undefined;
  internalDate: InternalDate | undefined;
  sizeBytes: number | undefined;
  modSeq: ModSeq | undefined;
  /** EMAILID, or X-GM-MSGID. */
  emailId: string | undefined;
  /** `BODY[]`; null is NIL. */
  content: Buffer | null | undefined;
  /** `BODY[HEADER]`; null is NIL. */
  header: Buffer | null | undefined;
  body: Buffer | undefined;
  bodyStructure: Buffer | undefined;
  /** It ends where its list is closed. Where it does not, a literal was not as long as it was said to be. */
  isWhole: boolean;
}

/** `position` is just before the list. */
export function parseFetch(text: string, literals: readonly Buffer[], position: number): FetchAnswer {
  return parseMetadata(text, position) ?? parseAny(text, literals, position);
}

/** Metadata as most servers write them: read whole mailboxes long, so twice as fast as `parseAny`. */
const metadataForm =
  /\(UID (\d{1,10}) FLAGS \(([^)]*)\) INTERNALDATE "([^"\\]+)" RFC822\.SIZE (\d{1,15})(?: MODSEQ \((\d{1,20})\))?(?: EMAILID \(([\w-]{1,255})\))?\)$/y;

function parseMetadata(text: string, position: number): FetchAnswer | undefined {
  metadataForm.lastIndex = position;
  const match = metadataForm.exec(text);
  if (!match) return undefined;
  const [, uidText = "", flags = "", date = "", size = "", modSeqText, emailId] = match;
  const answer = emptyAnswer();
  answer.uid = parseUid(uidText);
  answer.flags = flagsOfWire(flags);
  answer.internalDate = parseDate(date);
  answer.sizeBytes = Number(size);
  answer.isWhole = true;
  if (modSeqText !== undefined) answer.modSeq = modSeq(BigInt(modSeqText));
  answer.emailId = emailId;
  return answer;
}

function emptyAnswer(): FetchAnswer {
  return {
    uid: undefined,
    flags: undefined,
    internalDate: undefined,
    sizeBytes: undefined,
    modSeq: undefined,
    emailId: undefined,
    content: undefined,
    header: undefined,
    body: undefined,
    bodyStructure: undefined,
    isWhole: false,
  };
}

function parseAny(text: string, literals: readonly Buffer[], position: number): FetchAnswer {
  const cursor = answerCursor(text, literals, position);
  const answer = emptyAnswer();
  skipSpaces(cursor);
  takeChar(cursor, "(");
  for (;;) {
    skipSpaces(cursor);
    if (cursor.position >= text.length) return answer;
    if (takeChar(cursor, ")")) {
      answer.isWhole = cursor.position === text.length;
      return answer;
    }
    const name = readAttributeName(cursor);
    skipSpaces(cursor);
    readAttribute(cursor, name, answer);
    if (!isAtEnd(cursor)) return answer;
  }
}

/** Right behind a value stands the next one's space, or the end. Text of the message there was none of the literal. */
function isAtEnd({ text, position }: AnswerCursor): boolean {
  return position >= text.length || text[position] === " " || text[position] === ")";
}

/** An atom, or `BODY[section]<origin>`, in which the section may hold spaces and parentheses. */
function readAttributeName(cursor: AnswerCursor): string {
  const { text, position } = cursor;
  const atom = readAtom(cursor);
  if (!atom.includes("[") || atom.includes("]")) return atom.toUpperCase();
  const close = text.indexOf("]", cursor.position);
  cursor.position = close < 0 ? text.length : close + 1;
  readAtom(cursor);
  return text.slice(position, cursor.position).toUpperCase();
}

function readAttribute(cursor: AnswerCursor, name: string, answer: FetchAnswer): void {
  switch (name) {
    case "UID":
      answer.uid = parseUid(readAtom(cursor));
      return;
    case "FLAGS":
      answer.flags = readFlags(cursor);
      return;
    case "INTERNALDATE":
      answer.internalDate = parseDate(asText(readValue(cursor)) ?? "");
      return;
    case "RFC822.SIZE":
      answer.sizeBytes = parseSize(readAtom(cursor));
      return;
    case "MODSEQ":
      answer.modSeq = readModSeq(cursor);
      return;
    case "EMAILID":
      takeChar(cursor, "(");
      answer.emailId = parseEmailId(readAtom(cursor));
      takeChar(cursor, ")");
      return;
    case "X-GM-MSGID":
      answer.emailId = parseEmailId(readAtom(cursor));
      return;
    case "BODY[]":
    case "RFC822":
      answer.content = bytesOrNil(cursor);
      return;
    case "BODY[HEADER]":
    case "RFC822.HEADER":
      answer.header = bytesOrNil(cursor);
      return;
    case "BODY":
      answer.body = readStructure(cursor);
      return;
    case "BODYSTRUCTURE":
      answer.bodyStructure = readStructure(cursor);
      return;
    default:
      readValue(cursor);
  }
}

function bytesOrNil(cursor: AnswerCursor): Buffer | null | undefined {
  const value = readValue(cursor);
  return value === null ? null : asBytes(value);
}

function readStructure(cursor: AnswerCursor): Buffer | undefined {
  const raw = readRaw(cursor);
  return raw[0] === 0x28 ? raw : undefined;
}

function readFlags(cursor: AnswerCursor): Flags | undefined {
  const { text, position } = cursor;
  const end = text.indexOf(")", position);
  if (text.charCodeAt(position) !== 0x28 || end < 0) {
    readValue(cursor);
    return undefined;
  }
  cursor.position = end + 1;
  return flagsOfWire(text.slice(position + 1, end));
}

/** A mailbox has few different sets of flags, and few different days: their wire form is remembered. */
const maxRemembered = 10_000;
const knownFlags = new Map<string, Flags>();
const knownDays = new Map<string, InternalDate>();

function remember<T>(known: Map<string, T>, wire: string, value: T): T {
  if (known.size >= maxRemembered) known.clear();
  known.set(wire, value);
  return value;
}

export function flagsOfWire(wire: string): Flags {
  const parse = (): Flags => flagsOf(wire.split(" ").filter((name) => name !== ""));
  return knownFlags.get(wire) ?? remember(knownFlags, wire, parse());
}

/** `17-Jul-1996 02:44:25 -0700`, as midnight of that day and zone and the time since. */
function parseDate(text: string): InternalDate | undefined {
  const seconds = text.length === 26 ? secondsOfDay(text) : undefined;
  if (seconds === undefined) return parseInternalDate(text);
  const day = `${text.slice(0, 12)}00:00:00${text.slice(20)}`;
  const midnight = knownDays.get(day) ?? parseInternalDate(day);
  if (!midnight) return undefined;
  if (!knownDays.has(day)) remember(knownDays, day, midnight);
  return { epochSeconds: midnight.epochSeconds + seconds, zoneMinutes: midnight.zoneMinutes };
}

function secondsOfDay(text: string): number | undefined {
  const hours = twoDigits(text, 12);
  const minutes = twoDigits(text, 15);
  const seconds = twoDigits(text, 18);
  const isTime = text.charCodeAt(14) === colon && text.charCodeAt(17) === colon;
  const total = (hours * 60 + minutes) * 60 + seconds;
  return isTime && !Number.isNaN(total) ? total : undefined;
}

const colon = 0x3a;

/** NaN for anything else. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - 0x30;
  const ones = text.charCodeAt(at + 1) - 0x30;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
}

function readModSeq(cursor: AnswerCursor): ModSeq | undefined {
  takeChar(cursor, "(");
  const value = parseModSeq(readAtom(cursor));
  takeChar(cursor, ")");
  return value;
}

/** RFC 8474 7: 1 to 255 of these; Gmail's are numbers. */
function parseEmailId(text: string): string | undefined {
  return /^[\w-]{1,255}$/.test(text) && text !== "NIL" ? text : undefined;
}

export function parseModSeq(text: string): ModSeq | undefined {
  return /^\d{1,20}$/.test(text) ? modSeq(BigInt(text)) : undefined;
}

export function parseUid(text: string): Uid | undefined {
  const value = Number(text);
  return Number.isInteger(value) && value > 0 && value <= maxUid ? uid(value) : undefined;
}

function parseSize(text: string): number | undefined {
  const value = Number(text);
  return text !== "" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
