import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { openPop3 } from "../../src/legacy/pop3-client.ts";
import { Secret } from "../../src/mail/secret.ts";
import { type Courier, startCourier } from "./courier.ts";
import { startCyrus } from "./cyrus.ts";
import { type Dovecot, startDovecot } from "./dovecot.ts";
import { fetchItems, textOf } from "./imap-values.ts";
import { startMailutils } from "./mailutils.ts";
import type { UnpackedServer } from "./unpacked-server.ts";
import { waitUntil } from "./wait-until.ts";

const users = ["joe"];
const mails = [
  "Subject: one\r\nFrom: a@example.com\r\n\r\nOne.\r\n",
  "Subject: two\r\nFrom: a@example.com\r\n\r\n.\r\n..Two, with dots\r\n",
  "Subject: three\r\nFrom: a@example.com\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\nThr\xc3\xa9e.\r\n",
];

type LegacyServer = Pick<Dovecot | UnpackedServer, "host" | "ports" | "client" | "passwordOf" | "close">;

const opened: LegacyServer[] = [];
afterEach(async () => {
  for (const server of opened.splice(0)) await server.close();
});

interface Seen {
  readonly size: number;
  readonly text: string;
}

interface SeenByImap extends Seen {
  readonly uid: number;
}

interface SeenByPop3 extends Seen {
  readonly uidl: string;
}

it("shows Dovecot's mail by IMAP and POP3", async () => {
  const dovecot = await opening(startDovecot({ users }));
  const leader = Number(await readFile(join(dovecot.root, "run", "master.pid"), "latin1"));
  const { uidValidity, byImap, byPop3 } = await appendAndRead(dovecot);
  expect(byPop3).toEqual(withUidls(byImap, ({ uid }) => hex(uid) + hex(uidValidity)));
  await expectToEnd(dovecot, [leader]);
});

it.each([
  { format: "cyrus", uidlOf: (uidValidity: number, uid: number) => `${uidValidity}.${uid}` },
  { format: "courier", uidlOf: (uidValidity: number, uid: number) => `${uidValidity}-${uid}` },
  { format: "dovecot", uidlOf: (uidValidity: number, uid: number) => hex(uid) + hex(uidValidity) },
  { format: "uidonly", uidlOf: (_: number, uid: number) => `${uid}` },
])("shows Cyrus's mail by IMAP and POP3, with UIDLs of the format $format", async ({ format, uidlOf }) => {
  const cyrus = await opening(startCyrus({ users, config: [`uidl_format: ${format}`] }));
  const { uidValidity, byImap, byPop3 } = await appendAndRead(cyrus);
  expect(byPop3).toEqual(withUidls(byImap, ({ uid }) => uidlOf(uidValidity, uid)));
  await expectToEnd(cyrus, cyrus.pids);
});

it("shows Courier's mail by IMAP and POP3, with UIDLs that IMAP knows nothing of", async () => {
  const courier = await opening(startCourier({ users }));
  const { uidValidity, byImap, byPop3 } = await appendAndRead(courier);
  const { validity, numbers } = await readPop3List(courier, "joe");
  expect(byPop3.map(({ uidl }) => uidl)).toEqual(numbers.map((number) => `UID${number}-${validity}`));
  expect(validity).not.toBe(uidValidity);
  const inAnyOrder = (seen: readonly Seen[]): Seen[] =>
    seen.map(({ size, text }) => ({ size, text })).sort((a, b) => a.size - b.size);
  expect(inAnyOrder(byPop3)).toEqual(inAnyOrder(byImap));
  await expectToEnd(courier, courier.pids);
});

it("shows Mailutils's mail by IMAP, and by POP3 with its UIDLs in the mail", async () => {
  const mailutils = await opening(startMailutils({ users }));
  const { byImap, byPop3 } = await appendAndRead(mailutils);
  for (const [index, { uidl }] of byPop3.entries()) {
    expect(uidl).toMatch(new RegExp(`^[0-9a-f]{32}[.]\\d+[.]${byImap[index]?.uid}$`));
  }
  const marked = byImap.map(({ size, text }, index): SeenByPop3 => {
    const uidl = byPop3[index]?.uidl ?? "";
    return { size, text: text.replace("\r\n\r\n", `\r\nX-UIDL: ${uidl}\r\n\r\n`), uidl };
  });
  expect(byPop3).toEqual(marked);
  await expectToEnd(mailutils, mailutils.pids);
});

