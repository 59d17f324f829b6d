/**
 * All that an IMAP client can see of an account, in a form that two servers can be compared by. The
 * session is left with no mailbox changed: everything is read by EXAMINE and PEEK, STATUS first, since
 * EXAMINE does not take \Recent away (RFC 3501 6.3.2).
 */
import { createHash } from "node:crypto";
import { type ImapClient, quoted } from "./imap-client.ts";
import { canonicalText, fetchItems, type ImapValue, listOf, parseValues, textOf } from "./imap-values.ts";

export interface AccountSnapshot {
  readonly namespace: string;
  /** Keyed by name as on the wire (latin1); `* LIST (…) "." name` as canonical text. */
  readonly list: ReadonlyMap<string, string>;
  readonly lsub: ReadonlyMap<string, string>;
  readonly mailboxes: ReadonlyMap<string, MailboxSnapshot>;
}

export interface MailboxSnapshot {
  readonly status: ReadonlyMap<string, string>;
  readonly messages: ReadonlyMap<number, MessageSnapshot>;
}

/** Item to canonical text; the body is `<sha256> <bytes>`. */
export type MessageSnapshot = Readonly<Record<SnapshotItem, string>>;

export type SnapshotItem = "FLAGS" | "INTERNALDATE" | "RFC822.SIZE" | "BODY[]" | "ENVELOPE" | "BODYSTRUCTURE";

export interface SnapshotOptions {
  /** Default: every selectable mailbox. Names as on the wire. */
  readonly only?: (name: string) => boolean;
  /** Default true. Off for speed: BODY[] is '' then. */
  readonly bodies?: boolean;
  /** Default true. Off for speed, or where another server formats them differently. */
  readonly structures?: boolean;
  /** Every mailbox is selected first, for a server that gives its messages their lasting UIDs then. */
  readonly selectFirst?: boolean;
  /** Header fields that the server writes into messages itself: neither their bytes nor their size counts. */
  readonly withoutFields?: readonly string[];
}

const statusItems = "MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT";
/** Bodies are asked for in ranges of about this size. */
const rangeBytes = 8 << 20;

export async function takeSnapshot(
  client: ImapClient,
  options: SnapshotOptions = {},
): Promise<AccountSnapshot> {
  const namespace = await client.command("NAMESPACE");
  const list = await listNames(client, "LIST");
  const lsub = await listNames(client, "LSUB");
  const selectable = [...list].filter(([, line]) => !/\\(?:noselect|nonexistent)\b/i.test(line));
  const names = selectable.map(([name]) => name).filter((name) => options.only?.(name) ?? true);
  if (options.selectFirst) {
    for (const name of names) await client.ok(`SELECT ${quoted(name)}`);
    await client.ok("UNSELECT");
  }
  const statuses = new Map<string, ReadonlyMap<string, string>>();
  for (const name of names) {
    const status = await statusOf(client, name);
    statuses.set(name, status);
    if (status.get("UIDVALIDITY") !== "0") continue;
    // Dovecot tells 0 of a new mailbox that another session is just opening: EXAMINE waits for that.
    await client.ok(`EXAMINE ${quoted(name)}`);
    statuses.set(name, await statusOf(client, name));
  }
  const mailboxes = new Map<string, MailboxSnapshot>();
  for (const [name, status] of statuses) {
    await client.ok(`EXAMINE ${quoted(name)}`);
    mailboxes.set(name, { status, messages: await messagesOf(client, options) });
  }
  // Expunges nothing after EXAMINE (RFC 3501 6.4.2).
  if (names.length > 0) await client.ok("CLOSE");
  return { namespace: withoutTag(namespace.untagged, "NAMESPACE"), list, lsub, mailboxes };
}

async function listNames(client: ImapClient, command: "LIST" | "LSUB"): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  const { untagged } = await client.ok(`${command} "" *`);
  for (const response of untagged) {
    const [, word, attributes, separator, name] = parseValues(response);
    if (textOf(word).toUpperCase() !== command || !separator || !name) continue;
    // \Marked and \UnMarked are the server's guess of the moment.
    const lasting = listOf(attributes)
      .map(textOf)
      .filter((attribute) => !/^\\(?:un)?marked$/i.test(attribute));
    names.set(textOf(name), `(${lasting.sort().join(" ")}) ${canonicalText(separator)} ${textOf(name)}`);
  }
  return names;
}

