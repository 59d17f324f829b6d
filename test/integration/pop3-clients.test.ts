/** Real POP3 clients that leave mail on the server do not notice that it is another one. */
import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import Pop3Command from "node-pop3";
import { expect, it, onTestFinished } from "vitest";
import { alikeMail } from "../helpers/alike-mail.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import { startForwarder } from "../helpers/forwarder.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import { openMaildrop, seenMaildrop } from "../helpers/pop3-maildrop.ts";

const run = promisify(execFile);
const user = "alice";
const password = "pass-alice";
const messages = 40;

async function startBoth(
  users: readonly string[] = [user],
): Promise<{ legacy: Dovecot; mailferry: Mailferry }> {
  const extraConfig = "protocol pop3 {\n  pop3_uidl_format = %f\n}\n";
  const legacy = await startDovecot({ users, started: false, extraConfig });
  onTestFinished(() => legacy.close());
  for (const one of users) await fillAccount(legacy, one, alikeMail(messages));
  await legacy.start();
  const listen = ["imap", "pop3"].map((protocol) => ({
    protocol,
    address: "127.0.0.1",
    port: 0,
    tls: "none",
  }));
  const pop3 = { host: legacy.host, port: legacy.ports.pop3, tls: "none" };
  const mailferry = await startMailferry({ legacy, extra: { listen }, legacyExtra: { pop3 } });
  onTestFinished(() => mailferry.close());
  return { legacy, mailferry };
}

interface MailClient {
  readonly name: string;
  /** Fetches what is new from a port, in a folder of its own; how many messages it took. */
  fetch(port: number, folder: string): Promise<number>;
}

/** What is in a Maildir, which is emptied. */
async function takeAll(maildir: string): Promise<number> {
  const names = await readdir(join(maildir, "new"));
  for (const name of names) await rm(join(maildir, "new", name));
  return names.length;
}

async function makeMaildir(folder: string): Promise<string> {
  const maildir = join(folder, "received");
  for (const part of ["cur", "new", "tmp"]) await mkdir(join(maildir, part), { recursive: true });
  return maildir;
}

/** A delivery agent for those that want one: a file for each message. */
async function makeDelivery(folder: string, maildir: string): Promise<string> {
  const script = join(folder, "deliver");
  await writeFile(script, `#!/bin/sh\ncat >"$(mktemp ${join(maildir, "new")}/XXXXXXXX)"\n`);
  await chmod(script, 0o755);
  return script;
}

const env = (folder: string) => ({ ...process.env, HOME: folder, FETCHMAILHOME: folder });

