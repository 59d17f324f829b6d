/**
 * Names for messages of an old maildrop that have no UIDL (RFC 1939 7 has it optional, and some servers leave it empty):
 * they keep messages apart here, and no client is told them. A server writes no control character into one.
 */
import { noUidl, type Uidl, uidl } from "./ids.ts";

const mark = "\x01";

/** By its place, for a server that has none for any: good for one session, as those of a server that counts. */
export function madeOfNumber(number: number): Uidl {
  return uidl(`${mark}${number}`);
}

/** By what it is, for the one that has none among others. */
export function madeOfHeader(print: string): Uidl {
  return uidl(`${mark}${print}`);
}

export function isMade(one: Uidl): boolean {
  return one.startsWith(mark);
}

/** As the old server tells it. */
export function toldUidl(one: Uidl): Uidl {
  return isMade(one) ? noUidl : one;
}

export function withoutMark(one: Uidl): string {
  return isMade(one) ? one.slice(mark.length) : one;
}

/** For people. */
export function nameByUidl(one: Uidl): string {
  return isMade(one) ? "POP3 message without a UIDL" : `POP3 message with the UIDL ${one}`;
}
