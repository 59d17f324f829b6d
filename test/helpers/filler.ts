/**
 * Fills accounts: straight into a Maildir as Dovecot would have left it (fast, with UIDs, UIDVALIDITYs
 * and dates of one's choice), or over IMAP. What to fill is an `AccountPlan`; presets in
 * account-plans.ts. Plans are deterministic and can be walked again to know what was written.
 */
import { createHash } from "node:crypto";
import { closeSync, futimesSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as yieldToOthers } from "node:timers/promises";
import { encodeMailboxName } from "../../src/mail/mailbox-name.ts";
import type { Dovecot } from "./dovecot.ts";

export interface AccountPlan {
  readonly mailboxes: readonly MailboxPlan[];
  /** Subscribed names, as paths; may name mailboxes that do not exist. */
  readonly subscriptions: readonly (readonly string[])[];
  /** For the server's configuration: mailbox name (UTF-8) to attribute. */
  readonly specialUse: Readonly<Record<string, string>>;
}

export interface MailboxPlan {
  /** Components in Unicode; `["INBOX"]` is the INBOX. */
  readonly path: readonly string[];
  readonly uidValidity: number;
  /** Default: one above the last UID. */
  readonly uidNext?: number;
  /** In ascending order of UID; the same at every call. */
  messages(): Iterable<MessagePlan>;
}

export interface MessagePlan {
  readonly uid: number;
  /** The file's bytes. Dovecot sends each bare LF as CRLF. */
  readonly bytes: Buffer;
  /** System flags and keywords, no \Recent. */
  readonly flags: readonly string[];
  readonly epochSeconds: number;
  /** Only used over IMAP: a Maildir has no place for it. */
  readonly zoneMinutes?: number;
  /** Lies in new/; must have no flags. */
  readonly recent?: boolean;
  /** Dovecot's stored POP3 UIDL (no spaces) and order. */
  readonly uidl?: string;
  readonly pop3Order?: number;
}

/** For servers that take no other line ends. */
export function withCrlf(plan: AccountPlan): AccountPlan {
  const crlf = (bytes: Buffer): Buffer =>
    Buffer.from(bytes.toString("latin1").replace(/\r?\n/g, "\r\n"), "latin1");
  const mailboxes = plan.mailboxes.map((mailbox) => ({
    ...mailbox,
    *messages() {
      for (const message of mailbox.messages()) yield { ...message, bytes: crlf(message.bytes) };
    },
  }));
  return { ...plan, mailboxes };
}

export interface MaildirLayout {
  readonly separator: "." | "/";
  readonly prefix: string;
  readonly listEscape: boolean;
}

/** Writes the plan as a user's Maildir; call it while Dovecot does not have the account open. */
export async function fillAccount(dovecot: Dovecot, user: string, plan: AccountPlan): Promise<void> {
  await fillMaildir(dovecot.maildirOf(user), plan, dovecot.namespace);
  await dovecot.ownMail();
}

export async function fillMaildir(maildir: string, plan: AccountPlan, layout: MaildirLayout): Promise<void> {
  mkdirSync(maildir, { recursive: true });
  for (const mailbox of plan.mailboxes) await fillMailbox(maildir, mailbox, layout);
  const names = plan.subscriptions.map((path) => storagePath(path, layout).join("\t"));
  const tabbed = names.map((name) => `${name}\n`).join("");
  writeFileSync(join(maildir, "subscriptions"), `V\t2\n\n${tabbed}`, "latin1");
}

/** The mailbox's name on the wire. */
export function wireName(path: readonly string[], { separator, prefix }: MaildirLayout): string {
  const name = path.map(encodeMailboxName).join(separator);
  return name === "INBOX" || (prefix.startsWith("INBOX") && path[0] === "INBOX") ? name : prefix + name;
}

