/**
 * Some thousand commands, put to Dovecot and to Mailferry over the same Maildir: the answers are the same, or
 * the RFC that allows the difference is named here.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { type Difference, differencesOf } from "../helpers/differential.ts";
import { mailboxCommands, nameCommands, textCommands } from "../helpers/differential-commands.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount, type MailboxPlan } from "../helpers/filler.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { noisyMails } from "../helpers/mime-noise.ts";
import { oddMails } from "../helpers/odd-mail.ts";
import { threadedMails } from "../helpers/threaded-mail.ts";

const user = "alice";
const seed = 20_261_125;
const corpus = join(import.meta.dirname, "../../../shared/corpus");

/** Differences that an RFC allows. */
const allowed: readonly { readonly why: string; readonly matches: (difference: Difference) => boolean }[] = [
  {
    why: "RFC 3501 9, section-part: nz-number. Dovecot takes a 0, and answers an empty string",
    matches: ({ command }) => command === "FETCH 1 BODY[0]",
  },
  {
    why: "RFC 7162 3.1.2.1: HIGHESTMODSEQ with every SELECT. Dovecot leaves it out until a client has asked",
    matches: ({ command }) => command.startsWith("EXAMINE"),
  },
  {
    why: "RFC 3501 6.3.8: the root name may be empty where the reference is not rooted",
    matches: ({ command }) => command === 'LIST "Archive." ""',
  },
  {
    why: "RFC 3501 6.4.4: NOT, OR and parentheses. Dovecot loses its way in this one",
    matches: ({ command }) => command.includes("NOT OR NOT BODY meeting (NOT FROM bob (FROM bob SINCE"),
  },
  {
    why: "RFC 5256 2.2: of two messages of one date the first in the mailbox comes first. Dovecot has others",
    matches: ({ command, theirs, ours }) =>
      command.startsWith("UID THREAD REFS") && threadsOf(theirs).join() === threadsOf(ours).join(),
  },
  {
    why: "RFC 5322 3.4: `Cc: /\t'\\` has no address; which of its characters are looked at is open",
    matches: ({ command }) => command === 'SEARCH CHARSET UTF-8 CC "\\\\"',
  },
  {
    why: "RFC 3501 9, seq-range: 7:* is 5:7 where the last message is 5, which is among them",
    matches: ({ command }) => command.includes("7:*,1"),
  },
];

function mailbox(path: readonly string[], mails: readonly { readonly bytes: Buffer }[]): MailboxPlan {
  const flags = [
    [],
    ["\\Seen"],
    ["\\Seen", "\\Answered"],
    ["\\Flagged", "$Label1"],
    ["\\Deleted"],
    ["\\Draft", "Work"],
  ];
  const messages = mails.map(({ bytes }, index) => ({
    uid: 3 + index * 2,
    bytes,
    flags: flags[index % flags.length] ?? [],
    epochSeconds: 1_000_000_000 + ((index * 7919) % 5_000) * 120_000,
  }));
  return { path, uidValidity: 1_275_660_208, messages: () => messages };
}

const boxes: readonly (readonly [string, MailboxPlan])[] = [
  ["INBOX", mailbox(["INBOX"], [...threadedMails(seed, 150), ...oddMails(seed).filter(isComparable)])],
  ["Noise", mailbox(["Noise"], noisyMails(seed, 150).filter(isComparable))],
  ...(existsSync(corpus) ? [["Corpus", mailbox(["Corpus"], corpusMails())] as const] : []),
  ["Archive.2020.Work", mailbox(["Archive", "2020", "Work"], threadedMails(seed + 1, 5))],
  ["Archive.2021", mailbox(["Archive", "2021"], [])],
  ["A", mailbox(["A"], [])],
  ["A.b", mailbox(["A", "b"], [])],
];

