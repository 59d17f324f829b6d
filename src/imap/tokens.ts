/**
 * The terminals of RFC 3501's grammar (section 9), read from one command by a cursor. Text is latin1:
 * one char per byte, whatever the client meant by it. Every reader either moves the cursor past what it
 * read or throws a ParseError, whose message is shown to the client.
 */
import { parseSequenceSet, type RawSequenceSet } from "../mail/number-set.ts";
import type { CommandText, Literal } from "./fragments.ts";

export class ParseError extends Error {
  override readonly name = "ParseError";
}

export interface Cursor {
  readonly command: CommandText;
  /** Index of the text that is being read, and the position in it. */
  part: number;
  at: number;
}

export function cursorOf(command: CommandText): Cursor {
  return { command, part: 0, at: 0 };
}

const tagPattern = /[^\x00-\x20\x7f-\xff(){%*"\\+]+/y;
const atomPattern = /[^\x00-\x20\x7f-\xff(){%*"\\\]]+/y;
/** ASTRING-CHAR; 8-bit is let through, since clients send raw mailbox names and passwords. */
const astringPattern = /[^\x00-\x20\x7f(){%*"\\]+/y;
const listMailboxPattern = /[^\x00-\x20\x7f(){"\\]+/y;
const quotedPattern = /"((?:[^"\\\r\n\x00]|\\["\\])*)"/y;
const flagPattern = /\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+/y;
const wordPattern = /[A-Za-z0-9.]+/y;
const numberPattern = /\d{1,10}/y;
const digitsPattern = /\d{1,20}/y;
const sequencePattern = /[\d:*,]+/y;

/** The character at the cursor, '' at the end of a text. */
export function peek(cursor: Cursor): string {
  return text(cursor)[cursor.at] ?? "";
}

export function atEnd(cursor: Cursor): boolean {
  return cursor.part === cursor.command.texts.length - 1 && cursor.at === text(cursor).length;
}

export function expectEnd(cursor: Cursor): void {
  if (!atEnd(cursor)) throw new ParseError("Unexpected arguments");
}

/** Moves past `char` if it is there. */
export function skip(cursor: Cursor, char: string): boolean {
  if (!text(cursor).startsWith(char, cursor.at)) return false;
  cursor.at += char.length;
  return true;
}

export function expect(cursor: Cursor, char: string): void {
  if (!skip(cursor, char)) throw new ParseError(char === " " ? "Missing arguments" : `Expected ${char}`);
}

export function space(cursor: Cursor): void {
  expect(cursor, " ");
}

export const tag = (cursor: Cursor): string => matched(cursor, tagPattern, "Invalid tag");
export const atom = (cursor: Cursor): string => matched(cursor, atomPattern, "Expected an atom");
/** What a client may give a message: \\Recent is the server's (RFC 3501 2.3.2), and others of that kind nobody keeps. */
export function expectStorable(flags: readonly string[]): void {
  const odd = flags.find((name) => name.startsWith("\\") && !storable.test(name));
  if (odd !== undefined) throw new ParseError(`Invalid system flag ${odd.toUpperCase()}`);
}

const storable = /^\\(answered|flagged|deleted|seen|draft)$/i;

/** A system flag with its backslash or a keyword. */
export const flag = (cursor: Cursor): string => matched(cursor, flagPattern, "Invalid flag");

/** An atom in upper case: keywords of the grammar are case-insensitive. */
export function keyword(cursor: Cursor): string {
  return atom(cursor).toUpperCase();
}

/** Letters, digits and dots in upper case: the names of FETCH items and sections, which brackets follow. */
export function word(cursor: Cursor): string {
  return matched(cursor, wordPattern, "Expected a name").toUpperCase();
}

/** Whether this stands at the cursor, in upper or lower case. */
export function isNext(cursor: Cursor, text: string): boolean {
  const next = cursor.command.texts[cursor.part]?.slice(cursor.at, cursor.at + text.length);
  return next?.toUpperCase() === text;
}

/** Of a number that may be larger than 2^32-1. */
export const digits = (cursor: Cursor): string => matched(cursor, digitsPattern, "Expected a number");

/** 0..2^32-1. */
export function number(cursor: Cursor): number {
  const value = Number(matched(cursor, numberPattern, "Expected a number"));
  if (value > 0xffff_ffff) throw new ParseError("Number too big");
  return value;
}

export function sequenceSet(cursor: Cursor): RawSequenceSet {
  const set = parseSequenceSet(matched(cursor, sequencePattern, "Invalid message set"));
  if (!set) throw new ParseError("Invalid message set");
  return set;
}

/** Quoted or literal. */
export function string(cursor: Cursor): string {
  if (peek(cursor) === "{") {
    const value = literal(cursor);
    if (value.kind === "dropped") throw new ParseError("Unexpected literal");
    return value.bytes.toString("latin1");
  }
  const quoted = matched(cursor, quotedPattern, "Expected a string");
  return quoted.slice(1, -1).replace(/\\(["\\])/g, "$1");
}

export function literal(cursor: Cursor): Literal {
  const value = cursor.command.literals[cursor.part];
  if (!value || !/^\{\d+\+?\}$/.test(text(cursor).slice(cursor.at)))
    throw new ParseError("Expected a literal");
  cursor.part++;
  cursor.at = 0;
  return value;
}

export function astring(cursor: Cursor): string {
  const next = peek(cursor);
  return next === '"' || next === "{" ? string(cursor) : matched(cursor, astringPattern, "Expected a string");
}

/** `list-mailbox`: a name or pattern of LIST and LSUB, where % and * may stand bare. */
export function listMailbox(cursor: Cursor): string {
  const next = peek(cursor);
  return next === '"' || next === "{"
    ? string(cursor)
    : matched(cursor, listMailboxPattern, "Expected a mailbox pattern");
}

/** NIL is undefined. */
export function nstring(cursor: Cursor): string | undefined {
  const next = peek(cursor);
  if (next === '"' || next === "{") return string(cursor);
  if (keyword(cursor) !== "NIL") throw new ParseError("Expected a string or NIL");
  return undefined;
}

/** A parenthesised list, items parted by one space; `()` is the empty list. */
export function list<T>(cursor: Cursor, item: (cursor: Cursor) => T): readonly T[] {
  const items: T[] = [];
  expect(cursor, "(");
  if (skip(cursor, ")")) return items;
  do items.push(item(cursor));
  while (skip(cursor, " "));
  expect(cursor, ")");
  return items;
}

function text(cursor: Cursor): string {
  return cursor.command.texts[cursor.part] ?? "";
}

function matched(cursor: Cursor, pattern: RegExp, complaint: string): string {
  pattern.lastIndex = cursor.at;
  const match = pattern.exec(text(cursor));
  if (!match) throw new ParseError(complaint);
  cursor.at = pattern.lastIndex;
  return match[0];
}
