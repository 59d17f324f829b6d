/**
 * Dovecot's `subscriptions`, version 2: storage names, one a line, their levels separated by TAB and
 * escaped as Dovecot escapes tab-separated text.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

const header = "V\t2\n\n";
const escapes: Readonly<Record<string, string>> = {
  "\x01": "\x011",
  "\0": "\x010",
  "\t": "\x01t",
  "\r": "\x01r",
  "\n": "\x01n",
};
const unescapes = new Map(Object.entries(escapes).map(([char, escaped]) => [escaped, char]));

export type StorageName = readonly string[];

export function formatSubscriptions(names: readonly StorageName[]): string {
  return header + names.map((levels) => `${levels.map(escapeLevel).join("\t")}\n`).join("");
}

/** undefined where it is not version 2 (version 1 cannot be told from its separator). */
export function parseSubscriptions(text: string): StorageName[] | undefined {
  if (!text.startsWith(header)) return undefined;
  const lines = text.slice(header.length).split("\n");
  return lines.filter((line) => line !== "").map((line) => line.split("\t").map(unescapeLevel));
}

/** The caller holds the lock of the file. False where it says that already. */
export function writeSubscriptionsFile(path: string, names: readonly StorageName[]): boolean {
  const text = formatSubscriptions(names);
  if (existsSync(path) && readFileSync(path, "latin1") === text) return false;
  const temporary = `${path}.tmp`;
  writeFileSync(temporary, text, { encoding: "latin1", mode: 0o600 });
  renameSync(temporary, path);
  return true;
}

function escapeLevel(level: string): string {
  return level.replace(/[\x00\x01\t\r\n]/g, (char) => escapes[char] ?? char);
}

function unescapeLevel(text: string): string {
  return text.replace(/\x01[10trn]/g, (escaped) => unescapes.get(escaped) ?? escaped);
}
