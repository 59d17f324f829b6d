/** The listing of a local account some of whose mailboxes were made again from the Maildir: they are added to it. */
import { type PersonalNamespace, rebuiltNamesKey } from "../store/rebuild-sidecar.ts";
import type { AccountStore } from "../store/store.ts";
import { commitListing, isSelectable, keptListing } from "./listing.ts";
import { firstListing } from "./local-names.ts";

/** A mailbox that the listing does not have would be one that was deleted. */
export function listRebuilt(store: AccountStore): void {
  const kept = store.readSetting(rebuiltNamesKey) ?? "";
  if (kept === "") return;
  const { prefix, separator } = JSON.parse(kept) as PersonalNamespace;
  const listing = keptListing(store) ?? {
    ...firstListing,
    namespaces: { ...firstListing.namespaces, personal: [{ prefix, separator }] },
    mailboxes: [],
  };
  const records = new Map(store.mailboxes().map((record) => [record.name, record]));
  // One that was renamed since has its record under the other name.
  const there = listing.mailboxes.filter((entry) => records.has(entry.name) || !isSelectable(entry));
  const listed = new Set(listing.mailboxes.map(({ name }) => name));
  const added = [...records.values()].filter(({ name }) => !listed.has(name));
  const entryOf = ({ name, separator, attributes }: (typeof added)[number]) => ({
    name,
    separator,
    attributes,
  });
  const subscribed = new Set(listing.subscriptions.map(({ name }) => name));
  commitListing(store, {
    ...listing,
    mailboxes: [...there, ...added.map(entryOf)],
    subscriptions: [
      ...listing.subscriptions,
      ...added
        .filter((record) => record.subscribed && !subscribed.has(record.name))
        .map(({ name, separator }) => ({ name, separator, attributes: [] })),
    ],
  });
  store.writeSetting(rebuiltNamesKey, "");
}