const clients: readonly MailClient[] = [
  {
    name: "fetchmail",
    async fetch(port, folder) {
      const maildir = await makeMaildir(folder);
      const mda = await makeDelivery(folder, maildir);
      const settings = `poll 127.0.0.1 protocol pop3 port ${port} uidl: user "${user}" password "${password}" keep no rewrite sslproto "" mda "${mda}"\n`;
      await writeFile(join(folder, "rc"), settings, { mode: 0o600 });
      const options = ["-f", join(folder, "rc"), "-i", join(folder, "ids"), "--pidfile", join(folder, "pid")];
      // 1: there was nothing to fetch.
      await run("fetchmail", [...options, "--nodetach", "--nosyslog"], { env: env(folder) }).catch(
        (error) => {
          if (error.code !== 1) throw error;
        },
      );
      return takeAll(maildir);
    },
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
      await run("getmail", [`--getmaildir=${folder}`, "-q"], { env: env(folder) });
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
      await run("mpop", ["-C", join(folder, "mpoprc"), "-q"], { env: env(folder) });
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
fetched = 0
for line in box.uidl()[1]:
    number, uidl = line.decode("latin1").split(" ", 1)
    if uidl in seen:
        continue
    box.retr(int(number))
    seen.append(uidl)
    fetched += 1
box.quit()
json.dump(seen, open(state, "w"))
print(fetched)
`;
      const { stdout } = await run("python3", ["-c", script]);
      return Number(stdout);
    },
  },
];

it.each(clients)("$name fetches what is new, and nothing else", async ({ fetch }) => {
  const { legacy, mailferry } = await startBoth();
  const folder = await mkdtemp(join(tmpdir(), "pop3-client-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  // Some keep their state by host and port: only the server behind them changes.
  const mail = await startForwarder(legacy.ports.pop3);
  onTestFinished(() => mail.close());
  expect(await fetch(mail.port, folder)).toBe(messages);
  mail.target = mailferry.port("pop3");
  expect(await fetch(mail.port, folder)).toBe(0);
  expect((await runCli(["migrate", "-c", mailferry.configFile, user])).code).toBe(0);
  expect(await fetch(mail.port, folder)).toBe(0);
  const straight = await legacy.client(user);
  await straight.ok("APPEND INBOX ", Buffer.from("From: a@example.org\r\nSubject: new\r\n\r\nnew\r\n"));
  expect(await fetch(mail.port, folder)).toBe(1);
  expect(await fetch(mail.port, folder)).toBe(0);
});

it("node-pop3 and curl list, fetch and delete while 50 other users fetch their mail", async () => {
  const others = Array.from({ length: 50 }, (_, index) => `user${index}`);
  const { legacy, mailferry } = await startBoth([user, ...others]);
  const port = mailferry.port("pop3");
  const straight = await seenMaildrop(legacy.ports.pop3, user);
  const bytes = async (number: number): Promise<Buffer> => {
    const session = await openMaildrop(legacy.ports.pop3, user);
    const pieces: Buffer[] = [];
    await session.retrieve(number, (piece) => void pieces.push(Buffer.from(piece)) as undefined);
    await session.quit();
    return Buffer.concat(pieces);
  };
  const crowd = Promise.all(
    others.map(async (one) => {
      for (let round = 0; round < 2; round++)
        expect(await seenMaildrop(port, one)).toEqual(await seenMaildrop(legacy.ports.pop3, one));
    }),
  );

  const curl = async (path: string, ...options: string[]): Promise<Buffer> => {
    const args = [
      "-s",
      "-S",
      "--user",
      `${user}:${password}`,
      `pop3://127.0.0.1:${port}/${path}`,
      ...options,
    ];
    const { stdout } = await run("curl", args, { encoding: "buffer" });
    return stdout;
  };
  const lines = (text: Buffer): string[] => text.toString("latin1").trimEnd().split("\r\n");
  const listing = straight.map(({ number, sizeBytes }) => `${number} ${sizeBytes}`);
  const uidls = straight.map(({ number, uidl }) => `${number} ${uidl}`);
  expect(lines(await curl(""))).toEqual(listing);
  expect(lines(await curl("", "-X", "UIDL"))).toEqual(uidls);
  expect(await curl("8")).toEqual(await bytes(8));
  await curl("8", "-X", "DELE", "-I");

  const client = new Pop3Command({ user, password, host: "127.0.0.1", port });
  const left = straight.filter(({ number }) => number !== 8);
  const named = (await client.UIDL()) as string[][];
  expect(named.map(([, uidl]) => uidl)).toEqual(left.map(({ uidl }) => uidl));
  expect(await client.RETR(1)).toContain((await bytes(1)).toString("latin1").split("\r\n\r\n")[0]);
  expect(await client.TOP(2, 0)).toContain("Subject:");
  await client.command("DELE", 1);
  await client.QUIT();
  const gone = (await seenMaildrop(legacy.ports.pop3, user)).map(({ uidl }) => uidl);
  expect(gone).toEqual(left.slice(1).map(({ uidl }) => uidl));
  await crowd;
});

it("what a client has read is read for IMAP, too", async () => {
  const { mailferry } = await startBoth();
  const session = await openMaildrop(mailferry.port("pop3"), user);
  await session.retrieve(2, () => undefined);
  await session.quit();
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  const { untagged } = await client.ok("FETCH 2 FLAGS");
  expect(untagged.join("\n")).toContain("\\Seen");
});
