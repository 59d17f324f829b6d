/**
 * The proof that clients see the same subscriptions (LSUB) on both sides: the legacy server is asked anew, and held
 * against what is told here and against Dovecot's `subscriptions` file.
 */
import type { ImapSource } from "../legacy/source.ts";
import type { AccountStore } from "../store/store.ts";
import { fetchListing, keptListing, personalSeparator } from "./listing.ts";

export interface SubscriptionDifference {
  readonly name: string;
  readonly detail: string;
}

export interface SubscriptionsVerdict {
  readonly subscribedLegacy: number;
  readonly subscribedHere: number;
  readonly differences: readonly SubscriptionDifference[];
}

export interface VerifySubscriptionsOptions {
  readonly store: AccountStore;
  readonly source: ImapSource;
  readonly signal: AbortSignal;
  /** Makes the mirror take in what changed at the old server in the meantime. */
  readonly resync: () => Promise<void>;
}

export async function verifySubscriptions(
  options: VerifySubscriptionsOptions,
): Promise<SubscriptionsVerdict> {
  const first = await compare(options);
  if (first.differences.length === 0) return first;
  await options.resync();
  return compare(options);
}

async function compare({ store, source, signal }: VerifySubscriptionsOptions): Promise<SubscriptionsVerdict> {
  const listing = await fetchListing(source, "background", signal);
  const there = listing.subscriptions.map(({ name }) => name);
  const here = (keptListing(store)?.subscriptions ?? []).map(({ name }) => name);
  const [onlyThere, onlyHere] = [
    new Set(there).difference(new Set(here)),
    new Set(here).difference(new Set(there)),
  ];
  const file = await store.compareSubscriptions(here, personalSeparator(listing.namespaces));
  const differ = (names: Iterable<string>, detail: string): SubscriptionDifference[] =>
    [...names].map((name) => ({ name, detail }));
  return {
    subscribedLegacy: there.length,
    subscribedHere: here.length,
    differences: [
      ...differ(onlyThere, "subscribed on the legacy server only"),
      ...differ(onlyHere, "subscribed here only"),
      ...differ(file.missing, "not in the file subscriptions"),
      ...differ(file.extra, "in the file subscriptions only"),
    ],
  };
}
