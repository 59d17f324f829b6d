/**
 * A sidecar made from the Maildir alone, where index.db is gone with it: of a folder's file names and dovecot-uidlist
 * come UIDs, UIDVALIDITY, UIDNEXT, sizes and UIDLs, of mailboxes.json and the folders' names those of mailboxes. What
 * nobody knows any more: the zones of dates (+0000 then), when something was changed (everything counts as changed
 * now), sizes that LIST told.
 */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import {
  encodedMailboxName,
  inbox,
  type MailboxId,
  type ModSeq,
  mailboxId,
  maxUid,
  modSeq,
  type UidValidity,
  uid,
  uidl,
  uidValidity,
} from "../mail/ids.ts";
import { parseUidlist, parseUidlistHeader, type Uidlist, type UidlistRecord } from "./dovecot-uidlist.ts";
import { nextUidValidity } from "./dovecot-uidvalidity.ts";
import { nameInDovecot } from "./mailbox-directory.ts";
import { type MailboxNames, readNames } from "./mailbox-names-file.ts";
import { type MaildirName, parseMaildirName } from "./maildir-name.ts";
import type { MaildropEntry } from "./maildrop-table.ts";
import { namesIn } from "./names-in.ts";
import { uidlFormatKey } from "./pop3-fields.ts";
import type { KeptMailbox } from "./sidecar-db.ts";
import type { StoreContext } from "./store-context.ts";
import { errorCode } from "./store-errors.ts";
import { parseSubscriptions } from "./subscriptions.ts";

type Parts = Omit<StoreContext, "writer" | "flusher" | "flushAhead">;

/** Those of every server; keywords are added as they are met. */
const systemFlagNames = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];

/** Messages put in before others get a turn. */
const messagesPerTurn = 2_000;

/** Where the list is lost nobody knows which UIDs above those of the files were given out. */
const uidGap = 100_000;

interface FoundFolder {
  /** '' for INBOX. */
  readonly directory: string;
  readonly id: MailboxId | undefined;
  readonly uidValidity: UidValidity;
  readonly uidNext: number;
  readonly guid: string;
  readonly files: readonly MaildirName[];
  readonly uidlist: Uidlist | undefined;
}

/** Set while it is done, and when it was cut off. */
const rebuildingKey = "rebuilding";

/** Set where mailboxes were added that the account's listing may not have: JSON of a `PersonalNamespace`. */
export const rebuiltNamesKey = "rebuilt-names";

export interface PersonalNamespace {
  readonly prefix: string;
  readonly separator: string | null;
}

export function isRebuilding({ sidecar }: Pick<StoreContext, "sidecar">): boolean {
  return sidecar.readSetting(rebuildingKey) === "yes";
}

/** Of all folders that no mailbox of the sidecar has; the names of those that it has made. */
export async function rebuildFromFolders(parts: Parts): Promise<readonly string[]> {
  const { maildir, directory, database, index, sidecar, logger } = parts;
  const known = new Map(sidecar.mailboxes().map(({ record }) => [record.id, record.directory]));
  const folders = (await foldersIn(maildir)).filter((name) => ![...known.values()].includes(name));
  if (folders.length === 0) return [];
  sidecar.writeSetting(rebuildingKey, "yes");
  const named = readNames(directory, logger);
  const subscribed = subscribedFolders(maildir);
  const at = modSeq(BigInt(Date.now()) * 1000n);
  const made: string[] = [];
  for (const name of folders) {
    const found = await look(maildir, name, named);
    const kept = found.id && known.get(found.id);
    // Renamed since the sidecar was saved; a folder that was copied is another mailbox.
    const isRenamed = kept !== undefined && !existsSync(join(maildir, kept));
    const id = found.id !== undefined && (kept === undefined || isRenamed) ? found.id : nextId(known, named);
    const mailbox = mailboxOf(found, { id, at, named, subscribed });
    if (found.id === id) await putMessages(parts, id, found, at);
    database.transaction(() => {
      sidecar.restoreMailbox(mailbox);
      // HIGHESTMODSEQ is what both have.
      index.putMailbox(id, mailbox.record.uidValidity, at);
    });
    known.set(id, name);
    made.push(mailbox.record.name);
  }
  const { uidlFormat } = named;
  database.transaction(() => {
    if (uidlFormat !== undefined && sidecar.readSetting(uidlFormatKey) === undefined)
      sidecar.writeSetting(uidlFormatKey, uidlFormat);
    sidecar.writeSetting(rebuiltNamesKey, JSON.stringify(namespaceOf(named)));
    sidecar.writeSetting(rebuildingKey, "");
  });
  return made;
}

async function foldersIn(maildir: string): Promise<readonly string[]> {
  const names = await readdir(maildir);
  return [
    "",
    ...names.filter((name) => name.startsWith(".") && existsSync(join(maildir, name, "cur"))).sort(),
  ];
}

