/** Feeds noise to the command parser and holds it to its promise: a ParseError, soon, and no other failure. */
import { commandNamed } from "../../src/imap/commands/table.ts";
import { type CommandText, createFragmenter, type FragmentLimits } from "../../src/imap/fragments.ts";
import { parseCommandLine } from "../../src/imap/parser.ts";
import { ParseError } from "../../src/imap/tokens.ts";
import { noisyCommand } from "../helpers/command-noise.ts";
import { createRandom } from "../helpers/random.ts";

export const wideLimits: FragmentLimits = {
  maxTextBytes: 1 << 20,
  maxLiteralBytes: 1 << 20,
  maxKeptBytes: 1 << 20,
  maxDroppedBytes: 1 << 20,
};

/** Far above what any input of this size needs, and above the pauses of a busy machine. */
const maxMs = 250;

export interface Tally {
  parsed: number;
  refused: number;
}

export function fuzzParser(seed: number, count: number): Tally {
  const random = createRandom(seed);
  const tally: Tally = { parsed: 0, refused: 0 };
  for (let index = 0; index < count; index++) {
    const bytes = noisyCommand(random);
    try {
      const started = performance.now();
      parseAll(bytes, tally);
      // A pause of the machine does not come twice.
      if (performance.now() - started > maxMs && timeOf(bytes) > maxMs) throw new Error("took too long");
    } catch (error) {
      throw new Error(`seed ${seed}, input ${index}: ${JSON.stringify(bytes.toString("latin1"))}`, {
        cause: error,
      });
    }
  }
  return tally;
}

/** All commands that the bytes hold. */
export function parseAll(bytes: Buffer, tally: Tally = { parsed: 0, refused: 0 }): Tally {
  const fragmenter = createFragmenter();
  fragmenter.push(bytes);
  for (;;) {
    const fragment = fragmenter.next(wideLimits);
    if (!fragment || fragment.kind === "flood") return tally;
    if (fragment.kind === "command" && parses(fragment.command)) tally.parsed++;
    else tally.refused++;
  }
}

function timeOf(bytes: Buffer): number {
  const started = performance.now();
  parseAll(bytes);
  return performance.now() - started;
}

function parses(text: CommandText): boolean {
  const { name, cursor } = parseCommandLine(text);
  const command = commandNamed(name);
  if (!command) return false;
  try {
    command.parse(cursor);
    return true;
  } catch (error) {
    if (error instanceof ParseError) return false;
    throw error;
  }
}
