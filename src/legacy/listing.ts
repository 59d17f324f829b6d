/** NAMESPACE, LIST "" "*" and LSUB "" "*" (RFC 2342, RFC 3501 6.3.8), sent in one go. */
import { MailError, unlessRefused } from "../errors.ts";
import { encodedMailboxName } from "../mail/ids.ts";
import {
  type AnswerValue,
  answerCursor,
  asText,
  asTexts,
  isList,
  readValue,
  skipSpaces,
} from "./answer-cursor.ts";
import type { ImapConnection } from "./imap-connection.ts";
import { expectOk } from "./refusal.ts";
import type { ListedName, Listing, Namespace, Namespaces } from "./source.ts";
import type { Untagged } from "./untagged.ts";

type DataResponse = Untagged & { readonly kind: "data" };

/** Lines, since a name may be told again and again. */
const maxNames = 100_000;

export async function readListing(connection: ImapConnection): Promise<Listing> {
  const [namespaces, mailboxes, subscribed] = await Promise.all([
    connection.namespaces ?? unlessRefused(readNamespaces(connection)),
    readNames(connection, "LIST"),
    unlessRefused(readNames(connection, "LSUB")),
  ]);
  const known = namespaces ?? impliedNamespaces(mailboxes);
  connection.namespaces = known;
  return {
    namespaces: known,
    mailboxes,
    subscriptions: subscribed ?? [],
    ...(subscribed === undefined && { refusesLsub: true }),
  };
}

async function readNames(connection: ImapConnection, command: "LIST" | "LSUB"): Promise<ListedName[]> {
  const byName = new Map<string, ListedName>();
  let lines = 0;
  const tagged = await connection.run({
    parts: [`${command} "" "*"`],
    maxResponses: maxNames,
    onUntagged(untagged) {
      if (untagged.kind !== "data" || untagged.name !== command) return false;
      if (++lines > maxNames) throw new MailError("UNAVAILABLE", "The old server lists too many mailboxes");
      const listed = parseListed(untagged);
      if (listed && !byName.has(listed.name)) byName.set(listed.name, listed);
      return true;
    },
  });
  expectOk(tagged);
  return [...byName.values()];
}

function parseListed({ text, literals, position }: DataResponse): ListedName | undefined {
  const cursor = answerCursor(text, literals, position);
  const attributes = asTexts(readValue(cursor));
  skipSpaces(cursor);
  const separator = readValue(cursor);
  skipSpaces(cursor);
  // A bare name is all that is left: servers are seen that do not quote a name with a space.
  const isBare = !/["{~]/.test(text[cursor.position] ?? "");
  const name = isBare ? text.slice(cursor.position).trimEnd() : asText(readValue(cursor));
  if (name === undefined || name === "") return undefined;
  return { name: encodedMailboxName(name), separator: separatorOf(separator), attributes };
}

function separatorOf(value: AnswerValue | undefined): string | null {
  return asText(value) || null;
}

async function readNamespaces(connection: ImapConnection): Promise<Namespaces | undefined> {
  if (!connection.capabilities.has("NAMESPACE")) return undefined;
  let namespaces: Namespaces | undefined;
  const tagged = await connection.run({
    parts: ["NAMESPACE"],
    onUntagged(untagged) {
      if (untagged.kind !== "data" || untagged.name !== "NAMESPACE") return false;
      namespaces = parseNamespaces(untagged);
      return true;
    },
  });
  expectOk(tagged);
  return namespaces;
}

function parseNamespaces({ text, literals, position }: DataResponse): Namespaces {
  const cursor = answerCursor(text, literals, position);
  const next = (): readonly Namespace[] | null => {
    skipSpaces(cursor);
    const value = readValue(cursor);
    return isList(value) ? value.filter(isList).map(namespaceOf) : null;
  };
  return { personal: next(), otherUsers: next(), shared: next() };
}

function namespaceOf([prefix, separator]: readonly AnswerValue[]): Namespace {
  return { prefix: asText(prefix) ?? "", separator: separatorOf(separator) };
}

/** Without the extension everything is in one namespace without prefix. */
function impliedNamespaces(mailboxes: readonly ListedName[]): Namespaces {
  const separator = mailboxes.find((listed) => listed.separator !== null)?.separator ?? null;
  return { personal: [{ prefix: "", separator }], otherUsers: null, shared: null };
}
