/**
 * The answer to RETR, held against the size that LIST tells: the same within line ends, with the one that a message
 * without a last line end gets on the wire.
 */
import { createPrint, isMerePart } from "./contradiction.ts";

export interface Pop3Answer {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly agreesWith: (told: number) => boolean;
  /**
   * Whether the same bytes twice may prove that it is the size that is wrong: not of a mere part, nor where just dots
   * are missing that a server may have left unstuffed. Of sizes that are a guess it is chance where they come close.
   */
  readonly isProvable: (told: number, isGuess: boolean) => boolean;
}

export interface Pop3Print {
  add(chunk: Buffer): void;
  end(): Pop3Answer;
}

const dot = 0x2e;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
/** More than any message has. */
const maxDots = 100_000;

export function createPop3Print(): Pop3Print {
  const print = createPrint();
  let before = 0;
  let last = lineFeed;
  /** Lines that begin with a dot. */
  let dots = 0;
  return {
    add(chunk) {
      if (chunk.length === 0) return;
      print.add(chunk);
      for (let at = chunk.indexOf(dot); at >= 0; at = chunk.indexOf(dot, at + 1))
        if ((at === 0 ? last : chunk[at - 1]) === lineFeed) dots++;
      before = chunk.at(-2) ?? last;
      last = chunk.at(-1) ?? last;
    },
    end() {
      const { digest, sizeBytes, agreesWith: isWhole } = print.end();
      const added = last !== lineFeed ? 0 : before === carriageReturn ? 2 : 1;
      const agreesWith = (told: number): boolean => {
        if (isWhole(told)) return true;
        // Nothing is not a message, be it called a line end.
        if (sizeBytes <= added) return false;
        for (let more = 1; more <= added; more++) if (isWhole(told + more)) return true;
        return false;
      };
      const lacksDots = (told: number, isGuess: boolean): boolean => {
        if (isGuess) return told > sizeBytes && told <= sizeBytes + dots;
        for (let some = 1; some <= Math.min(dots, maxDots); some++) if (agreesWith(told - some)) return true;
        return false;
      };
      return {
        digest,
        sizeBytes,
        agreesWith,
        isProvable: (told, isGuess) => !isMerePart(sizeBytes, told) && !lacksDots(told, isGuess),
      };
    },
  };
}
