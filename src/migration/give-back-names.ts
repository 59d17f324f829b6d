/** Rollback: the legacy server's mailboxes get the names that they have here, and subscriptions likewise. */
import { isLasting, isNonexistent, MailError } from "../errors.ts";
import type { ImapLease, Listing } from "../legacy/source.ts";
import { type EncodedMailboxName, encodedMailboxName, type MailboxId } from "../mail/ids.ts";
import type { NameChange } from "../mail/name-change.ts";
import type { AccountStore } from "../store/store.ts";
import { type CutoverMark, markedMailboxes, readMark, writeMark } from "./cutover-marks.ts";
import type { GiveBackParts } from "./give-back-mailbox.ts";
import { isPulled, isSelectable, keptListing } from "./listing.ts";

export interface GivenNames {
  readonly changes: number;
  /** Deleted here, and kept there since mail has come to them: for people. */
  readonly kept: readonly EncodedMailboxName[];
  /** Whose subscription is there what it is, whatever it is told. */
  readonly stuck: readonly EncodedMailboxName[];
}

interface Marked {
  readonly id: MailboxId;
  readonly mark: CutoverMark;
  /** Here; undefined where it was deleted. */
  readonly name: EncodedMailboxName | undefined;
}

export function giveBackNames({
  store,
  source,
  signal,
}: Omit<GiveBackParts, "authority">): Promise<GivenNames> {
  return source.use({ priority: "interactive", signal }, async (lease) => {
    const kept: EncodedMailboxName[] = [];
    let changes = 0;
    changes += await deleteThere(store, lease, kept);
    changes += await renameThere(store, lease);
    changes += await createThere(store, lease);
    const subscriptions = await subscribeThere(store, lease);
    changes += subscriptions.changes;
    return { changes, kept, stuck: subscriptions.stuck };
  });
}

function marked(store: AccountStore): readonly Marked[] {
  const names = new Map(store.mailboxes().map(({ id, name }) => [id, name]));
  return markedMailboxes(store).flatMap((id) => {
    const mark = readMark(store, id);
    return mark ? [{ id, mark, name: names.get(id) }] : [];
  });
}

/** One that no name holds, where there is none. */
const separatorOf = (store: AccountStore): string =>
  keptListing(store)?.namespaces.personal?.[0]?.separator ?? "\0";

const namesOf = ({ mailboxes }: Listing): ReadonlySet<string> =>
  new Set(mailboxes.filter(isSelectable).map(({ name }) => name));

/** Those below another one first. */
async function deleteThere(
  store: AccountStore,
  lease: ImapLease,
  kept: EncodedMailboxName[],
): Promise<number> {
  const there = namesOf(await lease.listing());
  followRenames(store, there);
  const deleted = marked(store)
    .filter(({ name, mark }) => name === undefined && there.has(mark.name))
    .sort((a, b) => b.mark.name.length - a.mark.name.length);
  let changes = 0;
  for (const one of deleted) {
    const state = await stateSince(lease, one.mark);
    if (state === "changed") kept.push(one.mark.name);
    if (state !== "same") continue;
    // What lies below would go aside along.
    const hasBelow = [...there].some((name) => name.startsWith(one.mark.name + separatorOf(store)));
    if (hasBelow) await lease.changeName({ kind: "DELETE", name: one.mark.name });
    else await deleteAside(store, lease, one);
    changes++;
  }
  return changes;
}

/** Some list a deleted mailbox for as long as others lie below it. */
async function stateSince(lease: ImapLease, mark: CutoverMark): Promise<"same" | "changed" | "gone"> {
  try {
    const { uidNext, uidValidity } = await lease.status(mark.name);
    const isSame = uidValidity === mark.uidValidity && uidNext !== undefined && uidNext <= mark.next;
    return isSame ? "same" : "changed";
  } catch (error) {
    if (isNonexistent(error)) return "gone";
    throw error;
  }
}

/** Under another name first, where no mail comes to it in between. */
async function deleteAside(store: AccountStore, lease: ImapLease, { id, mark }: Marked): Promise<void> {
  const { name } = mark;
  const aside = asideName(id, name);
  if (name !== aside) {
    await lease.changeName({ kind: "RENAME", name, to: aside });
    writeMark(store, id, { ...mark, name: aside });
    const { uidNext } = await lease.status(aside);
    if (uidNext === undefined || uidNext > mark.next) {
      await lease.changeName({ kind: "RENAME", name: aside, to: name });
      return writeMark(store, id, mark);
    }
  }
  await lease.changeName({ kind: "DELETE", name: aside });
}

