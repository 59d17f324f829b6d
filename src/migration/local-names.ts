/**
 * The names of a local account: changes of a listing (RFC 3501 6.3.3 to 6.3.7), pure. Namespace and separator are
 * those that the account began with: its legacy server's, after a cutover.
 */
import { MailError } from "../errors.ts";
import type { ListedName, Listing } from "../legacy/source.ts";
import { type EncodedMailboxName, encodedMailboxName, inbox } from "../mail/ids.ts";
import { isModifiedUtf7 } from "../mail/mailbox-name.ts";
import { parentsOf } from "../mail/mailbox-pattern.ts";
import { isSelectable } from "./listing.ts";

/** As Maildir++ has it, so that Dovecot shows the same names without a setting. */
const firstSeparator = ".";

export const firstListing: Listing = {
  namespaces: {
    personal: [{ prefix: "", separator: firstSeparator }],
    otherUsers: null,
    shared: null,
  },
  mailboxes: [{ name: inbox, separator: firstSeparator, attributes: ["\\HasNoChildren"] }],
  subscriptions: [],
};

export function withCreated(listing: Listing, asked: EncodedMailboxName): Listing {
  // A separator at the end says that there will be names below (RFC 3501 6.3.3).
  const isParent = asked.endsWith(separatorOf(listing));
  const name = encodedMailboxName(isParent ? asked.slice(0, -1) : asked);
  if (!isValid(listing, name)) throw new MailError("CANNOT", "Invalid mailbox name");
  if (find(listing, name)) throw new MailError("ALREADYEXISTS", "Mailbox already exists");
  return withMailboxes(listing, [...withoutNames(listing, name), entryOf(listing, name)]);
}

export function withDeleted(listing: Listing, name: EncodedMailboxName): Listing {
  if (name === inbox) throw new MailError("CANNOT", "INBOX can't be deleted.");
  if (!find(listing, name)) throw new MailError("NONEXISTENT", `Mailbox doesn't exist: ${name}`);
  // RFC 3501 6.3.4: those below it stay.
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
  const below = `${name}${separatorOf(listing)}`;
  const moved = listing.mailboxes
    .filter((entry) => entry.name === name || entry.name.startsWith(below))
    .map((entry) => ({ from: entry.name, to: encodedMailboxName(to + entry.name.slice(name.length)) }));
  if (moved.length === 0) throw new MailError("NONEXISTENT", `Mailbox doesn't exist: ${name}`);
  if (!isValid(listing, to) || to.startsWith(below)) throw new MailError("CANNOT", "Invalid mailbox name");
  if (moved.some((one) => find(listing, one.to)))
    throw new MailError("ALREADYEXISTS", "Mailbox already exists");
  return moved;
}

export function withRenamed(listing: Listing, renamed: readonly Renamed[]): Listing {
  const names = new Map(renamed.map(({ from, to }) => [from, to]));
  const targets = new Set<string>(names.values());
  // A level without a mailbox makes room.
  const others = listing.mailboxes.filter((entry) => names.has(entry.name) || !targets.has(entry.name));
  return withMailboxes(
    listing,
    others.map((entry) => ({ ...entry, name: names.get(entry.name) ?? entry.name })),
  );
}

export function withSubscription(listing: Listing, name: EncodedMailboxName, wanted: boolean): Listing {
  const others = listing.subscriptions.filter((entry) => entry.name !== name);
  return { ...listing, subscriptions: wanted ? [...others, entryOf(listing, name)] : others };
}

/** As clients are told: with the levels above that are no mailboxes themselves. */
export function withParents(listing: Listing): Listing {
  const known = new Set<string>(listing.mailboxes.map(({ name }) => name));
  const parents = listing.mailboxes.flatMap(({ name }) => parentsOf(name, separatorOf(listing)));
  const missing = [...new Set(parents)].filter((name) => !known.has(name));
  const added = missing.map(
    (name): ListedName => ({
      name,
      separator: separatorOf(listing),
      attributes: ["\\Noselect", "\\HasChildren"],
    }),
  );
  return { ...listing, mailboxes: [...listing.mailboxes, ...added] };
}

function separatorOf({ namespaces }: Listing): string {
  return namespaces.personal?.[0]?.separator ?? firstSeparator;
}

/** A level without a mailbox is no obstacle to making one there. */
function find(listing: Listing, name: EncodedMailboxName): ListedName | undefined {
  return listing.mailboxes.find((entry) => entry.name === name && isSelectable(entry));
}

function withoutNames({ mailboxes }: Listing, name: EncodedMailboxName): readonly ListedName[] {
  return mailboxes.filter((entry) => entry.name !== name);
}

function entryOf(listing: Listing, name: EncodedMailboxName): ListedName {
  return { name, separator: separatorOf(listing), attributes: [] };
}

/** What else is told of a mailbox (SPECIAL-USE) stays. */
function withMailboxes(listing: Listing, mailboxes: readonly ListedName[]): Listing {
  const hasBelow = (name: string): boolean =>
    mailboxes.some((entry) => entry.name.startsWith(`${name}${separatorOf(listing)}`));
  return {
    ...listing,
    mailboxes: mailboxes.map((entry) => ({
      ...entry,
      attributes: [
        hasBelow(entry.name) ? "\\HasChildren" : "\\HasNoChildren",
        ...entry.attributes.filter((attribute) => !/^\\has(no)?children$/i.test(attribute)),
      ],
    })),
  };
}

const maxNameChars = 200;

/**
 * In the personal namespace; no empty level, nothing that a terminal or a path would take amiss, and nothing that
 * Dovecot would not take over one day.
 */
function isValid(listing: Listing, name: EncodedMailboxName): boolean {
  const prefixes = (listing.namespaces.personal ?? []).map(({ prefix }) => prefix);
  const levels = name.split(separatorOf(listing));
  const isPersonal = prefixes.some((prefix) => name.startsWith(prefix));
  return (
    name.length <= maxNameChars &&
    isPersonal &&
    isModifiedUtf7(name) &&
    levels.every((level) => /^[^\x00-\x1f\x7f/]+$/.test(level))
  );
}
