/** What neither a Maildir nor a script can tell Dovecot: clients see it otherwise than before. */
import { inbox } from "../mail/ids.ts";
import { parseMaildirName } from "../store/maildir-name.ts";
import type { AccountStore, StoredMessage } from "../store/store.ts";
import type { Moment } from "./handover.ts";

/** For people. */
export function handoverNotes(store: Pick<AccountStore, "maildrop">, moment: Moment): readonly string[] {
  const all = moment.messages.flat();
  return [...datesNote(all), ...sizesNote(all), ...keywordNote(moment), ...maildropNotes(store, moment)];
}

function datesNote(messages: readonly StoredMessage[]): readonly string[] {
  const zones = new Set<number>();
  for (const message of messages)
    if (message.presence !== "remote") zones.add(message.internalDate.zoneMinutes);
  if (zones.size === 0) return [];
  const shown = [...zones].slice(0, 5).map(zoneText).join(", ");
  const more = zones.size > 5 ? " and others" : "";
  return [`INTERNALDATEs are ${shown}${more} here; Dovecot shows them all in the time zone of its machine`];
}

/** `+0530` */
function zoneText(minutes: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${two(size / 60)}${two(size % 60)}`;
}

function sizesNote(messages: readonly StoredMessage[]): readonly string[] {
  let sizes = 0;
  let lines = 0;
  for (const message of messages) {
    const named = message.presence === "full" ? parseMaildirName(message.fileName) : undefined;
    if (!named || message.presence === "remote") continue;
    if (named.sizeBytes !== named.crlfBytes) lines++;
    else if (named.crlfBytes !== message.sizeBytes) sizes++;
  }
  return [
    ...count(
      lines,
      "messages have line feeds without carriage returns; Dovecot adds them, to their size, too",
    ),
    ...count(sizes, "messages have an RFC822.SIZE that is not their length; Dovecot shows the length"),
  ];
}

/** Dovecot's mail_max_keyword_length. */
const maxKeywordChars = 50;

function keywordNote({ maildir }: Moment): readonly string[] {
  const keywords = maildir.mailboxes.flatMap(({ extraKeywords }) => [...extraKeywords.keys()]);
  const longest = Math.max(0, ...keywords.map(({ length }) => length));
  if (longest <= maxKeywordChars) return [];
  return [`a keyword has ${longest} characters: set mail_max_keyword_length to as many`];
}

function maildropNotes(
  { maildrop }: Pick<AccountStore, "maildrop">,
  { maildrop: entries, maildir, messages }: Moment,
): readonly string[] {
  const at = maildir.mailboxes.findIndex(({ record }) => record.name === inbox);
  const own = maildir.mailboxes[at]?.record;
  if (entries.length === 0 || !own) return [];
  const inMaildrop = new Map(
    entries.flatMap((entry) => (entry.message?.mailbox === own.id ? [[entry.message.uid, entry]] : [])),
  );
  const elsewhere = entries.filter(({ message }) => message && message.mailbox !== own.id).length;
  const listedUpTo = maildrop.listedUpTo(own.id) ?? 0;
  let others = 0;
  let sizes = 0;
  for (const message of messages[at] ?? []) {
    const entry = inMaildrop.get(message.uid);
    if (!entry && message.uid < listedUpTo) others++;
    const length = message.presence === "full" ? parseMaildirName(message.fileName)?.crlfBytes : undefined;
    if (entry && length !== undefined && entry.sizeBytes !== length) sizes++;
  }
  return [
    count(elsewhere, "messages of the maildrop are in other mailboxes; Dovecot's POP3 shows INBOX alone"),
    count(others, "messages of INBOX are not in the maildrop; Dovecot's POP3 shows them, too"),
    count(sizes, "messages have a size in POP3's LIST that is not their length; Dovecot shows the length"),
  ].flat();
}

function count(number: number, text: string): readonly string[] {
  return number === 0 ? [] : [`${number} ${text}`];
}
