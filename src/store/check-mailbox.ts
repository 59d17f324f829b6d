/**
 * Holds one mailbox's files, read anew as Dovecot will read them, against what is known here: dovecot-uidlist,
 * dovecot-keywords, and each message's file with its size, date and flags. Nothing may change meanwhile.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { flagsOf } from "../mail/flags.ts";
import type { Uid } from "../mail/ids.ts";
import { breathe } from "../waiting.ts";
import { parseKeywords } from "./dovecot-keywords.ts";
import { parseUidlist, type Uidlist, type UidlistHeader } from "./dovecot-uidlist.ts";
import { flagsOfLetters, type Keywords } from "./flag-letters.ts";
import type { MailboxFolder } from "./mailbox-folder.ts";
import { baseOf, lettersOf, parseMaildirName } from "./maildir-name.ts";
import type { Pop3Place } from "./pop3-fields.ts";
import type { MailboxRecord, StoredMessage } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { errorCode } from "./store-errors.ts";

export interface MailboxToCheck {
  readonly writer: StoreContext["writer"];
  readonly folder: MailboxFolder;
  readonly record: MailboxRecord;
  /** All of them, ascending by UID. */
  readonly messages: readonly StoredMessage[];
  readonly placeOf: (uid: Uid) => Pop3Place;
}

export interface CheckedMailbox {
  /** As Dovecot will have it; undefined where there is no good dovecot-uidlist. */
  readonly guid: string | undefined;
  /** What does not agree, for people. */
  readonly problems: readonly string[];
  /** Files that nobody knows: mail that has just been delivered, mostly. */
  readonly unknownFiles: readonly string[];
  /** Which messages have a keyword that has no letter in file names. */
  readonly extraKeywords: ReadonlyMap<string, readonly Uid[]>;
}

type FullMessage = StoredMessage & { readonly presence: "full" };

/** Looked at before others get a turn. */
const messagesPerTurn = 5_000;

export async function checkMailbox(mailbox: MailboxToCheck): Promise<CheckedMailbox> {
  const { folder, record, messages } = mailbox;
  const list = parseUidlist(await textOf(join(folder.path, "dovecot-uidlist")));
  const keywords = parseKeywords(await textOf(join(folder.path, "dovecot-keywords")));
  const problems: string[] = list
    ? [...checkHeader(list.header, record), ...checkLines(list, mailbox)]
    : ["dovecot-uidlist is not one that Dovecot reads"];
  const unknownFiles = new Set(await namesIn(folder, "cur", "new"));
  const extraKeywords = new Map<string, Uid[]>();
  for (let from = 0; from < messages.length; from += messagesPerTurn) {
    const part = messages.slice(from, from + messagesPerTurn);
    for (const { uid, presence } of part)
      if (presence !== "full") problems.push(`UID ${uid}: its bytes are not here`);
    const full = part.filter((message) => message.presence === "full");
    problems.push(...(await checkFiles(mailbox, full)));
    for (const message of full) {
      unknownFiles.delete(`cur/${message.fileName}`);
      problems.push(...checkFlags(message, folder, keywords));
      noteExtraKeywords(extraKeywords, message, folder);
    }
    await breathe();
  }
  return { guid: list?.header.guid, problems, unknownFiles: [...unknownFiles], extraKeywords };
}

function checkHeader(header: UidlistHeader, { uidValidity, uidNext }: MailboxRecord): string[] {
  const problems: string[] = [];
  if (header.uidValidity !== uidValidity)
    problems.push(`UIDVALIDITY is ${uidValidity}, in dovecot-uidlist ${header.uidValidity}`);
  if (header.uidNext < uidNext) problems.push(`UIDNEXT is ${uidNext}, in dovecot-uidlist ${header.uidNext}`);
  return problems;
}

