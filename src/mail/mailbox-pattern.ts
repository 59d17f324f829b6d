/** LIST's wildcards (RFC 3501 6.3.8), without regular expressions: the work is bounded by name times pattern. */
import { type EncodedMailboxName, encodedMailboxName } from "./ids.ts";

/**
 * `*` matches anything, `%` anything but the separator. The first component of a name is compared
 * without case where it is INBOX, as Dovecot does, wildcards before it or not.
 */
export function matchesPattern(name: EncodedMailboxName, pattern: string, separator: string | null): boolean {
  const wanted = pattern.replace(/[*%]*\*[*%]*/g, "*").replace(/%+/g, "%");
  const inbox = startsWithInbox(name, separator);
  // Positions in the pattern that the name may have come to so far, ascending.
  let states = reach([0], wanted);
  for (let at = 0; at < name.length && states.length > 0; at++) {
    const char = name[at] as string;
    const folded = inbox && at < 5;
    const next: number[] = [];
    for (const state of states) {
      const expected = wanted[state];
      if (expected === "*" || (expected === "%" && char !== separator)) add(next, state);
      else if (expected === char || (folded && expected?.toUpperCase() === char)) add(next, state + 1);
    }
    states = reach(next, wanted);
  }
  return states.at(-1) === wanted.length;
}

/** The names above a name, outermost first: `a` and `a/b` for `a/b/c`. */
export function parentsOf(name: EncodedMailboxName, separator: string | null): readonly EncodedMailboxName[] {
  const parents: EncodedMailboxName[] = [];
  if (!separator) return parents;
  for (let at = name.indexOf(separator, 1); at >= 0; at = name.indexOf(separator, at + 1)) {
    if (name[at - 1] !== separator) parents.push(encodedMailboxName(name.slice(0, at)));
  }
  return parents;
}

/** Adds the positions behind wildcards, which may match nothing. */
function reach(states: readonly number[], pattern: string): number[] {
  const reached: number[] = [];
  for (const state of states) {
    add(reached, state);
    if (pattern[state] === "*" || pattern[state] === "%") add(reached, state + 1);
  }
  return reached;
}

/** Adjacent wildcards were merged, so that positions come in ascending order, twice at most. */
function add(states: number[], state: number): void {
  if (states.at(-1) !== state) states.push(state);
}

function startsWithInbox(name: string, separator: string | null): boolean {
  if (name.length > 5 && name[5] !== separator) return false;
  return name.slice(0, 5) === "INBOX";
}
