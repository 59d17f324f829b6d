/** Real POP3 clients that leave mail on the server do not notice that it is another one. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import Pop3Command from "node-pop3";
import { expect, it, onTestFinished } from "vitest";
import { alikeMessages } from "../helpers/alike-mail.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import {
  fetcherEnv,
  fetchmail,
  makeDelivery,
  makeMaildir,
  subjectOf,
  takeAll,
} from "../helpers/fetchmail.ts";
import { fillAccount, type MessagePlan } from "../helpers/filler.ts";
import { startForwarder } from "../helpers/forwarder.ts";
import { type Mailferry, plainListeners, runCli, startMailferry } from "../helpers/mailferry.ts";
import { openMaildrop, type SeenMessage, seenMaildrop } from "../helpers/pop3-maildrop.ts";

const run = promisify(execFile);
const user = "alice";
const password = "pass-alice";

/** No two users have a message in common. */
function* mailOf(owner: string, count = 30, pop3Order = false): Generator<MessagePlan> {
  const field = Buffer.from(`X-Owner: ${owner}\r\n`);
  for (const message of alikeMessages(count, pop3Order))
    yield { ...message, bytes: Buffer.concat([field, message.bytes]) };
}

/** More, in another order, than is matched while a client waits: the legacy server serves the first session. */
const unmatchedMailOf = (owner: string): Iterable<MessagePlan> => mailOf(owner, 150, true);

async function startBoth(
  users: readonly string[] = [user],
  mail: (owner: string) => Iterable<MessagePlan> = mailOf,
): Promise<{ legacy: Dovecot; mailferry: Mailferry }> {
  const extraConfig = "protocol pop3 {\n  pop3_uidl_format = %f\n}\n";
  const legacy = await startDovecot({ users, started: false, extraConfig });
  onTestFinished(() => legacy.close());
  for (const one of users) {
    const inbox = { path: ["INBOX"], uidValidity: 1_234_567_890, messages: () => mail(one) };
    await fillAccount(legacy, one, { mailboxes: [inbox], subscriptions: [], specialUse: {} });
  }
  await legacy.start();
  const pop3 = { host: legacy.host, port: legacy.ports.pop3, tls: "none" };
  const mailferry = await startMailferry({
    legacy,
    extra: { listen: plainListeners },
    legacyExtra: { pop3 },
  });
  onTestFinished(() => mailferry.close());
  return { legacy, mailferry };
}

interface MailClient {
  readonly name: string;
  /** Fetches what is new from a port, in a folder of its own; the subjects of what it took, sorted. */
  fetch(port: number, folder: string): Promise<readonly string[]>;
}

const clients: readonly MailClient[] = [
  {
    name: "fetchmail",
    fetch: (port, folder) => fetchmail({ protocol: "pop3", port, user, password }, folder),
  },
  {
    name: "getmail",
    async fetch(port, folder) {
      const maildir = await makeMaildir(folder);
      const settings = `[retriever]
type = SimplePOP3Retriever
server = 127.0.0.1
port = ${port}
username = ${user}
password = ${password}
[destination]
type = MDA_external
path = ${await makeDelivery(folder, maildir)}
allow_root_commands = true
[options]
read_all = false
delete = false
`;
      await writeFile(join(folder, "getmailrc"), settings, { mode: 0o600 });
      await run("getmail", [`--getmaildir=${folder}`, "-q"], { env: fetcherEnv(folder) });
      return takeAll(maildir);
    },
  },
  {
    name: "mpop",
    async fetch(port, folder) {
      const maildir = await makeMaildir(folder);
      const settings = `account default
host 127.0.0.1
port ${port}
user ${user}
password ${password}
auth user
tls off
keep on
uidls_file ${join(folder, "uidls")}
delivery maildir ${maildir}
`;
      await writeFile(join(folder, "mpoprc"), settings, { mode: 0o600 });
      await run("mpop", ["-C", join(folder, "mpoprc"), "-q"], { env: fetcherEnv(folder) });
      return takeAll(maildir);
    },
  },
  {
    name: "Python's poplib",
    async fetch(port, folder) {
      const script = `
import json, os, poplib
state = ${JSON.stringify(join(folder, "seen.json"))}
seen = json.load(open(state)) if os.path.exists(state) else []
box = poplib.POP3("127.0.0.1", ${port})
box.user("${user}")
box.pass_("${password}")
fetched = []
for line in box.uidl()[1]:
    number, uidl = line.decode("latin1").split(" ", 1)
    if uidl in seen:
        continue
    lines = box.retr(int(number))[1]
    fetched.append("\\n".join(line.decode("latin1") for line in lines))
    seen.append(uidl)
box.quit()
json.dump(seen, open(state, "w"))
print(json.dumps(fetched))
`;
      const { stdout } = await run("python3", ["-c", script]);
      return (JSON.parse(stdout) as string[]).map(subjectOf).toSorted();
    },
  },
];