function checkLines({ records }: Uidlist, { messages, placeOf }: MailboxToCheck): string[] {
  const lines = new Map(records.map((line) => [line.uid, line]));
  const problems: string[] = [];
  for (const message of messages) {
    const line = lines.get(message.uid);
    lines.delete(message.uid);
    if (!line) {
      problems.push(`UID ${message.uid} is not in dovecot-uidlist`);
      continue;
    }
    if (message.presence === "full" && baseOf(message.fileName) !== line.fileName)
      problems.push(`UID ${message.uid}: dovecot-uidlist has another file, ${line.fileName}`);
    const { uidl, position } = placeOf(message.uid);
    if (uidl && !line.fields.includes(`P${uidl}`))
      problems.push(`UID ${message.uid}: its UIDL ${JSON.stringify(uidl)} cannot be kept in dovecot-uidlist`);
    if (position !== undefined && !line.fields.includes(`O${position}`))
      problems.push(`UID ${message.uid}: its place in the maildrop is not in dovecot-uidlist`);
  }
  return [...problems, ...[...lines.keys()].map((uid) => `UID ${uid} is in dovecot-uidlist only`)];
}

async function checkFiles(
  { writer, folder }: MailboxToCheck,
  messages: readonly FullMessage[],
): Promise<readonly string[]> {
  const names = messages.map(({ fileName }) => fileName);
  const { sizesBytes, mtimesSeconds } = await writer.run({
    kind: "stat",
    folder: join(folder.path, "cur"),
    names,
  });
  return messages.flatMap(({ uid, fileName, internalDate: { epochSeconds } }, index) => {
    const [sizeBytes, mtimeSeconds] = [sizesBytes[index], mtimesSeconds[index]];
    const named = parseMaildirName(fileName);
    if (sizeBytes === -1) return [`UID ${uid}: there is no file cur/${fileName}`];
    const problems: string[] = [];
    if (named && sizeBytes !== named.sizeBytes)
      problems.push(`UID ${uid}: cur/${fileName} has ${sizeBytes} bytes, not ${named.sizeBytes}`);
    if (mtimeSeconds !== epochSeconds)
      problems.push(
        `UID ${uid}: the mtime of cur/${fileName} is ${mtimeSeconds}, its INTERNALDATE ${epochSeconds}`,
      );
    return problems;
  });
}

/** Keywords are the same in any case, to Dovecot, too. */
function checkFlags(
  { uid, flags, fileName }: FullMessage,
  folder: MailboxFolder,
  keywords: Keywords,
): string[] {
  const { extraSlots } = folder.keywords.letters(flags);
  const extra = extraSlots.flatMap((slot) => folder.keywords.names[slot] ?? []);
  const read = flagsOf([...flagsOfLetters(lettersOf(fileName), [], keywords), ...extra]);
  if (read === flags) return [];
  const comparable = (names: readonly string[]): string => [...names].join(" ").toLowerCase();
  const [there, here] = [sorted(read), sorted(flags)].map(comparable);
  return there === here
    ? []
    : [`UID ${uid}: flags are (${flags.join(" ")}), in its file's name (${read.join(" ")})`];
}

function sorted(names: readonly string[]): readonly string[] {
  return names.map((name) => name.toLowerCase()).sort();
}

function noteExtraKeywords(
  extra: Map<string, Uid[]>,
  { uid, flags }: FullMessage,
  { keywords }: MailboxFolder,
): void {
  for (const slot of keywords.letters(flags).extraSlots) {
    const name = keywords.names[slot];
    if (name === undefined) continue;
    const uids = extra.get(name);
    if (uids) uids.push(uid);
    else extra.set(name, [uid]);
  }
}

/** Dovecot leaves names with a dot first alone. */
async function namesIn(folder: MailboxFolder, ...subs: readonly string[]): Promise<string[]> {
  const listed = await Promise.all(subs.map((sub) => readdir(join(folder.path, sub)).catch(absent([]))));
  return subs.flatMap((sub, index) =>
    (listed[index] ?? []).filter((name) => !name.startsWith(".")).map((name) => `${sub}/${name}`),
  );
}

/** '' where there is none. */
export function textOf(path: string): Promise<string> {
  return readFile(path, "latin1").catch(absent(""));
}

function absent<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (errorCode(error) === "ENOENT") return value;
    throw error;
  };
}
