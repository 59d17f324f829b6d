/**
 * Clients with state from before the migration: at each step of an account's life they are told what has changed since
 * their last visit, and nothing again.
 */
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fetchmail, subjectOf } from "../helpers/fetchmail.ts";
import { fillAccount } from "../helpers/filler.ts";
import { connectImap, type ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";
import { messageFilesIn } from "../helpers/mbsync.ts";
import { comeBack, type Known, lookAtAll } from "../helpers/resync-client.ts";
import { mbsync, offlineimap, type SyncClient } from "../helpers/sync-clients.ts";

/** Ports are all that a client is told anew. */
interface Place {
  readonly imap: number;
  readonly pop3: number;
}

/** What a visit has brought: `new SUBJECT`, `gone SUBJECT`, `flags SUBJECT`. */
type News = readonly string[];

interface Client {
  readonly name: string;
  /** Has an account of its own: what it does is no news to another. */
  readonly user: string;
  /** Or flags and expunges, too. */
  readonly hearsArrivalsOnly: boolean;
  visit(place: Place): Promise<News>;
}

const passwordOf = (user: string): string => `pass-${user}`;
const mailboxNames = ["INBOX", "Folder 1", "Folder 2"];

/** A message of a client's Maildir. */
interface Kept {
  readonly subject: string;
  readonly isFlagged: boolean;
}

/** By folder and file name, without flags: what has another one was fetched again. */
async function keptIn(store: string): Promise<ReadonlyMap<string, Kept>> {
  const read = async (path: string): Promise<[string, Kept]> => {
    const [name = "", flags = ""] = basename(path).split(":2,");
    const subject = subjectOf(await readFile(path, "latin1"));
    return [`${relative(store, join(path, "../.."))} ${name}`, { subject, isFlagged: flags.includes("F") }];
  };
  return new Map(await Promise.all((await messageFilesIn(store)).map(read)));
}

/** News is what its Maildir has afterwards and had not before. */
function syncing({ name, sync }: SyncClient, folder: string): Client {
  const store = join(folder, name);
  return {
    name,
    user: name,
    hearsArrivalsOnly: false,
    async visit({ imap }) {
      await mkdir(store, { recursive: true });
      const before = await keptIn(store);
      const told = await sync(store, { port: imap, user: name, password: passwordOf(name) });
      if (before.size > 0) expect(told).not.toMatch(/UIDVALIDITY|UID validity|Error/i);
      const after = await keptIn(store);
      const gone = [...before].filter(([key]) => !after.has(key));
      const fresh = [...after].filter(([key]) => !before.has(key));
      const flagged = [...after].filter(
        ([key, { isFlagged }]) => before.has(key) && before.get(key)?.isFlagged !== isFlagged,
      );
      const news = [
        ...gone.map(([, { subject }]) => `gone ${subject}`),
        ...fresh.map(([, { subject }]) => `new ${subject}`),
        ...flagged.map(([, { subject }]) => `flags ${subject}`),
      ];
      if (news.length === 0) expect(told).not.toMatch(/Copy message|Adding flags|Deleting/i);
      return news;
    },
  };
}

/** News is what it hands on. */
function fetching(protocol: "imap" | "pop3", folder: string): Client {
  const user = `fetchmail-${protocol}`;
  return {
    name: `fetchmail by ${protocol.toUpperCase()}`,
    user,
    hearsArrivalsOnly: true,
    async visit(place) {
      const own = join(folder, user);
      await mkdir(own, { recursive: true });
      const login = { protocol, port: place[protocol], user, password: passwordOf(user) };
      return (await fetchmail(login, own)).map((subject) => `new ${subject}`);
    },
  };
}

/** News is whatever the answer to SELECT (QRESYNC ...) names, in any mailbox. */
function resynchronising(): Client {
  const user = "qresync";
  const visits = new Map<string, Known>();
  const subjects = new Map<string, string>();
  const learnSubjects = async (client: ImapClient, name: string, uids: string): Promise<void> => {
    const { untagged } = await client.ok(`UID FETCH ${uids} (BODY.PEEK[HEADER.FIELDS (SUBJECT)])`);
    for (const response of untagged) {
      const text = response.toString("latin1");
      subjects.set(`${name} ${/\bUID (\d+)/.exec(text)?.[1]}`, subjectOf(text));
    }
  };
  const look = async (client: ImapClient, name: string): Promise<News> => {
    const known = visits.get(name);
    if (!known) {
      visits.set(name, await lookAtAll(client, `"${name}"`));
      await learnSubjects(client, name, "1:*");
      return [...subjects.values()].map((subject) => `new ${subject}`);
    }
    const { answer, known: now } = await comeBack(client, `"${name}"`, known, false);
    visits.set(name, now);
    const told = answer.flatMap((line) => /^\* \d+ FETCH .*\bUID (\d+)/.exec(line)?.[1] ?? []);
    const fresh = told.filter((uid) => !known.flags.has(Number(uid)));
    if (fresh.length > 0) await learnSubjects(client, name, fresh.join());
    const named = (uid: string): string => subjects.get(`${name} ${uid}`) ?? `UIDs ${uid}`;
    return [
      ...answer.flatMap((line) => {
        const vanished = /^\* VANISHED \(EARLIER\) (.+)$/.exec(line)?.[1];
        return vanished === undefined ? [] : [`gone ${named(vanished)}`];
      }),
      ...told.map((uid) => `${fresh.includes(uid) ? "new" : "flags"} ${named(uid)}`),
    ];
  };
  return {
    name: "a client with QRESYNC",
    user,
    hearsArrivalsOnly: false,
    async visit({ imap }) {
      const client = await connectImap({ port: imap });
      await client.login(user, passwordOf(user));
      const news: News[] = [];
      for (const name of mailboxNames) news.push(await look(client, name));
      await client.ok("LOGOUT");
      return news.flat();
    },
  };
}

let folder: string;
let clients: readonly Client[];
let legacy: Dovecot;
let mailferry: Mailferry;

const here = (): Place => ({ imap: mailferry.port("imap"), pop3: mailferry.port("pop3") });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mailferry-clients-"));
  clients = [
    syncing(mbsync, folder),
    syncing(offlineimap, folder),
    fetching("pop3", folder),
    fetching("imap", folder),
    resynchronising(),
  ];
  legacy = await startDovecot({ users: clients.map(({ user }) => user), started: false });
  const plan = plainAccount({ seed: 7, messages: 60, sizeBytes: 700, mailboxes: mailboxNames.length });
  for (const { user } of clients) await fillAccount(legacy, user, plan);
  await legacy.start();
  for (const { name, visit } of clients) {
    expect((await visit(legacy.ports)).length, name).toBeGreaterThan(0);
    expect(await visit(legacy.ports), name).toEqual([]);
  }
  mailferry = await startMailferry({
    legacy,
    extra: { listen: plainListeners },
    legacyExtra: { pop3: { host: legacy.host, port: legacy.ports.pop3, tls: "none" } },
  });
}, 60_000);

