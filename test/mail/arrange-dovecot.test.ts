/** SORT and THREAD of the same conversations, by a real Dovecot and by us. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { flagsOf } from "../../src/mail/flags.ts";
import { headerEnd } from "../../src/mail/header.ts";
import { modSeq, uid } from "../../src/mail/ids.ts";
import type { MessageMeta } from "../../src/mail/message.ts";
import type { SortKind } from "../../src/mail/sort-key.ts";
import { sortable, sorter } from "../../src/mail/sort-messages.ts";
import { type ThreadNode, threadable, threadText } from "../../src/mail/thread.ts";
import { threadByReferences, threadByRefs } from "../../src/mail/thread-references.ts";
import { threadBySubject } from "../../src/mail/thread-subject.ts";
import type { Dovecot } from "../helpers/dovecot.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { oddMails, type SampleMail } from "../helpers/odd-mail.ts";
import { threadedMails } from "../helpers/threaded-mail.ts";
import { serveMails } from "./odd-mailbox.ts";

const seed = Number(process.env["SEED"] ?? 11);
/** What is shown for an encoded word that cannot be decoded is free (RFC 2047 6.3); Dovecot shows U+FFFD. */
const isDecodable = ({ name }: SampleMail): boolean => name !== "broken encoded words";
const mails = [...threadedMails(seed, 500), ...oddMails(seed)].filter(isDecodable);
/** Not in the order of the UIDs. */
const epochOf = (number: number): number => 1_600_000_000 + ((number * 7919) % 1000) * 3_600;

let dovecot: Dovecot;
let client: ImapClient;

beforeAll(async () => {
  ({ dovecot, client } = await serveMails(mails, epochOf));
});
afterAll(() => dovecot.close());

const messages = mails.map(({ bytes }, index) => {
  const sent = Buffer.from(bytes.toString("latin1").replace(/\r?\n/g, "\r\n"), "latin1");
  const meta: MessageMeta = {
    uid: uid(index + 1),
    flags: flagsOf([]),
    internalDate: { epochSeconds: epochOf(index + 1), zoneMinutes: 0 },
    sizeBytes: sent.length,
    modSeq: modSeq(1n),
  };
  return { meta, header: sent.subarray(0, headerEnd(sent) ?? sent.length) };
});

async function answerOf(command: string): Promise<string> {
  const { untagged } = await client.ok(command);
  return untagged.map((line) => line.toString("latin1")).find((line) => /^\* (SORT|THREAD)/.test(line)) ?? "";
}

const kinds: readonly (readonly [string, SortKind])[] = [
  ["ARRIVAL", "arrival"],
  ["CC", "cc"],
  ["DATE", "date"],
  ["DISPLAYFROM", "display-from"],
  ["DISPLAYTO", "display-to"],
  ["FROM", "from"],
  ["SIZE", "size"],
  ["SUBJECT", "subject"],
  ["TO", "to"],
];

it.each(kinds)("SORT %s", async (name, kind) => {
  const keys = [{ kind, reverse: false }] as const;
  const ordered = messages.map(({ meta, header }) => sortable(keys, meta, header)).sort(sorter(keys));
  const theirs = (await answerOf(`UID SORT (${name}) UTF-8 ALL`)).split(" ").slice(2).map(Number);
  const describe = (number: number): string =>
    `${number} ${JSON.stringify(ordered.find((one) => one.uid === number)?.values[0])}`;
  expect(ordered.map((one) => describe(one.uid))).toEqual(theirs.map(describe));
});

const never = async (): Promise<void> => undefined;
const all = messages.map(({ meta, header }) => threadable(meta, header));
const algorithms: readonly (readonly [string, (part: typeof all) => Promise<readonly ThreadNode[]>])[] = [
  ["ORDEREDSUBJECT", (part) => threadBySubject(part, never)],
  ["REFERENCES", (part) => threadByReferences(part, never)],
  ["REFS", (part) => threadByRefs(part, never)],
];

it.each(algorithms)("THREAD=%s", async (name, thread) => {
  for (const [from, to] of [
    [1, messages.length],
    [1, 30],
    [200, 260],
  ] as const) {
    const part = all.filter((message) => message.uid >= from && message.uid <= to);
    const ours = [...threadText(await thread(part), (one) => one)].join("");
    const theirs = (await answerOf(`UID THREAD ${name} UTF-8 UID ${from}:${to}`)).slice("* THREAD ".length);
    expect(splitThreads(ours), `${from}:${to}`).toEqual(splitThreads(theirs));
  }
});

function splitThreads(text: string): string[] {
  const threads: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "(") depth++;
    if (text[at] === ")" && --depth === 0) {
      threads.push(text.slice(start, at + 1));
      start = at + 1;
    }
  }
  return threads;
}
