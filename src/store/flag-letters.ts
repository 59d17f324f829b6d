/**
 * Flags as a Maildir file name holds them: D F R S T for the system flags, a-z for the first 26 keywords
 * of the mailbox by their place in dovecot-keywords. Keywords past the 26th have a slot but no letter.
 */
import { type Flags, flagsOf, isSystemFlag } from "../mail/flags.ts";

/** Keywords by slot; slots 0..25 are the letters a-z. */
export type Keywords = readonly string[];

export const letterSlots = 26;

const systemLetters = new Map([
  ["\\Draft", "D"],
  ["\\Flagged", "F"],
  ["\\Answered", "R"],
  ["\\Seen", "S"],
  ["\\Deleted", "T"],
]);
const systemFlags = new Map([...systemLetters].map(([flag, letter]) => [letter, flag]));

export interface FlagLetters {
  /** Sorted as Dovecot writes them. */
  readonly letters: string;
  /** Slots from 26 on: for the sidecar. */
  readonly extraSlots: readonly number[];
}

/** `slotOf` finds or makes a keyword's slot. */
export function flagLetters(flags: Flags, slotOf: (keyword: string) => number): FlagLetters {
  const letters: string[] = [];
  const extraSlots: number[] = [];
  for (const flag of flags) {
    const letter = systemLetters.get(flag);
    if (letter !== undefined) letters.push(letter);
    else if (!isSystemFlag(flag)) {
      const slot = slotOf(flag);
      if (slot < letterSlots) letters.push(slotLetter(slot));
      else extraSlots.push(slot);
    }
  }
  return { letters: letters.sort().join(""), extraSlots: extraSlots.sort((a, b) => a - b) };
}

/** Letters without a keyword (nobody's, or of a keyword that is lost) are left out. */
export function flagsOfLetters(letters: string, extraSlots: readonly number[], keywords: Keywords): Flags {
  const names: string[] = [];
  for (const letter of letters) {
    const name = systemFlags.get(letter) ?? keywords[letter.charCodeAt(0) - 97];
    if (name !== undefined) names.push(name);
  }
  for (const slot of extraSlots) {
    const name = keywords[slot];
    if (name !== undefined) names.push(name);
  }
  return flagsOf(names);
}

/** Letters of an existing name that are neither a flag we know nor a keyword: kept on a rename. */
export function foreignLetters(letters: string): string {
  return letters.replace(/[DFRSTa-z]/g, "");
}

function slotLetter(slot: number): string {
  return String.fromCharCode(97 + slot);
}
