/**
 * How much an old POP3 server may say before it ends an answer: what LIST allows, and a good deal beside that. One that
 * does not come to the end of an answer is left: it would fill the memory or the disk, and push on every deadline.
 */
import { ServerFault } from "./server-fault.ts";

/** Bytes that push on the deadline, of an answer that has many: so few in all that time are no answer. */
export const progressBytes = 4 << 10;

/** No maildrop that can be served has more. */
const maxMessages = 1_000_000;
/** Lines that name no message, or one twice. */
const freeLines = 1_000;
/** RFC 1939 7: a UIDL has 70 characters; servers tell longer ones. */
const maxLineBytes = 8 << 10;
const lf = 0x0a;

/** Servers are seen that tell a size with other line ends, without the header, or of what is compressed. */
const freeBytes = 32 << 20;
const timesLonger = 4;
/** Of a message of which LIST tells no size, or 0 as of all. */
const maxUnlistedBytes = 1 << 30;

/** Counts a message's bytes; throws where they are far more than LIST tells. */
export function contentAllowance(listedBytes: number | undefined): (bytes: number) => void {
  const most = listedBytes ? timesLonger * listedBytes + freeBytes : maxUnlistedBytes;
  let sum = 0;
  return (bytes) => {
    sum += bytes;
    if (sum > most) throw endless();
  };
}

/** What is gathered in memory: at most so much. */
export function gatheringAllowance(mostBytes: number): (bytes: number) => void {
  let sum = 0;
  return (bytes) => {
    sum += bytes;
    if (sum > mostBytes) throw endless();
  };
}

export interface PairReader {
  readonly onBytes: (piece: Buffer) => undefined;
  /** `1 text` on each line; a line that is none is passed over. */
  readonly pairs: ReadonlyMap<number, string>;
}

/** Reads LIST or UIDL as it comes: each message has one line. */
export function createPairReader(): PairReader {
  const pairs = new Map<number, string>();
  let begun: Buffer[] = [];
  let begunBytes = 0;
  let lines = 0;
  const takeLine = (line: Buffer): void => {
    const match = /^(\d{1,9}) +(\S(?:.*\S)?) *\r?$/.exec(line.toString("latin1"));
    if (match?.[2] !== undefined) pairs.set(Number(match[1]), match[2]);
    if (++lines > pairs.size + freeLines || pairs.size > maxMessages) throw endless();
  };
  return {
    pairs,
    onBytes(piece) {
      let at = 0;
      for (let end = piece.indexOf(lf); end >= 0; end = piece.indexOf(lf, at)) {
        const rest = piece.subarray(at, end);
        takeLine(begun.length === 0 ? rest : Buffer.concat([...begun, rest]));
        [begun, begunBytes] = [[], 0];
        at = end + 1;
      }
      if (at === piece.length) return undefined;
      begun.push(piece.subarray(at));
      begunBytes += piece.length - at;
      if (begunBytes > maxLineBytes) throw endless();
      return undefined;
    },
  };
}

function endless(): ServerFault {
  return new ServerFault("The old POP3 server does not come to the end of an answer");
}