it.each(clients)("$name fetches what is new, and nothing else", async ({ fetch }) => {
  const { legacy, mailferry } = await startBoth([user], unmatchedMailOf);
  const folder = await mkdtemp(join(tmpdir(), "pop3-client-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  // Some keep their state by host and port: only the server behind them changes.
  const mail = await startForwarder(legacy.ports.pop3);
  onTestFinished(() => mail.close());
  const old = Array.from(unmatchedMailOf(user), ({ bytes }) => subjectOf(bytes.toString("latin1")));
  expect(await fetch(mail.port, folder)).toEqual(old.toSorted());
  mail.target = mailferry.port("pop3");
  expect(await fetch(mail.port, folder)).toEqual([]);
  expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
  expect(await fetch(mail.port, folder)).toEqual([]);
  const straight = await legacy.client(user);
  await straight.ok("APPEND INBOX ", Buffer.from("From: a@example.org\r\nSubject: new\r\n\r\nnew\r\n"));
  expect(await fetch(mail.port, folder)).toEqual(["new"]);
  expect(await fetch(mail.port, folder)).toEqual([]);
});

const digestOf = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** The header and so many lines of the body. */
function topOf(bytes: Buffer, count: number): Buffer {
  const text = bytes.toString("latin1");
  const body = text.indexOf("\r\n\r\n") + 4;
  const lines = text.slice(body).split("\r\n").slice(0, count);
  return Buffer.from(text.slice(0, body) + lines.map((line) => `${line}\r\n`).join(""), "latin1");
}

/** Lists, fetches all, and deletes the first. */
type Use = (port: number, there: readonly SeenMessage[]) => Promise<void>;

const useCurl: Use = async (port, there) => {
  const curl = async (path: string, ...options: string[]): Promise<Buffer> => {
    const url = `pop3://127.0.0.1:${port}/${path}`;
    const args = ["-sS", "--user", `${user}:${password}`, url, ...options];
    return (await run("curl", args, { encoding: "buffer" })).stdout;
  };
  const lines = (text: Buffer): string[] => text.toString("latin1").trimEnd().split("\r\n");
  expect(lines(await curl(""))).toEqual(there.map(({ sizeBytes }, index) => `${index + 1} ${sizeBytes}`));
  expect(lines(await curl("", "-X", "UIDL"))).toEqual(there.map(({ uidl }, index) => `${index + 1} ${uidl}`));
  // All in one session.
  const all = await curl(`[1-${there.length}]`);
  const bytes = bytesOf(there);
  expect(all.equals(Buffer.concat(bytes))).toBe(true);
  // TOP 3 2: curl puts what is in the path last.
  expect(await curl("2", "-X", "TOP 3")).toEqual(topOf(bytes[2]!, 2));
  await curl("1", "-X", "DELE", "-I");
};

const useNodePop3: Use = async (port, there) => {
  const client = new Pop3Command({ user, password, host: "127.0.0.1", port });
  const numbered = (values: readonly unknown[]) => values.map((value, index) => [`${index + 1}`, `${value}`]);
  expect(await client.LIST()).toEqual(numbered(there.map(({ sizeBytes }) => sizeBytes)));
  expect(await client.UIDL()).toEqual(numbered(there.map(({ uidl }) => uidl)));
  /** It leaves dots doubled, and may take the last line's end for the answer's. */
  const received = async (...command: (string | number)[]): Promise<Buffer> => {
    const [, stream] = await client.command(...command);
    const text = (await buffer(stream)).toString("latin1").replace(/^\.\./gm, ".");
    return Buffer.from(text.endsWith("\r\n") ? text : `${text}\r\n`, "latin1");
  };
  const bytes = bytesOf(there);
  for (const [index, expected] of bytes.entries())
    expect(await received("RETR", index + 1)).toEqual(expected);
  expect(await received("TOP", 3, 2)).toEqual(topOf(bytes[2]!, 2));
  await client.DELE(1);
  await client.QUIT();
};

/** What lies in the legacy server's Maildir, for each message of a maildrop. */
function bytesOf(there: readonly SeenMessage[]): Buffer[] {
  const all = new Map(Array.from(mailOf(user), ({ bytes }) => [digestOf(bytes), bytes]));
  return there.map(({ digest }) => all.get(digest)!);
}

it("curl and node-pop3 list, fetch and delete, alone and while 50 other users fetch their mail", async () => {
  const others = Array.from({ length: 50 }, (_, index) => `user${index}`);
  const { legacy, mailferry } = await startBoth([user, ...others]);
  const straight = (one: string) => seenMaildrop(legacy.ports.pop3, one);
  const port = mailferry.port("pop3");

  const useBoth = async (): Promise<void> => {
    for (const use of [useCurl, useNodePop3]) {
      const there = await straight(user);
      await use(port, there);
      const left = there.slice(1).map(({ uidl }) => uidl);
      expect((await straight(user)).map(({ uidl }) => uidl)).toEqual(left);
    }
  };
  await useBoth();

  const theirs = await Promise.all(others.map(straight));
  let isBusy = true;
  const crowd = others.map(async (one, index) => {
    const digests = theirs[index]?.map(({ digest }) => digest);
    expect(digests).toEqual(Array.from(mailOf(one), ({ bytes }) => digestOf(bytes)));
    do expect(await seenMaildrop(port, one)).toEqual(theirs[index]);
    while (isBusy);
  });
  const used = useBoth().finally(() => {
    isBusy = false;
  });
  await Promise.all([...crowd, used]);
}, 120_000);

it("what a client has read is read for IMAP, too", async () => {
  const { mailferry } = await startBoth();
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  // No other has its header: matching does not fetch it whole.
  const flags = async () => (await client.ok("FETCH 6 FLAGS")).untagged.join("\n");
  expect(await flags()).not.toContain("\\Seen");
  const session = await openMaildrop(mailferry.port("pop3"), user);
  await session.retrieve(6, () => undefined);
  await session.quit();
  expect(await flags()).toContain("\\Seen");
});
