/**
 * Address lists of header fields (RFC 5322 3.4 with the obsolete forms), read as Dovecot reads them for
 * ENVELOPE: whatever is broken still gives an address, with `MISSING_MAILBOX`, `MISSING_DOMAIN`,
 * `SYNTAX_ERROR` or `INVALID_ROUTE` where a piece could not be had. Text is one char per byte.
 */
import {
  atEnd,
  type Cursor,
  cursorOf,
  type Next,
  peek,
  readAtom,
  readDomain,
  readPhrase,
  readQuotedString,
  skipBlanks,
} from "./rfc822-lexer.ts";

/**
 * An address as RFC 3501 7.4.2 lists it. A group opens with one that has only a mailbox (its name) and
 * closes with one that has nothing.
 */
export interface Address {
  readonly name: string | undefined;
  readonly route: string | undefined;
  readonly mailbox: string | undefined;
  readonly domain: string | undefined;
}

interface Draft {
  name: string | undefined;
  route: string | undefined;
  mailbox: string | undefined;
  domain: string | undefined;
  broken: boolean;
}

const endOfGroup: Address = { name: undefined, route: undefined, mailbox: undefined, domain: undefined };

/** No mail has more; a hostile header of 10 MB could hold five million. */
const maxAddresses = 100_000;

/** The addresses of one field. */
export function parseAddressList(value: string): readonly Address[] {
  return parseAddressLists([value]);
}

/** The addresses of all fields of one name, in their order. */
export function parseAddressLists(values: readonly string[]): readonly Address[] {
  const addresses: Address[] = [];
  for (const value of values) readAddressList(cursorOf(value), addresses);
  return addresses;
}

function readAddressList(cursor: Cursor, addresses: Address[]): void {
  if (skipBlanks(cursor) !== "more") return;
  while (
    addresses.length < maxAddresses &&
    readAddress(cursor, addresses) !== "end" &&
    peek(cursor) === ","
  ) {
    cursor.at++;
    const next = skipBlanks(cursor);
    if (next === "broken") addresses.push(completed(emptyDraft()));
    if (next !== "more") return;
  }
}

function readAddress(cursor: Cursor, addresses: Address[]): Next {
  const start = cursor.at;
  cursor.word = "";
  if (readPhrase(cursor) === "more" && peek(cursor) === ":") return readGroup(cursor, addresses);
  cursor.at = start;
  return readMailbox(cursor, addresses);
}

/** The members of a group, whose name has been read up to its colon. */
function readGroup(cursor: Cursor, addresses: Address[]): Next {
  cursor.at++;
  const name = cursor.word;
  let next = skipBlanks(cursor);
  addresses.push({ ...endOfGroup, mailbox: name });
  if (next === "more" && peek(cursor) !== ";") next = readMembers(cursor, addresses);
  if (next !== "broken" && peek(cursor) === ";") {
    cursor.at++;
    next = skipBlanks(cursor);
  } else next = "broken";
  addresses.push(endOfGroup);
  return next === "end" ? "end" : "more";
}

/** `one, two`; 'broken' where nothing follows a comma. */
function readMembers(cursor: Cursor, addresses: Address[]): Next {
  for (;;) {
    readMailbox(cursor, addresses);
    if (peek(cursor) !== "," || addresses.length >= maxAddresses) return "more";
    cursor.at++;
    if (skipBlanks(cursor) !== "more") return "broken";
  }
}

function readMailbox(cursor: Cursor, addresses: Address[]): Next {
  const start = cursor.at;
  const draft = emptyDraft();
  let next = readNameAddress(cursor, draft);
  if (next === "broken") {
    cursor.at = start;
    next = readPlainAddress(cursor, draft);
    // A lone word in quotes, or one cut short, is taken for a name.
    if (draft.broken && draft.name === undefined && draft.domain === undefined) {
      draft.name = draft.mailbox;
      draft.mailbox = undefined;
    }
  }
  addresses.push(completed(draft));
  return next;
}