it.each([
  { name: "Cyrus", start: startCyrus },
  { name: "Mailutils", start: startMailutils },
])("refuses a wrong password at $name", async ({ start }) => {
  const server = await opening(start({ users }));
  await expect(openAt(server, "pass-jim")).rejects.toMatchObject({ code: "AUTHENTICATIONFAILED" });
});

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}

async function opening<T extends LegacyServer>(starting: Promise<T>): Promise<T> {
  const server = await starting;
  opened.push(server);
  return server;
}

async function appendAndRead(server: LegacyServer) {
  const client = await server.client("joe");
  for (const mail of mails) await client.ok("APPEND INBOX ", Buffer.from(mail, "latin1"));
  const selected = await client.ok("SELECT INBOX");
  const uidValidity = Number(/UIDVALIDITY (\d+)/.exec(selected.untagged.join("\n"))?.[1]);
  const fetched = await client.ok("FETCH 1:* (UID RFC822.SIZE BODY.PEEK[])");
  client.close();
  const byImap = fetched.untagged.flatMap((response): SeenByImap[] => {
    const items = fetchItems(response);
    const text = (name: string): string => textOf(items?.get(name));
    return items?.has("UID")
      ? [{ uid: Number(text("UID")), size: Number(text("RFC822.SIZE")), text: text("BODY[]") }]
      : [];
  });
  expect(byImap.map(({ text }) => text)).toEqual(mails);
  return { uidValidity, byImap, byPop3: await readByPop3(server) };
}

function openAt({ host, ports }: LegacyServer, password: string) {
  const config = { host, port: ports.pop3, tls: "none", verify: false } as const;
  return openPop3(config, { login: "joe", password: new Secret(password) }, AbortSignal.timeout(20_000));
}

async function readByPop3(server: LegacyServer): Promise<SeenByPop3[]> {
  const session = await openAt(server, server.passwordOf("joe"));
  const sizes = await session.list();
  const uidls = await session.uidls();
  const seen: SeenByPop3[] = [];
  for (const [number, size] of sizes) {
    const pieces: Buffer[] = [];
    await session.retrieve(number, (piece) => void pieces.push(Buffer.from(piece)));
    const text = Buffer.concat(pieces).toString("latin1");
    seen.push({ size, text, uidl: uidls.get(number) ?? "" });
  }
  await session.quit();
  return seen;
}

function withUidls(byImap: readonly SeenByImap[], uidlOf: (message: SeenByImap) => string): SeenByPop3[] {
  return byImap.map((message) => ({ size: message.size, text: message.text, uidl: uidlOf(message) }));
}

/** `/3 <next number> <validity>`, and a line for each message: `<file> <size> <number>:<validity>:<utf8>`. */
async function readPop3List(courier: Courier, user: string) {
  const list = await readFile(join(courier.maildirOf(user), "courierpop3dsizelist"), "latin1");
  const [head = "", ...lines] = list.trimEnd().split("\n");
  const numbers = lines.map((line) => Number(/ (\d+):\d+:\d$/.exec(line)?.[1]));
  return { validity: Number(head.split(" ")[2]), numbers };
}

/** Closes the server, which must leave no process of these groups behind. */
async function expectToEnd(server: LegacyServer, leaders: readonly number[]): Promise<void> {
  const running = leaders.map((leader) => groupOf(leader).length);
  expect(running).not.toContain(0);
  await server.close();
  await waitUntil("its processes are gone", () => leaders.every((leader) => groupOf(leader).length === 0));
}

/** Pids in a process group; those that only wait to be reaped do not count. */
function groupOf(leader: number): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    // pid (command) state parent group
    const [state, , group] = statOf(pid).split(" ");
    return Number(group) === leader && state !== "Z";
  });
}

function statOf(pid: string): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2);
  } catch {
    return "";
  }
}