/** The folder of a mailbox below the Maildir; '' for the INBOX. */
export function maildirFolder(path: readonly string[], layout: MaildirLayout): string {
  if (path.length === 1 && path[0] === "INBOX") return "";
  return `.${storagePath(path, layout).join(".")}`;
}

/** Dovecot's names on disk: modified UTF-7, and with listescape `\hh` for what would mean something else. */
function storagePath(path: readonly string[], layout: MaildirLayout): string[] {
  const encoded: string[] = path.map(encodeMailboxName);
  if (!layout.listEscape) return encoded;
  return encoded.map((component) =>
    component.replace(/[./\\]|^~/g, (char) => `\\${char.charCodeAt(0).toString(16).padStart(2, "0")}`),
  );
}

async function fillMailbox(maildir: string, plan: MailboxPlan, layout: MaildirLayout): Promise<void> {
  const folder = join(maildir, maildirFolder(plan.path, layout));
  for (const sub of ["cur", "new", "tmp"]) mkdirSync(join(folder, sub), { recursive: true });
  if (folder !== maildir && plan.path.join() !== "INBOX") writeFileSync(join(folder, "maildirfolder"), "");
  const keywords: string[] = [];
  const lines: string[] = [];
  let lastUid = 0;
  for (const message of plan.messages()) {
    const name = writeMessage(folder, message, keywords);
    lines.push(uidlistLine(message, name));
    lastUid = message.uid;
    if (lines.length % 2000 === 0) await yieldToOthers();
  }
  const guid = createHash("md5")
    .update(`${plan.path.join("/")} ${plan.uidValidity}`)
    .digest("hex");
  const header = `3 V${plan.uidValidity} N${plan.uidNext ?? lastUid + 1} G${guid}\n`;
  writeFileSync(join(folder, "dovecot-uidlist"), header + lines.join(""), "latin1");
  const keywordLines = keywords.map((keyword, index) => `${index} ${keyword}\n`);
  if (keywords.length > 0) writeFileSync(join(folder, "dovecot-keywords"), keywordLines.join(""), "latin1");
}

/** Returns the base name. */
function writeMessage(folder: string, message: MessagePlan, keywords: string[]): string {
  const { bytes, uid, epochSeconds } = message;
  const sizes = `S=${bytes.length},W=${bytes.length + countBareLineFeeds(bytes)}`;
  const base = `${Math.max(epochSeconds, 1)}.M${uid}P1.filler,${sizes}`;
  const name = message.recent ? join("new", base) : join("cur", `${base}:2,${letters(message, keywords)}`);
  const file = openSync(join(folder, name), "wx");
  try {
    writeSync(file, bytes);
    futimesSync(file, epochSeconds, epochSeconds);
  } finally {
    closeSync(file);
  }
  return base;
}

const systemLetters = new Map([
  ["\\Draft", "D"],
  ["\\Flagged", "F"],
  ["\\Answered", "R"],
  ["\\Seen", "S"],
  ["\\Deleted", "T"],
]);

function letters({ flags, recent, uid }: MessagePlan, keywords: string[]): string {
  if (recent && flags.length > 0) throw new Error(`UID ${uid} is recent and has flags`);
  const found = flags.map((flag) => {
    const system = systemLetters.get(flag);
    if (system) return system;
    if (!keywords.includes(flag)) keywords.push(flag);
    const index = keywords.indexOf(flag);
    if (index >= 26) throw new Error("a Maildir has room for 26 keywords; set more over IMAP");
    return String.fromCharCode(0x61 + index);
  });
  return found.sort().join("");
}

function uidlistLine({ uid, uidl, pop3Order }: MessagePlan, base: string): string {
  const fields = (uidl === undefined ? "" : `P${uidl} `) + (pop3Order === undefined ? "" : `O${pop3Order} `);
  return `${uid} ${fields}:${base}\n`;
}

function countBareLineFeeds(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) {
    if (bytes[at - 1] !== 0x0d) count++;
  }
  return count;
}