async function statusOf(client: ImapClient, name: string): Promise<ReadonlyMap<string, string>> {
  const status = new Map<string, string>();
  const { untagged } = await client.ok(`STATUS ${quoted(name)} (${statusItems})`);
  for (const response of untagged) {
    const values = parseValues(response);
    if (textOf(values[1]).toUpperCase() !== "STATUS") continue;
    // Mailutils quotes no name, not even one with a space.
    const items = listOf(values.at(-1));
    for (let index = 0; index + 1 < items.length; index += 2) {
      status.set(textOf(items[index]).toUpperCase(), textOf(items[index + 1]));
    }
  }
  return status;
}

async function messagesOf(client: ImapClient, options: SnapshotOptions) {
  const structures = options.structures === false ? "" : " ENVELOPE BODYSTRUCTURE";
  const messages = new Map<number, MessageSnapshot>();
  const fetch = `UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE${structures})`;
  await client.stream((response) => {
    const items = fetchItems(response);
    if (items?.has("UID")) messages.set(uidIn(items), messageOf(items));
  }, fetch);
  if (options.bodies === false) return messages;
  for (const uids of rangesOf(messages)) {
    await client.stream((response) => {
      const items = fetchItems(response);
      const body = items?.get("BODY[]");
      if (!items || !body) return;
      const known = messages.get(uidIn(items));
      if (known) messages.set(uidIn(items), { ...known, ...bodyOf(body, known, options) });
    }, `UID FETCH ${uids} (UID BODY.PEEK[])`);
  }
  return new Map([...messages].sort(([a], [b]) => a - b));
}

function messageOf(items: ReadonlyMap<string, ImapValue>): MessageSnapshot {
  const text = (name: string): string => {
    const value = items.get(name);
    return value ? canonicalText(value) : "";
  };
  const flags = listOf(items.get("FLAGS")).map(textOf);
  return {
    FLAGS: flags
      .filter((flag) => flag.toLowerCase() !== "\\recent")
      .sort()
      .join(" "),
    // ` 1` and `01` are the same day (RFC 3501 9, date-day-fixed).
    INTERNALDATE: text("INTERNALDATE").replace(/^" (?=\d-)/, '"0'),
    "RFC822.SIZE": text("RFC822.SIZE"),
    "BODY[]": "",
    ENVELOPE: text("ENVELOPE"),
    BODYSTRUCTURE: text("BODYSTRUCTURE"),
  };
}

function* rangesOf(messages: ReadonlyMap<number, MessageSnapshot>): Generator<string> {
  let uids: number[] = [];
  let bytes = 0;
  for (const [uid, message] of [...messages].sort(([a], [b]) => a - b)) {
    if (uids.length > 0 && (bytes + Number(message["RFC822.SIZE"]) > rangeBytes || uids.length >= 500)) {
      yield uids.join(",");
      uids = [];
      bytes = 0;
    }
    uids.push(uid);
    bytes += Number(message["RFC822.SIZE"]);
  }
  if (uids.length > 0) yield uids.join(",");
}

type BodyItems = Pick<MessageSnapshot, "BODY[]" | "RFC822.SIZE">;

function bodyOf(body: ImapValue, known: BodyItems, { withoutFields }: SnapshotOptions): BodyItems {
  if (body.kind !== "string") return { ...known, "BODY[]": canonicalText(body) };
  const bytes = withoutFields ? withoutHeaderFields(body.bytes, withoutFields) : body.bytes;
  const digest = createHash("sha256").update(bytes).digest("hex");
  // Told before they were written, a size does not count them.
  const countsAll = known["RFC822.SIZE"] === String(body.bytes.length);
  return {
    "BODY[]": `${digest} ${bytes.length}`,
    "RFC822.SIZE": countsAll ? String(bytes.length) : known["RFC822.SIZE"],
  };
}

/** Their lines, as far as the blank one. */
export function withoutHeaderFields(bytes: Buffer, fields: readonly string[]): Buffer {
  const text = bytes.toString("latin1");
  const end = text.indexOf("\r\n\r\n") + 2;
  const named = new RegExp(`^(?:${fields.join("|")}):.*\r\n`, "gim");
  return Buffer.from(text.slice(0, end).replace(named, "") + text.slice(end), "latin1");
}

function uidIn(items: ReadonlyMap<string, ImapValue>): number {
  return Number(textOf(items.get("UID")));
}

function withoutTag(untagged: readonly Buffer[], word: string): string {
  const values = untagged.map(parseValues).find((items) => textOf(items[1]).toUpperCase() === word);
  return values?.slice(2).map(canonicalText).join(" ") ?? "";
}
