/** The same searches on the same odd messages, by a real Dovecot and by us. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { flagsOf } from "../../src/mail/flags.ts";
import { modSeq, sequenceNumber, uid } from "../../src/mail/ids.ts";
import { evaluateSearch, type SearchableMessage } from "../../src/mail/search-evaluate.ts";
import type { SearchKey } from "../../src/mail/search-key.ts";
import type { Dovecot } from "../helpers/dovecot.ts";
import type { CommandPiece, ImapClient } from "../helpers/imap-client.ts";
import { fetchItems, textOf } from "../helpers/imap-values.ts";
import { oddMails } from "../helpers/odd-mail.ts";
import { serveMails } from "./odd-mailbox.ts";

const mails = oddMails(5);
const epochOf = (number: number): number => 1_000_000_000 + number * 3 * 86_400;
const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

let dovecot: Dovecot;
let client: ImapClient;
const messages: SearchableMessage[] = [];

beforeAll(async () => {
  ({ dovecot, client } = await serveMails(mails, epochOf));
  await client.stream((response) => {
    const items = fetchItems(response);
    const body = items?.get("BODY[]");
    if (items)
      messages.push(
        asSent(Number(textOf(items.get("UID"))), body?.kind === "string" ? body.bytes : Buffer.alloc(0)),
      );
  }, "UID FETCH 1:* (UID BODY.PEEK[])");
});
afterAll(() => dovecot.close());

function asSent(number: number, bytes: Buffer): SearchableMessage {
  return {
    sequenceNumber: sequenceNumber(number),
    uid: uid(number),
    recent: false,
    meta: {
      uid: uid(number),
      flags: flagsOf([]),
      internalDate: { epochSeconds: epochOf(number), zoneMinutes: 0 },
      sizeBytes: bytes.length,
      modSeq: modSeq(0n),
    },
    header: () => undefined,
    content: () => ({
      sizeBytes: bytes.length,
      read: (start, end) => bytes.subarray(start, end),
      close: () => undefined,
    }),
  };
}

const common =
  'grüße GRU grü köln 日本 日本語 😀 alice alice@example.org example.org> bob@example.com friends b,c jörg zoë q"q ' +
  "a\\\\b a\\b back\\slash broken =? utf unclosed !!! folded spaced none innermost j@x привет strasse soft softbreak " +
  "%PDF Rechnung pre epi more inner a.txt IHDR Reporting-MTA returned content-type text/plain boundary --b caf " +
  "a\u0301 delsp nul here 你好 日 meeting invoice bottom Hallo =E4 nbsp;= [192.0.2.1] Gr ends starts 2018 dated";
const phrases = [
  "Alice <alice@",
  '"ce',
  "ce, d",
  "friends: a",
  "one two",
  "one  two",
  "one two three four",
  "not a header",
  "body of",
  "break = ",
  "the bill",
  "see below",
  "original text",
  "no blank line",
  "Action: failed",
  "Subject: plain",
  "Date: Mon",
  "subject : spaced",
  "example) by",
  "Köln 😀 end",
  "ref@example.org> <last",
  "Hallo\u00a0ä",
  "x".repeat(200),
];
const fields = ["Subject", "From", "To", "Cc", "Received", "References", "X-A", "Content-Type"];

test.each<"body" | "text">(["body", "text"])("%s", async (kind) => {
  for (const value of [...common.split(" "), ...phrases]) await compare({ kind, value });
});

test.each(fields)("header %s", async (field) => {
  for (const value of ["", ...common.split(" "), ...phrases]) await compare({ kind: "header", field, value });
});

test("dates", async () => {
  const days =
    "2018-2-5 2018-2-4 2018-2-6 1999-1-1 1999-1-2 2019-12-31 2020-1-1 1970-1-1 1970-1-2 2001-9-9 2001-9-12";
  for (const text of days.split(" ")) {
    const [year = 0, month = 0, day = 0] = text.split("-").map(Number);
    for (const of of ["internal", "sent"] as const) {
      for (const relation of ["before", "on", "since"] as const) {
        await compare({ kind: "date", of, relation, date: { year, month, day } });
      }
    }
  }
});

async function compare(key: SearchKey): Promise<void> {
  const { untagged } = await client.ok("UID SEARCH CHARSET UTF-8 ", ...criteriaOf(key));
  const line = untagged.map(String).find((response) => response.startsWith("* SEARCH"));
  const theirs = line?.split(" ").slice(2).map(Number) ?? [];
  const ours: number[] = [];
  for (const message of messages) {
    if (await evaluateSearch(key, message)) ours.push(message.uid);
  }
  const names = (uids: number[]): string[] => uids.map((number) => mails[number - 1]!.name);
  expect({ key, found: names(ours) }).toEqual({ key, found: names(theirs) });
}

function criteriaOf(key: SearchKey): CommandPiece[] {
  switch (key.kind) {
    case "header": {
      const isKey = key.value !== "" && /^(?:from|to|cc|subject)$/i.test(key.field);
      return [isKey ? `${key.field} ` : `HEADER ${key.field} `, Buffer.from(key.value)];
    }
    case "body":
    case "text":
      return [`${key.kind} `, Buffer.from(key.value)];
    case "date": {
      const { year, month, day } = key.date;
      return [`${key.of === "sent" ? "SENT" : ""}${key.relation} ${day}-${months[month - 1]}-${year}`];
    }
    default:
      throw new Error(`no criteria for ${key.kind}`);
  }
}
