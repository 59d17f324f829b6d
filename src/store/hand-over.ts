/**
 * An account's Maildir for a stock Dovecot: writes anew whatever Dovecot reads of it, reads all of it back, and
 * tells what does not agree with what is known here.
 */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { EncodedMailboxName } from "../mail/ids.ts";
import { decodeMailboxName, encodeMailboxName } from "../mail/mailbox-name.ts";
import { type CheckedMailbox, checkMailbox, textOf } from "./check-mailbox.ts";
import { writeUidlist } from "./checkpoint.ts";
import { acquireDotlock, uidlistLock } from "./dotlock.ts";
import { formatKeywords, parseKeywords, writeKeywordsFile } from "./dovecot-keywords.ts";
import { keptUidValidity, raiseUidValidity } from "./dovecot-uidvalidity.ts";
import { nameInDovecot } from "./mailbox-directory.ts";
import type { MailboxFolder } from "./mailbox-folder.ts";
import type { MailboxRegistry } from "./mailbox-registry.ts";
import { pop3FieldsOf, pop3PlacesOf } from "./pop3-fields.ts";
import type { MailboxRecord, StoredMessage } from "./store.ts";
import type { StoreContext } from "./store-context.ts";
import { parseSubscriptions } from "./subscriptions.ts";
import { storageName, writeSubscriptions } from "./write-subscriptions.ts";

export interface HandoverRequest {
  /** All that there are. */
  readonly mailboxes: readonly {
    readonly record: MailboxRecord;
    /** All of them, ascending by UID. */
    readonly messages: readonly StoredMessage[];
  }[];
  readonly subscriptions: readonly EncodedMailboxName[];
  readonly separator: string | null;
}

export interface HandedMaildir {
  /** What does not agree and belongs to no mailbox, for people. */
  readonly problems: readonly string[];
  /** In the order of the request. */
  readonly mailboxes: readonly (CheckedMailbox & { readonly record: MailboxRecord })[];
  /** Dovecot needs listescape to tell the names. */
  readonly hasEscapedNames: boolean;
}

/** Nothing may change meanwhile. */
export async function handOver(
  context: StoreContext,
  registry: MailboxRegistry,
  request: HandoverRequest,
  signal: AbortSignal,
): Promise<HandedMaildir> {
  const { maildir, writer, flusher } = context;
  const { subscriptions: names, separator } = request;
  const highest = Math.max(0, ...request.mailboxes.map(({ record }) => record.uidValidity ?? 0));
  await writeSubscriptions(context, registry, { names, separator, signal });
  raiseUidValidity(maildir, highest);
  flusher.wrote();
  const mailboxes: HandedMaildir["mailboxes"][number][] = [];
  for (const { record, messages } of request.mailboxes) {
    const folder = registry.folder(record.id);
    const { guid } = registry.kept(record.id);
    const fieldsOf = pop3FieldsOf(context, record, true);
    await writeUidlist({ folder, mailbox: record, guid, messages, fieldsOf, signal });
    await completeKeywords(folder, signal);
    const placeOf = pop3PlacesOf(context, record, true);
    const checked = await checkMailbox({ writer, folder, record, messages, placeOf });
    const problems = [...checkName(registry, record), ...checked.problems];
    mailboxes.push({ ...checked, record, problems });
  }
  return {
    problems: [
      ...(await checkSubscriptions(
        maildir,
        names.map((name) => storageName(registry, name, separator)),
      )),
      ...checkUidValidity(maildir, highest),
      ...(await checkFolders(maildir, request.mailboxes)),
    ],
    mailboxes,
    hasEscapedNames: request.mailboxes.some(({ record }) => record.directory.includes("\\")),
  };
}

/** Where the file is another, ours is right: it is what the letters in file names were made with. */
async function completeKeywords(folder: MailboxFolder, signal: AbortSignal): Promise<void> {
  const { keywords } = folder;
  const path = join(folder.path, "dovecot-keywords");
  if (formatKeywords(parseKeywords(await textOf(path))) === formatKeywords(keywords.names)) return;
  const lock = await acquireDotlock(join(folder.path, "dovecot-uidlist"), uidlistLock, signal);
  try {
    writeKeywordsFile(path, keywords.names);
    folder.wrote();
  } finally {
    lock.release();
  }
}

function checkName(registry: MailboxRegistry, { id, name, directory, separator }: MailboxRecord): string[] {
  const shown = nameInDovecot(directory, { separator, prefix: registry.kept(id).prefix });
  if (shown !== name) return [`Dovecot would show it as ${shown}, after its folder`];
  const isCanonical = encodeMailboxName(decodeMailboxName(name)) === name;
  return isCanonical ? [] : ["its name is not in modified UTF-7, and Dovecot would show another"];
}

async function checkSubscriptions(
  maildir: string,
  expected: readonly (readonly string[])[],
): Promise<string[]> {
  const read = parseSubscriptions(await textOf(join(maildir, "subscriptions"))) ?? [];
  const comparable = (names: readonly (readonly string[])[]): string =>
    [...new Set(names.map((levels) => levels.join("\t")))].sort().join("\n");
  return comparable(read) === comparable(expected) ? [] : ["the file subscriptions has other names"];
}

function checkUidValidity(maildir: string, highest: number): string[] {
  const kept = keptUidValidity(maildir);
  return kept >= highest ? [] : [`dovecot-uidvalidity has ${kept}, and ${highest} is in use`];
}

/** Folders that no mailbox has, and indexes, which Dovecot would believe before it believes the files. */
async function checkFolders(maildir: string, mailboxes: HandoverRequest["mailboxes"]): Promise<string[]> {
  const known = new Set(mailboxes.map(({ record }) => record.directory));
  const names = await readdir(maildir);
  const unknown = names.filter(
    (name) => name.startsWith(".") && !known.has(name) && existsSync(join(maildir, name, "cur")),
  );
  const inFolders = await Promise.all(
    [...known].map(async (folder) => {
      const files = await readdir(join(maildir, folder)).catch(() => []);
      return files.filter(isIndex).map((file) => join(folder, file));
    }),
  );
  return [
    ...unknown.map((name) => `Dovecot would show a mailbox for the folder ${name}, which is none here`),
    ...inFolders.flat().map((file) => `${file} is of an earlier Dovecot: remove it`),
  ];
}

function isIndex(name: string): boolean {
  return /^dovecot\.(?:list\.)?index(?:\.|$)/.test(name);
}
