import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { EncodedMailboxName } from "../mail/ids.ts";
import { acquireDotlock, subscriptionsLock } from "./dotlock.ts";
import { storageLevels } from "./mailbox-directory.ts";
import type { MailboxRegistry } from "./mailbox-registry.ts";
import type { StoreContext } from "./store-context.ts";
import { parseSubscriptions, type StorageName, writeSubscriptionsFile } from "./subscriptions.ts";

export interface SubscribedNames {
  /** May name mailboxes that do not exist. */
  readonly names: readonly EncodedMailboxName[];
  readonly separator: string | null;
  readonly signal: AbortSignal;
}

/** Dovecot's `subscriptions` file, under its lock. */
export async function writeSubscriptions(
  { maildir, flusher }: StoreContext,
  registry: MailboxRegistry,
  { names, separator, signal }: SubscribedNames,
): Promise<void> {
  const path = join(maildir, "subscriptions");
  const storageNames = names.map((name) => storageName(registry, name, separator));
  const lock = await acquireDotlock(path, subscriptionsLock, signal);
  try {
    if (writeSubscriptionsFile(path, storageNames)) flusher.wrote();
  } finally {
    lock.release();
  }
}

/** What of them the file does not have, and what it has beside them; a file that cannot be read has nothing. */
export async function compareSubscriptions(
  { maildir }: StoreContext,
  registry: MailboxRegistry,
  { names, separator, signal }: SubscribedNames,
): Promise<{ readonly missing: readonly EncodedMailboxName[]; readonly extra: readonly string[] }> {
  const path = join(maildir, "subscriptions");
  // Whoever writes is waited for.
  const lock = await acquireDotlock(path, subscriptionsLock, signal);
  try {
    const text = existsSync(path) ? readFileSync(path, "latin1") : "";
    const written = new Set((parseSubscriptions(text) ?? []).map((levels) => levels.join("/")));
    const wanted = new Map(names.map((name) => [name, storageName(registry, name, separator).join("/")]));
    return {
      missing: names.filter((name) => !written.has(wanted.get(name) ?? "")),
      extra: [...written.difference(new Set(wanted.values()))],
    };
  } finally {
    lock.release();
  }
}

/** As Dovecot has it. */
export function storageName(
  registry: MailboxRegistry,
  name: EncodedMailboxName,
  separator: string | null,
): StorageName {
  const kept = registry.byName(name);
  if (kept) return kept.record.directory === "" ? ["INBOX"] : kept.record.directory.slice(1).split(".");
  return storageLevels({ name, separator, prefix: personalPrefix(registry, name) });
}

/** The longest prefix of a mailbox that is here and that the name begins with. */
function personalPrefix(registry: MailboxRegistry, name: EncodedMailboxName): string {
  const prefixes = registry.records().map(({ id }) => registry.kept(id).prefix);
  const fitting = prefixes.filter((prefix) => name.startsWith(prefix));
  return fitting.reduce((longest, prefix) => (prefix.length > longest.length ? prefix : longest), "");
}