function corpusMails(): { bytes: Buffer }[] {
  const names = readdirSync(corpus).filter((name) => name.endsWith(".eml"));
  return names.map((name) => ({ bytes: readFileSync(join(corpus, name)) })).filter(isComparable);
}

/**
 * Left out: what was cut out of XML, where no field is one; an encoded word that is none (RFC 2047 6.3 leaves
 * open what is made of it); dates before 1970 and after 3000, which Dovecot cannot hold; and a message that
 * says it is a multipart and then something else (RFC 2045 3 has one Content-Type), whose preamble Dovecot searches.
 */
function isComparable({ bytes }: { readonly bytes: Buffer }): boolean {
  const text = bytes.toString("latin1", 0, 20_000);
  if (/<\/field>|=\?\?Q|=\?utf-8\?B\?!!!|^Date:.* 3609 |^Date:[\s\S]{0,60}?1969/m.test(text)) return false;
  const types = text.split(/\r?\n\r?\n/, 1)[0]?.match(/^content-type\s*:.*/gim) ?? [];
  return (
    types.length < 2 ||
    !types.some((type) => /multipart/i.test(type)) ||
    /multipart/i.test(types.at(-1) ?? "")
  );
}

const threadsOf = ([line = ""]: readonly string[]): string[] => line.split(/(?<=\))(?=\()/).sort();

let legacy: Dovecot;
let second: Dovecot;
let mailferry: Mailferry;
let compared = 0;

beforeAll(async () => {
  legacy = await startDovecot({ users: [user], started: false });
  const subscriptions = [["INBOX"], ["A"], ["Archive", "2020", "Work"], ["Gone", "away"]];
  await fillAccount(legacy, user, {
    mailboxes: boxes.map(([, plan]) => plan),
    subscriptions,
    specialUse: {},
  });
  await legacy.start();
  mailferry = await startMailferry({ legacy });
  const client = await mailferry.client(user);
  const migrated = await runCli(["migrate", "-c", mailferry.configFile, user]);
  expect(migrated, migrated.stdout + migrated.stderr).toMatchObject({ code: 0 });
  client.close();
  second = await startDovecot({ users: [user], started: false });
  await second.adoptMaildir(user, join(mailferry.dataDir, "mail", "_", user, "Maildir"));
  await second.start();
});
afterAll(async () => {
  await mailferry?.close();
  await legacy?.close();
  await second?.close();
});

function unexplained(differences: readonly Difference[]): readonly Difference[] {
  return differences.filter((difference) => !allowed.some(({ matches }) => matches(difference)));
}

describe("with a Dovecot on Mailferry's own Maildir", () => {
  it.each(boxes.filter(([, plan]) => [...plan.messages()].length > 0))("in %s", async (name, plan) => {
    const [theirs, ours] = [await second.client(user), await mailferry.client(user)];
    const commands = [[`EXAMINE ${name}`], ...mailboxCommands([...plan.messages()].length, seed)];
    compared += commands.length;
    expect(unexplained(await differencesOf(theirs, ours, commands))).toEqual([]);
  });

  it("names", async () => {
    const [theirs, ours] = [await second.client(user), await mailferry.client(user)];
    const commands = nameCommands(
      boxes.map(([name]) => name),
      ".",
    );
    compared += commands.length;
    expect(unexplained(await differencesOf(theirs, ours, commands))).toEqual([]);
  });

  it("over 500 commands", () => {
    console.log(`${compared} commands compared`);
    expect(compared).toBeGreaterThan(500);
  });
});

it("with the legacy server itself, while hardly anything is here", async () => {
  const fresh = await startMailferry({ legacy });
  onTestFinished(() => fresh.close());
  for (const [name] of boxes.slice(0, 2)) {
    const [theirs, ours] = [await legacy.client(user), await fresh.client(user)];
    const commands = [[`EXAMINE ${name}`], ...textCommands(seed)];
    expect(unexplained(await differencesOf(theirs, ours, commands))).toEqual([]);
  }
});