afterAll(async () => {
  await mailferry?.close();
  await legacy?.close();
  await rm(folder, { recursive: true, force: true });
});

interface Step {
  readonly name: string;
  /** Once, for all accounts. */
  readonly take?: () => Promise<unknown>;
  /** Of one account: what its client hears afterwards, but for those that hear of arrivals only. */
  readonly change?: (user: string) => Promise<News>;
  /** What a client may be told once more. */
  readonly mayTell?: (news: string) => boolean;
  /** Where clients go from then on; Mailferry by default. */
  readonly place?: () => Place;
}

async function run(command: string): Promise<void> {
  for (const { user } of clients) {
    const { code, stdout, stderr } = await runCli([command, "-c", mailferry.configFile, user]);
    expect(code, stdout + stderr).toBe(0);
  }
}

/** One flag, one expunge, one new message. */
async function changeInbox(user: string, subject: string): Promise<News> {
  const client = await connectImap({ port: here().imap });
  await client.login(user, passwordOf(user));
  await client.ok("SELECT INBOX");
  const { untagged } = await client.ok("FETCH 1:2 (BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
  const [expunged, flagged] = untagged.map((response) => subjectOf(response.toString("latin1")));
  await client.ok("STORE 2 +FLAGS (\\Flagged)");
  await client.ok("STORE 1 +FLAGS (\\Deleted)");
  await client.ok("EXPUNGE");
  await client.ok("APPEND INBOX ", Buffer.from(`From: a@example.org\r\nSubject: ${subject}\r\n\r\nnew\r\n`));
  await client.ok("LOGOUT");
  return [`flags ${flagged}`, `gone ${expunged}`, `new ${subject}`];
}

const steps: readonly Step[] = [
  { name: "the first login" },
  { name: "completion", take: () => run("migrate") },
  { name: "cutover", take: () => run("cutover") },
  { name: "changes after the cutover", change: (user) => changeInbox(user, "after the cutover") },
  { name: "the end of the legacy server", take: () => legacy.stop() },
  { name: "a restart", take: () => mailferry.restart() },
  {
    name: "rollback",
    async take() {
      await legacy.start();
      await run("rollback");
    },
    // What has changed since the cutover has the legacy server's MODSEQs from now on; nothing is fetched again.
    mayTell: (news) => news.startsWith("flags "),
  },
  { name: "changes after the rollback", change: (user) => changeInbox(user, "after the rollback") },
  { name: "completion once more", take: () => run("migrate") },
  { name: "the end of Mailferry", place: () => legacy.ports },
];

it.each(steps)("after $name every client hears what is new to it, and nothing again", async (step) => {
  await step.take?.();
  for (const { name, user, hearsArrivalsOnly, visit } of clients) {
    const all = (await step.change?.(user)) ?? [];
    const expected = hearsArrivalsOnly ? all.filter((one) => one.startsWith("new ")) : all;
    const place = step.place?.() ?? here();
    const told = (await visit(place)).filter((one) => !step.mayTell?.(one));
    expect(told.toSorted(), name).toEqual(expected.toSorted());
    expect(await visit(place), name).toEqual([]);
  }
});
