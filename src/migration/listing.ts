/**
 * The account's names: what the legacy server lists, kept for when it is away, and the mailboxes of the
 * personal namespace held against the store's records.
 */
import type { ImapSource, ListedName, Listing, Namespaces, Priority } from "../legacy/source.ts";
import { type EncodedMailboxName, inbox } from "../mail/ids.ts";
import type { AccountStore, MailboxRecord } from "../store/store.ts";
import { listingKey } from "../store/watch-damage.ts";
import { sameList } from "./mailbox-state.ts";

export async function fetchListing(
  source: ImapSource,
  priority: Priority,
  signal: AbortSignal,
): Promise<Listing> {
  return source.use({ priority, signal }, (lease) => lease.listing());
}

export const nothingListed: Listing = {
  namespaces: { personal: null, otherUsers: null, shared: null },
  mailboxes: [],
  subscriptions: [],
};

/** As last seen in this opening; what is written down is without the marks. */
const seen = new WeakMap<AccountStore, Listing>();

/** `\\Marked` and `\\Unmarked` come and go with who has looked at a mailbox (RFC 3501 7.2.2): no reason to write. */
function withoutMarks(attributes: readonly string[]): readonly string[] {
  return attributes.filter((name) => !/^\\(un)?marked$/i.test(name));
}

/** The listing as last seen; undefined when there was none yet. */
export function keptListing(store: AccountStore): Listing | undefined {
  const current = seen.get(store);
  if (current) return current;
  const kept = store.readSetting(listingKey);
  return kept === undefined ? undefined : (JSON.parse(kept) as Listing);
}

/** Keeps the listing and makes the records follow it; returns the records of mailboxes that are gone. */
export function commitListing(store: AccountStore, listed: Listing): readonly MailboxRecord[] {
  const listing = withKnownSubscriptions(store, listed);
  seen.set(store, listing);
  const lasting = listing.mailboxes.map((entry) => ({
    ...entry,
    attributes: withoutMarks(entry.attributes),
  }));
  const text = JSON.stringify({ ...listing, mailboxes: lasting });
  const isNew = store.readSetting(listingKey) !== text;
  if (isNew) store.writeSetting(listingKey, text);
  const subscribed = new Set<EncodedMailboxName>(listing.subscriptions.map((entry) => entry.name));
  const known = new Map(store.mailboxes().map((record) => [record.name, record]));
  for (const entry of lasting.filter((name) => isPulled(name, listing.namespaces))) {
    const { name, separator, attributes } = entry;
    const fields = { name, separator, attributes, subscribed: subscribed.has(name) };
    const record = known.get(name);
    known.delete(name);
    if (!record) store.addMailbox({ ...fields, prefix: prefixOf(name, listing.namespaces) });
    else if (changed(record, fields)) store.saveMailbox({ ...record, ...fields });
  }
  // The mailboxes' records tell which prefix is not part of a name on disk.
  if (isNew) writeSubscriptions(store, listing);
  // INBOX is always there (RFC 3501 5.1), whether it is listed or not.
  return [...known.values()].filter((record) => record.name !== inbox);
}

/** A server may refuse LSUB for a moment only, which takes none away. */
function withKnownSubscriptions(store: AccountStore, listing: Listing): Listing {
  if (listing.refusesLsub !== true) return listing;
  return { ...listing, subscriptions: keptListing(store)?.subscriptions ?? [] };
}

/** Dovecot's file of them, in the background. */
export function writeSubscriptions(store: AccountStore, { subscriptions, namespaces }: Listing): void {
  store.writeSubscriptions(
    subscriptions.map(({ name }) => name),
    personalSeparator(namespaces),
  );
}

export function isSelectable(entry: Pick<ListedName, "attributes">): boolean {
  return !entry.attributes.some((name) => /^\\(noselect|nonexistent)$/i.test(name));
}

/** Mailboxes of other users and shared ones belong to another account: they are not pulled. */
export function isPulled(entry: ListedName, namespaces: Namespaces): boolean {
  const foreign = [...(namespaces.otherUsers ?? []), ...(namespaces.shared ?? [])];
  const isForeign = foreign.some(({ prefix }) => prefix !== "" && entry.name.startsWith(prefix));
  return isSelectable(entry) && !isForeign;
}

function prefixOf(name: EncodedMailboxName, namespaces: Namespaces): string {
  const prefixes = (namespaces.personal ?? []).map(({ prefix }) => prefix);
  // Only the first personal namespace loses its prefix on disk: two could hold the same name.
  const [first = ""] = prefixes;
  return name.startsWith(first) ? first : "";
}

export function personalSeparator(namespaces: Namespaces): string | null {
  return namespaces.personal?.[0]?.separator ?? null;
}

function changed(
  record: MailboxRecord,
  fields: Pick<MailboxRecord, "separator" | "attributes" | "subscribed">,
): boolean {
  return (
    record.separator !== fields.separator ||
    record.subscribed !== fields.subscribed ||
    !sameList(record.attributes, fields.attributes)
  );
}
