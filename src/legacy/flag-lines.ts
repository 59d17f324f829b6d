/**
 * FETCH responses that tell nothing but UID, FLAGS and perhaps MODSEQ, read straight from the bytes: a client waits
 * for those of a whole mailbox, and the ordinary way costs a string and a parse for each.
 *
 * What always holds: what is read here is what response-reader.ts and fetch-answer.ts make of the same bytes.
 * Anything that is not exactly `* n FETCH (…)` and CRLF, in capitals and with single spaces, is left to them.
 */
import { type Flags, noFlags } from "../mail/flags.ts";
import { type ModSeq, maxUid, modSeq, type Uid, uid } from "../mail/ids.ts";
import { noModSeq } from "../mail/mod-seq.ts";
import { flagsOfWire } from "./fetch-answer.ts";

/**
 * Reads lines at the beginning of `bytes`, up to the first that is of another kind or is not taken, or is not whole.
 * Tells how many bytes that were.
 */
export function readFlagLines(
  bytes: Buffer,
  takes: (uid: number) => boolean,
  onFlags: (uid: Uid, flags: Flags, modSeq: ModSeq) => void,
): number {
  const line: FlagLine = { position: 0, items: 0, uid: 0, flags: noFlags, modSeq: 0 };
  // Within whole lines nothing reads past the end: each step stops at a line feed.
  const end = bytes.lastIndexOf(lineFeed) + 1;
  let position = 0;
  while (position < end) {
    line.position = position;
    if (!readLine(bytes, line) || !takes(line.uid)) break;
    position = line.position;
    onFlags(uid(line.uid), line.flags, modSeqOf(line.modSeq));
  }
  return position;
}

interface FlagLine {
  /** How far it was read. */
  position: number;
  /** Which were there: bits of `item`. */
  items: number;
  uid: number;
  flags: Flags;
  modSeq: number;
}

const item = { uid: 1, flags: 2, modSeq: 4 } as const;
const needed = item.uid | item.flags;

/** False where it is of another kind. */
function readLine(bytes: Buffer, line: FlagLine): boolean {
  line.items = 0;
  line.modSeq = 0;
  if (!takeText(bytes, line, responseStart) || readNumber(bytes, line, maxDigits) < 0) return false;
  if (!takeText(bytes, line, listStart)) return false;
  do if (!readItem(bytes, line)) return false;
  while (takeText(bytes, line, space));
  return takeText(bytes, line, lineEnd) && (line.items & needed) === needed;
}

function readItem(bytes: Buffer, line: FlagLine): boolean {
  switch (bytes[line.position]) {
    case uidStart[0]:
      return isFirst(line, item.uid) && takeText(bytes, line, uidStart) && readUid(bytes, line);
    case flagsStart[0]:
      return isFirst(line, item.flags) && takeText(bytes, line, flagsStart) && readFlags(bytes, line);
    case modSeqStart[0]:
      return isFirst(line, item.modSeq) && takeText(bytes, line, modSeqStart) && readModSeq(bytes, line);
    default:
      return false;
  }
}

function isFirst(line: FlagLine, bit: number): boolean {
  if ((line.items & bit) !== 0) return false;
  line.items |= bit;
  return true;
}

function readUid(bytes: Buffer, line: FlagLine): boolean {
  line.uid = readNumber(bytes, line, maxDigits);
  return line.uid > 0 && line.uid <= maxUid;
}

function readModSeq(bytes: Buffer, line: FlagLine): boolean {
  line.modSeq = readNumber(bytes, line, maxModSeqDigits);
  return line.modSeq >= 0 && takeText(bytes, line, listEnd);
}

/** Any keyword that a server may send; what ends the list ends it there, too. */
function readFlags(bytes: Buffer, line: FlagLine): boolean {
  const start = line.position;
  let hash = 0;
  let at = start;
  for (; ; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === listEnd[0]) break;
    if (byte < 0x20) return false;
    hash = (Math.imul(hash, 31) + byte) | 0;
  }
  line.position = at + 1;
  line.flags = knownFlags(bytes, start, at, hash);
  return true;
}

/** -1 where there is no number, or one of more than `digits` digits. */
function readNumber(bytes: Buffer, line: FlagLine, digits: number): number {
  const start = line.position;
  let value = 0;
  let at = start;
  for (; ; at++) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  line.position = at;
  return at === start || at - start > digits ? -1 : value;
}

function takeText(bytes: Buffer, line: FlagLine, text: Uint8Array): boolean {
  const { position } = line;
  for (let index = 0; index < text.length; index++) {
    if (bytes[position + index] !== text[index]) return false;
  }
  line.position = position + text.length;
  return true;
}

interface KnownFlags {
  readonly wire: Uint8Array;
  readonly flags: Flags;
}

/** By the hash of their wire form; of two with the same hash the later one. */
const known = new Map<number, KnownFlags>();
const maxKnown = 10_000;

function knownFlags(bytes: Buffer, start: number, end: number, hash: number): Flags {
  const found = known.get(hash);
  if (found && isSame(bytes, start, end, found.wire)) return found.flags;
  const flags = flagsOfWire(bytes.toString("latin1", start, end));
  if (known.size >= maxKnown) known.clear();
  // A copy, so that a few bytes do not keep a whole chunk in memory.
  known.set(hash, { wire: Uint8Array.prototype.slice.call(bytes, start, end), flags });
  return flags;
}

function isSame(bytes: Buffer, start: number, end: number, wire: Uint8Array): boolean {
  if (wire.length !== end - start) return false;
  for (let index = 0; index < wire.length; index++) if (bytes[start + index] !== wire[index]) return false;
  return true;
}

/** Messages of one change have one MODSEQ, and follow each other often. */
let lastModSeq: { readonly number: number; readonly value: ModSeq } = { number: 0, value: noModSeq };

function modSeqOf(number: number): ModSeq {
  if (number === 0) return noModSeq;
  if (number !== lastModSeq.number) lastModSeq = { number, value: modSeq(BigInt(number)) };
  return lastModSeq.value;
}

const lineFeed = 0x0a;
/** Of 32 bits. */
const maxDigits = 10;
/** All that a double holds exactly; longer ones are left to the ordinary parser. */
const maxModSeqDigits = 15;
const text = (latin1: string): Uint8Array => Uint8Array.from(Buffer.from(latin1, "latin1"));
const responseStart = text("* ");
const listStart = text(" FETCH (");
const uidStart = text("UID ");
const flagsStart = text("FLAGS (");
const modSeqStart = text("MODSEQ (");
const space = text(" ");
const listEnd = text(")");
const lineEnd = text(")\r\n");
