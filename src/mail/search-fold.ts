/**
 * Text made comparable: upper case, compatibility decomposition, as i;unicode-casemap (RFC 5051) and
 * Dovecot have it: `e` is found in `É`, whose accent follows as a character of its own.
 */
export function foldText(text: string): string {
  // Every way of folding leaves ASCII as its upper case; most mail has nothing else.
  if (/^[\0-\x7f]*$/.test(text)) return text.toUpperCase();
  // Simple case mapping keeps the length of ß; toUpperCase makes it SS.
  return text.replaceAll("ß", "ẞ").toUpperCase().normalize("NFKD");
}

/** Looks for a value in a text that comes in pieces. */
export interface TextFinder {
  /** True once the value was found. */
  push(text: string): boolean;
}

/** `folded` is the value, folded; an empty one is in every text. */
export function createTextFinder(folded: string): TextFinder {
  let found = folded === "";
  let tail = "";
  return {
    push(text) {
      if (found) return true;
      const window = tail + foldText(text);
      found = window.includes(folded);
      tail = folded.length > 1 ? window.slice(-(folded.length - 1)) : "";
      return found;
    },
  };
}
