/**
 * Spoils what a server sends, at random: lines are dropped, cut, repeated or put in another order, numbers are other
 * ones, literals have another length than was announced or are NIL, and connections end in the middle. Bytes within a
 * message stay as they are: no reader could know.
 */
import { createRandom, type Random } from "./random.ts";

/** Lines with their CRLF, literals as pieces of their own. */
function piecesOf(text: string): string[] {
  const pieces: string[] = [];
  let at = 0;
  while (at < text.length) {
    const end = text.indexOf("\r\n", at);
    const stop = end < 0 ? text.length : end + 2;
    const line = text.slice(at, stop);
    pieces.push(line);
    at = stop;
    const bytes = Number(/\{(\d+)\}\r\n$/.exec(line)?.[1] ?? 0);
    if (bytes === 0) continue;
    pieces.push(text.slice(at, at + bytes));
    at += bytes;
  }
  return pieces;
}

const announced = /\{\d+\}\r\n$/;

type Spoil = (pieces: string[], index: number, random: Random) => string[] | "end";

const spoils: readonly Spoil[] = [
  (pieces, index) => pieces.toSpliced(index, announced.test(pieces[index] ?? "") ? 2 : 1),
  (pieces, index) => pieces.toSpliced(index, 0, pieces[index] ?? ""),
  (pieces, index) => pieces.toSpliced(index, 2, ...pieces.slice(index, index + 2).reverse()),
  (pieces, index, random) => pieces.with(index, withOtherNumber(pieces[index] ?? "", random)),
  (pieces, index) => {
    const at = pieces.findIndex((piece, place) => place >= index && announced.test(piece));
    if (at < 0) return pieces;
    return pieces.toSpliced(at, 2, (pieces[at] ?? "").replace(announced, "NIL"));
  },
  (pieces, index, random) => {
    const at = pieces.findIndex((piece, place) => place >= index && announced.test(piece));
    if (at < 0) return pieces;
    const bytes = Number(/(\d+)\}\r\n$/.exec(pieces[at] ?? "")?.[1]);
    const other = Math.max(0, bytes + random.pick([-40, -5, -3, -2, -1, 1, 2, 3, 60]));
    return pieces.with(at, (pieces[at] ?? "").replace(announced, `{${other}}\r\n`));
  },
  () => "end",
];

function withOtherNumber(line: string, random: Random): string {
  const numbers = [...line.matchAll(/\b\d+\b/g)];
  const one = numbers.length === 0 ? undefined : random.pick(numbers);
  if (!one) return line;
  const other = random.pick([0, 1, Number(one[0]) + 1, Math.max(0, Number(one[0]) - 1), 4_294_967_295]);
  return line.slice(0, one.index) + String(other) + line.slice(one.index + one[0].length);
}

/** One of `oneIn` answers is spoilt. "end": the connection ends, perhaps behind the first part. */
export function createDamage(random: Random, oneIn: number): (text: string) => string | "end" {
  return (text) => {
    if (random.below(oneIn) > 0) return text;
    const pieces = piecesOf(text);
    const index = random.below(pieces.length);
    // What a literal holds is left as it is.
    const isLiteral = index > 0 && announced.test(pieces[index - 1] ?? "");
    const spoilt = random.pick(spoils)(pieces, isLiteral ? index - 1 : index, random);
    return spoilt === "end" ? "end" : spoilt.join("");
  };
}

/**
 * The same answer is spoilt the same way each time, on each connection: one line of `oneIn`. LIST is left alone, since a
 * mailbox that is never listed is none.
 */
export function createLastingDamage(seed: number, oneIn: number): (text: string) => string | "end" {
  return (text) => {
    let pieces = piecesOf(text);
    for (const [index, piece] of piecesOf(text).entries()) {
      if (!/^\* (?!LIST|LSUB)/.test(piece)) continue;
      const random = createRandom(hashOf(piece) ^ seed);
      if (random.below(oneIn) > 0 || pieces[index] !== piece) continue;
      const spoilt = random.pick(spoils)(pieces, index, random);
      if (spoilt === "end") return "end";
      pieces = spoilt;
    }
    return pieces.join("");
  };
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