const asideName = (id: MailboxId, name: EncodedMailboxName): EncodedMailboxName =>
  encodedMailboxName(name.endsWith(`-leaving-${id}`) ? name : `${name}-leaving-${id}`);

/** One at a time, each written down: where one was cut off, the old name is not there any more. */
async function renameThere(store: AccountStore, lease: ImapLease): Promise<number> {
  for (let changes = 0; ; changes++) {
    const there = namesOf(await lease.listing());
    const all = marked(store);
    const pending = all.filter(
      ({ name, mark }) => name !== undefined && name !== mark.name && there.has(mark.name),
    );
    const ready = pending.find(({ name }) => !there.has(name ?? ""));
    if (ready?.name) {
      await renameOne(store, lease, ready, ready.name);
      continue;
    }
    const [blocked] = pending;
    if (!blocked?.name) return changes;
    const blocker = all.find(({ mark }) => mark.name === blocked.name);
    // One that has to go elsewhere, or that was deleted here and is kept: else it is somebody else's.
    if (!blocker || blocker.name === blocker.mark.name || changes > 2 * all.length)
      throw new MailError(
        "CANNOT",
        `${blocked.mark.name} cannot be renamed to ${blocked.name} there: there is another mailbox of that name`,
      );
    await renameOne(store, lease, blocker, passingName(blocker));
  }
}

/** What lies below goes along. */
async function renameOne(
  store: AccountStore,
  lease: ImapLease,
  { mark: { name: from } }: Marked,
  to: EncodedMailboxName,
): Promise<void> {
  await lease.changeName({ kind: "RENAME", name: from, to });
  for (const { id, mark } of marked(store)) {
    const isBelow = mark.name.startsWith(from + separatorOf(store));
    if (mark.name !== from && !isBelow) continue;
    writeMark(store, id, { ...mark, name: encodedMailboxName(to + mark.name.slice(from.length)) });
  }
}

/** Where its own is still another one's. */
const passingName = ({ id, name, mark }: Marked): EncodedMailboxName =>
  encodedMailboxName(name === undefined ? `${mark.name}-kept-${id}` : `${name}-moving-${id}`);

function followRenames(store: AccountStore, there: ReadonlySet<string>): void {
  const all = marked(store);
  const claimed = new Set<string>(all.map(({ mark }) => mark.name).filter((name) => there.has(name)));
  for (const one of all) {
    const { id, mark, name } = one;
    if (there.has(mark.name)) continue;
    const others = [name ?? asideName(id, mark.name), passingName(one)];
    const now = others.find((other) => there.has(other) && !claimed.has(other));
    if (now !== undefined) writeMark(store, id, { ...mark, name: now });
  }
}

async function createThere(store: AccountStore, lease: ImapLease): Promise<number> {
  const there = namesOf(await lease.listing());
  const missing = store
    .mailboxes()
    .map(({ name }) => name)
    .filter((name) => !there.has(name))
    .sort((a, b) => a.length - b.length);
  for (const name of missing) await lease.changeName({ kind: "CREATE", name });
  return missing.length;
}

async function subscribeThere(
  store: AccountStore,
  lease: ImapLease,
): Promise<{ readonly changes: number; readonly stuck: readonly EncodedMailboxName[] }> {
  const asked = subscriptionChanges(store, await lease.listing());
  if (asked.length === 0) return { changes: 0, stuck: [] };
  for (const change of asked) await lease.changeName(change).catch(unlessItPasses);
  const stuck = subscriptionChanges(store, await lease.listing()).map(({ name }) => name);
  return { changes: asked.length - stuck.length, stuck };
}

/** What is to be told the server, which lists `there`. */
function subscriptionChanges(
  store: AccountStore,
  { subscriptions, namespaces }: Listing,
): readonly (NameChange & { readonly kind: "SUBSCRIBE" | "UNSUBSCRIBE" })[] {
  const here = keptListing(store);
  if (!here) return [];
  // Those of other users and shared ones are not ours to change.
  const own = subscriptions.filter((entry) => isPulled({ ...entry, attributes: [] }, namespaces));
  const wanted = new Set(here.subscriptions.map(({ name }) => name));
  const known = new Set(own.map(({ name }) => name));
  return [
    ...[...wanted].filter((name) => !known.has(name)).map((name) => ({ kind: "SUBSCRIBE", name }) as const),
    ...[...known].filter((name) => !wanted.has(name)).map((name) => ({ kind: "UNSUBSCRIBE", name }) as const),
  ];
}

/** What it refuses, in whatever words, is told afterwards. */
function unlessItPasses(error: unknown): void {
  if (!isLasting(error)) throw error;
}
