/** The names of a local account: changes of a listing (RFC 3501 6.3.3 to 6.3.7), pure. */
import { MailError } from "../errors.ts";
import type { ListedName, Listing } from "../legacy/source.ts";
import { type EncodedMailboxName, encodedMailboxName, inbox } from "../mail/ids.ts";
import { parentsOf } from "../mail/mailbox-pattern.ts";

/** As Maildir++ has it, so that Dovecot shows the same names without a setting. */
export const localSeparator = ".";

export const firstListing: Listing = {
  namespaces: {
    personal: [{ prefix: "", separator: localSeparator }],
    otherUsers: null,
    shared: null,
  },
  mailboxes: [{ name: inbox, separator: localSeparator, attributes: ["\\HasNoChildren"] }],
  subscriptions: [],
};

export function withCreated(listing: Listing, asked: EncodedMailboxName): Listing {
  // A separator at the end says that there will be names below (RFC 3501 6.3.3).
  const name = encodedMailboxName(asked.endsWith(localSeparator) ? asked.slice(0, -1) : asked);
  if (!isValid(name)) throw new MailError("CANNOT", "Invalid mailbox name");
  if (find(listing, name)) throw new MailError("ALREADYEXISTS", "Mailbox already exists");
  return withMailboxes(listing, [...listing.mailboxes, entryOf(name)]);
}

export function withDeleted(listing: Listing, name: EncodedMailboxName): Listing {
  if (name === inbox) throw new MailError("CANNOT", "INBOX can't be deleted.");
  if (!find(listing, name)) throw new MailError("NONEXISTENT", `Mailbox doesn't exist: ${name}`);
  return withMailboxes(
    listing,
    listing.mailboxes.filter((entry) => entry.name !== name),
  );
}

export interface Renamed {
  readonly from: EncodedMailboxName;
  readonly to: EncodedMailboxName;
}

/** The mailbox and all below it, each with its new name. */
export function renamedMailboxes(
  listing: Listing,
  name: EncodedMailboxName,
  to: EncodedMailboxName,
): readonly Renamed[] {
  const below = `${name}${localSeparator}`;
  const moved = listing.mailboxes
    .filter((entry) => entry.name === name || entry.name.startsWith(below))
    .map((entry) => ({ from: entry.name, to: encodedMailboxName(to + entry.name.slice(name.length)) }));
  if (moved.length === 0) throw new MailError("NONEXISTENT", `Mailbox doesn't exist: ${name}`);
  if (!isValid(to) || to.startsWith(below)) throw new MailError("CANNOT", "Invalid mailbox name");
  if (moved.some((one) => find(listing, one.to)))
    throw new MailError("ALREADYEXISTS", "Mailbox already exists");
  return moved;
}

export function withRenamed(listing: Listing, renamed: readonly Renamed[]): Listing {
  const names = new Map(renamed.map(({ from, to }) => [from, to]));
  return withMailboxes(
    listing,
    listing.mailboxes.map((entry) => ({ ...entry, name: names.get(entry.name) ?? entry.name })),
  );
}

export function withSubscription(listing: Listing, name: EncodedMailboxName, wanted: boolean): Listing {
  const others = listing.subscriptions.filter((entry) => entry.name !== name);
  return { ...listing, subscriptions: wanted ? [...others, { ...entryOf(name), attributes: [] }] : others };
}

/** As clients are told: with the levels above that are no mailboxes themselves. */
export function withParents(listing: Listing): Listing {
  const known = new Set<string>(listing.mailboxes.map(({ name }) => name));
  const parents = listing.mailboxes.flatMap(({ name }) => parentsOf(name, localSeparator));
  const missing = [...new Set(parents)].filter((name) => !known.has(name));
  const added = missing.map(
    (name): ListedName => ({
      name,
      separator: localSeparator,
      attributes: ["\\Noselect", "\\HasChildren"],
    }),
  );
  return { ...listing, mailboxes: [...listing.mailboxes, ...added] };
}

function find(listing: Listing, name: EncodedMailboxName): ListedName | undefined {
  return listing.mailboxes.find((entry) => entry.name === name);
}

function entryOf(name: EncodedMailboxName): ListedName {
  return { name, separator: localSeparator, attributes: [] };
}

function withMailboxes(listing: Listing, mailboxes: readonly ListedName[]): Listing {
  const hasBelow = (name: string): boolean =>
    mailboxes.some((entry) => entry.name.startsWith(`${name}${localSeparator}`));
  return {
    ...listing,
    mailboxes: mailboxes.map((entry) => ({
      ...entry,
      attributes: [hasBelow(entry.name) ? "\\HasChildren" : "\\HasNoChildren"],
    })),
  };
}

const maxNameChars = 200;

/** No empty level, no wildcard, nothing that a terminal or a path would take for something else. */
function isValid(name: string): boolean {
  const levels = name.split(localSeparator);
  return name.length <= maxNameChars && levels.every((level) => /^[^\x00-\x1f\x7f%*/]+$/.test(level));
}