async function look(maildir: string, directory: string, named: MailboxNames): Promise<FoundFolder> {
  const path = join(maildir, directory);
  const names = [...(await namesIn(join(path, "cur"))), ...(await namesIn(join(path, "new")))];
  const text = textOf(join(path, "dovecot-uidlist"));
  const uidlist = parseUidlist(text);
  // A list that cannot be read to its end tells this much.
  const header = uidlist?.header ?? parseUidlistHeader(text.split("\n", 1)[0] ?? "");
  const files = ofOneMailbox(
    names.flatMap((name) => parseMaildirName(name) ?? []),
    header?.uidValidity,
  );
  const noted = named.mailboxes.find((one) => one.directory === directory);
  const first = files[0] && { id: files[0].mailbox, uidValidity: files[0].uidValidity };
  const validity = first?.uidValidity ?? header?.uidValidity ?? noted?.uidValidity;
  const isSame = header !== undefined && header.uidValidity === validity;
  const above = files.reduce((highest, file) => Math.max(highest, file.uid), 0) + 1;
  const gap = validity !== undefined && !isSame ? uidGap : 0;
  return {
    directory,
    id: first?.id ?? noted?.id,
    uidValidity: validity ?? uidValidity(nextUidValidity(maildir, 0)),
    uidNext: Math.min(maxUid, Math.max(above + gap, isSame ? header.uidNext : 1)),
    guid: header?.guid ?? randomBytes(16).toString("hex"),
    files,
    uidlist: isSame ? uidlist : undefined,
  };
}

/** Those of the mailbox and UIDVALIDITY that most have, or that the list tells. */
function ofOneMailbox(
  files: readonly MaildirName[],
  wanted: UidValidity | undefined,
): readonly MaildirName[] {
  const groups = Map.groupBy(files, ({ mailbox, uidValidity: validity }) => `${mailbox} ${validity}`);
  const all = [...groups.values()].sort((a, b) => b.length - a.length);
  return all.find(([file]) => file?.uidValidity === wanted) ?? all[0] ?? [];
}

interface Naming {
  readonly id: MailboxId;
  readonly at: ModSeq;
  readonly named: MailboxNames;
  readonly subscribed: ReadonlySet<string>;
}

function mailboxOf(found: FoundFolder, { id, at, named, subscribed }: Naming): KeptMailbox {
  const { directory, guid } = found;
  const noted = named.mailboxes.find((one) => one.directory === directory);
  const { separator, prefix } = noted ?? namespaceOf(named);
  const name = noted?.name ?? nameInDovecot(directory, { separator, prefix });
  return {
    guid,
    prefix,
    record: {
      id,
      name: encodedMailboxName(name),
      separator,
      attributes: noted?.attributes ?? [],
      subscribed: subscribed.has(directory),
      directory,
      uidValidity: found.uidValidity,
      uidNext: uid(found.uidNext),
      highestModSeq: at,
      flags: systemFlagNames,
      permanentFlags: [],
    },
  };
}

function namespaceOf({ mailboxes }: MailboxNames): PersonalNamespace {
  // INBOX has none of it.
  const { prefix, separator } = mailboxes.find((one) => one.name !== inbox) ??
    mailboxes[0] ?? { prefix: "", separator: "." };
  return { prefix, separator };
}

/** Of those that the list has: another file was expunged once, and put back. */
async function putMessages(parts: Parts, id: MailboxId, found: FoundFolder, at: ModSeq): Promise<void> {
  const { database, sidecar, maildrop } = parts;
  const records = new Map(found.uidlist?.records.map((record) => [record.uid, record]));
  const isListed = ({ uid: number }: MaildirName): boolean =>
    !found.uidlist || records.has(number) || number >= found.uidlist.header.uidNext;
  const files = found.files.filter(isListed).sort((a, b) => a.uid - b.uid);
  for (let from = 0; from < files.length; from += messagesPerTurn) {
    if (from > 0) await nextTurn();
    const part = files.slice(from, from + messagesPerTurn);
    database.transaction(() => {
      for (const { uid: number, sizeBytes } of part)
        sidecar.putExtras(id, { uid: number, sizeBytes, zoneMinutes: 0, modSeq: at, extraSlots: [] });
    });
  }
  const entries = maildropOf(id, files, records);
  const last = entries.findLast(({ position }) => position < lastPosition)?.message?.uid;
  if (entries.length > 0) maildrop.change({ removed: [], put: entries });
  if (last !== undefined) maildrop.noteListedUpTo(id, uid(last + 1));
}

/** Of those that come last, by UID; far above all that a server has. */
const lastPosition = 1_000_000_000;

/** P and O of the list. */
function maildropOf(
  mailbox: MailboxId,
  files: readonly MaildirName[],
  records: ReadonlyMap<number, UidlistRecord>,
): MaildropEntry[] {
  return files.flatMap(({ uid: number, sizeBytes }, at) => {
    const fields = records.get(number)?.fields ?? [];
    const value = (key: string): string | undefined => fields.find((field) => field[0] === key)?.slice(1);
    const text = value("P");
    if (text === undefined) return [];
    const position = Number(value("O")) || lastPosition + at;
    const message = { mailbox, uid: number };
    const known = { position, uidl: uidl(text), sizeBytes, message };
    return [{ ...known, isRemoved: false, problem: undefined, print: undefined }];
  });
}

function nextId(known: ReadonlyMap<MailboxId, string>, { mailboxes }: MailboxNames): MailboxId {
  return mailboxId(Math.max(0, ...known.keys(), ...mailboxes.map(({ id }) => id)) + 1);
}

/** Folders of the names in Dovecot's file. */
function subscribedFolders(maildir: string): ReadonlySet<string> {
  const names = parseSubscriptions(textOf(join(maildir, "subscriptions"))) ?? [];
  return new Set(names.map((levels) => (levels.join() === "INBOX" ? "" : `.${levels.join(".")}`)));
}

/** '' where there is no such file. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
    return "";
  }
}