/** `name <local@domain>`; 'broken' only where no `<` follows the name. */
function readNameAddress(cursor: Cursor, draft: Draft): Next {
  cursor.word = "";
  if (readPhrase(cursor) !== "more" || peek(cursor) !== "<") return "broken";
  draft.name = cursor.word === "" ? undefined : cursor.word;
  if (readAngleAddress(cursor, draft) === "broken") draft.domain = "SYNTAX_ERROR";
  return atEnd(cursor) ? "end" : "more";
}

/** `<@route:local@domain>` from its bracket on. */
function readAngleAddress(cursor: Cursor, draft: Draft): Next {
  cursor.at++;
  if (skipBlanks(cursor) !== "more") return "broken";
  if (peek(cursor) === "@") {
    if (readRoute(cursor, draft) === "more" && peek(cursor) === ":") cursor.at++;
    else {
      draft.route = "INVALID_ROUTE";
      if (atEnd(cursor)) return "broken";
    }
    if (skipBlanks(cursor) !== "more") return "broken";
  }
  if (peek(cursor) !== ">") {
    if (readLocalPart(cursor, draft) !== "more") return "broken";
    if (peek(cursor) === "@" && readMailDomain(cursor, draft) !== "more") return "broken";
  }
  if (peek(cursor) !== ">") return "broken";
  cursor.at++;
  return skipBlanks(cursor);
}

/** `@one,@two` of a source route. */
function readRoute(cursor: Cursor, draft: Draft): Next {
  cursor.word = "";
  while (peek(cursor) === "@") {
    cursor.word += cursor.word === "" ? "@" : ",@";
    const next = readDomain(cursor);
    if (next !== "more") return next;
    while (skipBlanks(cursor) === "more" && peek(cursor) === ",") cursor.at++;
  }
  if (atEnd(cursor)) return "end";
  draft.route = cursor.word;
  return "more";
}

/** `local@domain (name)`, or a lone word; several words without a domain are a name. */
function readPlainAddress(cursor: Cursor, draft: Draft): Next {
  cursor.comment = "";
  const quoted = peek(cursor) === '"';
  let next = readLocalPart(cursor, draft);
  draft.broken = next !== "more";
  const withDomain = next !== "end" && peek(cursor) === "@";
  if (withDomain) {
    const behind = readMailDomain(cursor, draft);
    if (behind !== "more") next = behind;
  }
  if (cursor.comment !== "") draft.name = cursor.comment;
  else if (!withDomain) {
    cursor.word += " ";
    const length = cursor.word.length;
    readPhrase(cursor);
    if (cursor.word.length > length) {
      draft.mailbox = undefined;
      draft.name = cursor.word;
    } else if (!quoted) draft.domain = "";
    draft.broken = true;
    next = "broken";
  }
  return next;
}

function readLocalPart(cursor: Cursor, draft: Draft): Next {
  cursor.word = "";
  const next = peek(cursor) === '"' ? readQuotedString(cursor) : readDottedWords(cursor);
  if (next !== "broken") draft.mailbox = cursor.word;
  return next;
}

/** Atoms with dots anywhere: `.a..b.` is common enough. */
function readDottedWords(cursor: Cursor): Next {
  let next: Next = "broken";
  do {
    while (peek(cursor) === ".") {
      cursor.word += ".";
      cursor.at++;
      if (atEnd(cursor)) return "end";
      next = "more";
    }
    if (peek(cursor) === "@") break;
    next = readAtom(cursor);
  } while (next === "more" && peek(cursor) === ".");
  return next;
}

function readMailDomain(cursor: Cursor, draft: Draft): Next {
  cursor.word = "";
  const next = readDomain(cursor);
  if (next !== "broken") draft.domain = cursor.word;
  return next;
}

function emptyDraft(): Draft {
  return { name: undefined, route: undefined, mailbox: undefined, domain: undefined, broken: false };
}

function completed({ name, route, mailbox, domain }: Draft): Address {
  return { name, route, mailbox: mailbox ?? "MISSING_MAILBOX", domain: domain || "MISSING_DOMAIN" };
}
