/**
 * dovecot-keywords: `<slot> <name>` lines for the keyword letters a-z (slots 0..25). Dovecot compares
 * names without case and reads the file anew when its mtime has changed.
 */
import { renameSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { type Keywords, letterSlots } from "./flag-letters.ts";

export function formatKeywords(keywords: Keywords): string {
  return keywords
    .slice(0, letterSlots)
    .map((name, slot) => `${slot} ${name}\n`)
    .join("");
}

/** By slot; a line that is none, or past slot 25, is skipped. Slots may be missing (a sparse array). */
export function parseKeywords(text: string): string[] {
  const keywords: string[] = [];
  for (const line of text.split("\n")) {
    const match = /^(\d{1,2}) (\S.*)$/.exec(line);
    if (match?.[2] !== undefined && Number(match[1]) < letterSlots) keywords[Number(match[1])] = match[2];
  }
  return keywords;
}

/** The caller holds the lock of dovecot-uidlist. */
export function writeKeywordsFile(path: string, keywords: Keywords): void {
  const before = statSync(path, { throwIfNoEntry: false });
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, formatKeywords(keywords), { encoding: "latin1", mode: 0o600 });
  // Seconds are all that Dovecot compares.
  const mtimeSeconds = Math.max(Math.floor(Date.now() / 1000), Math.floor((before?.mtimeMs ?? 0) / 1000) + 1);
  utimesSync(temporary, mtimeSeconds, mtimeSeconds);
  renameSync(temporary, path);
}
