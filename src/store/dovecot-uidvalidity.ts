/**
 * dovecot-uidvalidity at the Maildir's root: 8 hex digits, the last UIDVALIDITY given out, and an empty
 * read-only file that carries the same digits in its name. Dovecot takes the next one for a mailbox
 * that it makes; it must stay at or above every UIDVALIDITY in use, or a mailbox made again could get
 * that of the one before.
 */
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

const fileName = "dovecot-uidvalidity";

export function formatUidValidity(value: number): string {
  return value.toString(16).padStart(8, "0");
}

/** undefined where it is not one. */
export function parseUidValidity(text: string): number | undefined {
  return /^[0-9a-f]{8}$/.test(text.trim()) ? Number.parseInt(text.trim(), 16) : undefined;
}

/** Raises the kept value to `atLeast`; never lowers it. Tells whether anything was written. */
export function raiseUidValidity(root: string, atLeast: number): boolean {
  const carriers = readdirSync(root).filter((name) => /^dovecot-uidvalidity\.[0-9a-f]{8}$/.test(name));
  const values = carriers.map((name) => parseUidValidity(name.slice(-8)) ?? 0);
  const kept = keptUidValidity(root);
  const current = Math.max(0, ...values, kept);
  if (current >= atLeast && current === kept && carriers.length === 1) return false;
  const digits = formatUidValidity(Math.max(current, atLeast));
  closeSync(openSync(join(root, `${fileName}.${digits}`), "a", 0o444));
  const temporary = join(root, `${fileName}.tmp`);
  writeFileSync(temporary, digits, { mode: 0o600 });
  renameSync(temporary, join(root, fileName));
  for (const name of carriers) if (!name.endsWith(digits)) unlinkSync(join(root, name));
  return true;
}

/** Above every one given out so far, and of this moment, as Dovecot makes them. */
export function nextUidValidity(root: string, inUse: number): number {
  const next = Math.max(Math.floor(Date.now() / 1000), inUse + 1, keptUidValidity(root) + 1);
  raiseUidValidity(root, next);
  return next;
}

/** The last one that was given out; 0 where none was. */
export function keptUidValidity(root: string): number {
  try {
    return parseUidValidity(readFileSync(join(root, fileName), "latin1")) ?? 0;
  } catch {
    // No file yet: nothing was given out.
    return 0;
  }
}
