/** A mailbox that the old server's LIST leaves out is not gone: not at once, and never without a trace. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli } from "../helpers/mailferry.ts";
import { type Manners, type OddImap, type OddMailbox, oddMessage, upTo } from "../helpers/odd-imap.ts";

// Many commands, each a process of its own.
vi.setConfig({ testTimeout: 180_000 });

const user = "alice";

/** LIST and LSUB leave these out. */
const hiding = (isHidden: (name: string) => boolean): Partial<Manners> => ({
  listed: (names) => names.filter((name) => !isHidden(name)),
});
const telling = hiding(() => false);
/** And SELECT and STATUS know none but INBOX. */
const unmounted: Partial<Manners> = {
  ...hiding((name) => name !== "INBOX"),
  answer: ({ name, args, tag, connection }) => {
    const isRefused = /^(SELECT|EXAMINE|STATUS)$/.test(name) && !args.startsWith('"INBOX"');
    if (isRefused) connection.say(`${tag} NO no such mailbox\r\n`);
    return isRefused;
  },
};

interface Rig {
  readonly old: OddImap;
  readonly mailferry: Mailferry;
  readonly client: ImapClient;
}

/** All of it is here already. */
async function start(
  mailboxes: Readonly<Record<string, OddMailbox>>,
  deletions: object = { confirmAfter: 1 },
): Promise<Rig> {
  const { odd: old, mailferry } = await startBehindOdd(mailboxes, {}, { extra: { deletions } });
  const client = await mailferry.client(user);
  expect((await run(mailferry, "migrate")).stdout).toContain("complete");
  return { old, mailferry, client };
}

const run = ({ configFile }: Mailferry, command: string, ...options: string[]) =>
  runCli([command, "-c", configFile, user, ...options]);

const accountOf = ({ dataDir }: Mailferry): string => join(dataDir, "mail", "_", user);

function filesOf(mailferry: Mailferry, mailbox: string): number {
  const folder = join(accountOf(mailferry), "Maildir", `.${mailbox}`, "cur");
  return existsSync(folder) ? readdirSync(folder).length : 0;
}

/** Messages that were set aside, in all. */
function setAside(mailferry: Mailferry): number {
  const gone = join(accountOf(mailferry), "gone");
  if (!existsSync(gone)) return 0;
  return readdirSync(gone).reduce((sum, name) => sum + readdirSync(join(gone, name, "cur")).length, 0);
}

async function names(client: ImapClient): Promise<string> {
  return (await client.ok('LIST "" "*"')).untagged.join("\n");
}

async function highestModSeq(client: ImapClient, mailbox: string): Promise<number> {
  const { untagged } = await client.ok(`SELECT ${mailbox} (CONDSTORE)`);
  return Number(/HIGHESTMODSEQ (\d+)/.exec(untagged.join("\n"))?.[1]);
}

it("left out for a moment: nothing of it goes, and no cutover goes through without it", async () => {
  const { old, mailferry, client } = await start(
    { INBOX: upTo(60), Archive: upTo(20) },
    { confirmAfter: 600 },
  );
  old.behave(hiding((name) => name === "Archive"));
  expect(await names(client)).not.toContain("Archive");
  expect(await names(client)).not.toContain("Archive");
  expect(filesOf(mailferry, "Archive")).toBe(20);
  const cutover = await run(mailferry, "cutover");
  expect(cutover.code).not.toBe(0);
  expect(cutover.stderr).toContain("Archive: the old server has not listed it");
  expect((await run(mailferry, "status")).stdout).toContain("the old server has not listed it");
  expect((await run(mailferry, "deletions")).stdout).toContain("Archive: the old server has not listed it");
  // Who looks for it finds it.
  expect((await client.ok("SELECT Archive")).untagged.join("\n")).toContain("* 20 EXISTS");
  old.behave(telling);
  expect(await names(client)).toContain("Archive");
  expect((await run(mailferry, "cutover")).code).toBe(0);
  expect(filesOf(mailferry, "Archive")).toBe(20);
});

it("left out for long, though STATUS knows it: it stays until somebody decides", async () => {
  const { old, mailferry, client } = await start({ INBOX: upTo(60), Archive: upTo(20) });
  old.behave(hiding((name) => name === "Archive"));
  await names(client);
  await expect
    .poll(async () => (await run(mailferry, "deletions")).stdout, { timeout: 20_000, interval: 500 })
    .toContain("though STATUS knows it");
  expect(filesOf(mailferry, "Archive")).toBe(20);
  expect((await run(mailferry, "deletions", "--accept")).stdout).toContain(
    "Archive: its 20 messages are gone",
  );
  expect(filesOf(mailferry, "Archive")).toBe(0);
  expect(setAside(mailferry)).toBe(20);
  expect((await run(mailferry, "cutover")).code).toBe(0);
});

it("deleted by another program: it goes when that is certain, its files are set aside, and named", async () => {
  const { old, mailferry, client } = await start({ INBOX: upTo(60), Archive: upTo(20) });
  const other = await mailferry.client(user);
  await other.ok("SELECT Archive");
  const archive = old.mailboxes.get("Archive");
  old.mailboxes.delete("Archive");
  await names(client);
  expect((await other.next()).toString()).toMatch(/^\* BYE /);
  expect(filesOf(mailferry, "Archive")).toBe(20);
  // Nobody asks any more.
  await expect.poll(() => filesOf(mailferry, "Archive"), { timeout: 20_000 }).toBe(0);
  expect(setAside(mailferry)).toBe(20);
  const { stdout } = await run(mailferry, "deletions");
  expect(stdout).toMatch(/^Archive: gone since .*; its 20 messages are kept in gone\//m);
  expect((await run(mailferry, "migrate")).code).toBe(0);
  // It comes back as another one, and is pulled again.
  if (archive) old.mailboxes.set("Archive", { ...archive, uidValidity: 1_234 });
  await names(client);
  expect((await client.ok("SELECT Archive")).untagged.join("\n")).toContain("UIDVALIDITY 1234");
  expect((await run(mailferry, "cutover")).code).toBe(0);
});

it("deleted and made again by others in between: nothing of the old one is shown as the new one's", async () => {
  const { old, mailferry, client } = await start(
    { INBOX: upTo(60), Archive: upTo(20) },
    { confirmAfter: 600 },
  );
  old.mailboxes.delete("Archive");
  await names(client);
  old.mailboxes.set("Archive", upTo(3, 1_234));
  await names(client);
  const { untagged } = await client.ok("SELECT Archive");
  expect(untagged.join("\n")).toMatch(/\* 3 EXISTS\s[\s\S]*UIDVALIDITY 1234/);
  expect((await run(mailferry, "migrate")).code).toBe(0);
  expect([filesOf(mailferry, "Archive"), setAside(mailferry)]).toEqual([3, 20]);
});

it("deleted through Mailferry: it goes at once, and whole", async () => {
  const { mailferry, client } = await start({ INBOX: upTo(2), Archive: upTo(120) });
  await client.ok("DELETE Archive");
  expect(filesOf(mailferry, "Archive")).toBe(0);
  expect(setAside(mailferry)).toBe(0);
  await client.ok("CREATE Archive");
  await client.ok("SELECT Archive");
  expect((await run(mailferry, "migrate")).code).toBe(0);
  expect((await run(mailferry, "deletions")).stdout).toBe("nothing is held\n");
});

const tree = () => ({
  INBOX: upTo(5),
  Archive: upTo(120, 1_001),
  Sent: upTo(30, 1_002),
  Work: upTo(4, 1_003),
});

it("most of the account's mail, as where a users' tree is not mounted: it is held over a restart, until it is back", async () => {
  const { old, mailferry, client } = await start(tree());
  old.behave(unmounted);
  await names(client);
  await mailferry.restart();
  const again = await mailferry.client(user);
  await names(again);
  const held = (): Promise<string> => run(mailferry, "deletions").then(({ stdout }) => stdout);
  await expect.poll(held, { timeout: 20_000, interval: 500 }).toMatch(/^Archive: .*until you decide/m);
  expect(await held()).toMatch(/^Work: .*until you decide/m);
  expect((await run(mailferry, "cutover")).code).not.toBe(0);
  expect(["Archive", "Sent", "Work"].map((name) => filesOf(mailferry, name))).toEqual([120, 30, 4]);
  // Clients go on seeing it.
  const { untagged } = await again.ok("STATUS Archive (MESSAGES)");
  expect(untagged.join("\n")).toContain("MESSAGES 120");
  expect((await again.ok("SELECT Archive")).untagged.join("\n")).toContain("* 120 EXISTS");
  expect((await again.ok("UID FETCH 7 (BODY.PEEK[])")).untagged.join("\n")).toContain("Text number 7");
  await again.ok("NOOP");
  await again.ok("UNSELECT");
  old.behave({ ...telling, answer: () => false });
  await names(again);
  expect(await held()).toBe("nothing is held\n");
  expect((await run(mailferry, "cutover")).code).toBe(0);
});

it("most of the account's mail, refused: it is put into Rescued", async () => {
  const { old, mailferry, client } = await start(tree());
  for (const name of ["Archive", "Sent", "Work"]) old.mailboxes.delete(name);
  await names(client);
  const held = (): Promise<string> => run(mailferry, "deletions").then(({ stdout }) => stdout);
  await expect.poll(held, { timeout: 20_000, interval: 500 }).toMatch(/^Archive: .*until you decide/m);
  expect((await run(mailferry, "deletions", "--refuse")).stdout).toContain(
    "Archive: its 120 messages are in Rescued",
  );
  expect(old.mailboxes.get("Rescued")?.messages).toHaveLength(154);
  expect((await run(mailferry, "cutover")).code).toBe(0);
  const rescued = await client.ok("SELECT Rescued");
  expect(rescued.untagged.join("\n")).toContain("* 154 EXISTS");
});

it("back under its UIDVALIDITY: MODSEQs that are counted here go on, and tell what has changed", async () => {
  const { old, mailferry, client } = await start({ INBOX: upTo(60), Archive: upTo(20) });
  await client.ok("SELECT Archive (CONDSTORE)");
  for (let uid = 1; uid <= 6; uid++) await client.ok(`UID STORE ${uid} +FLAGS (mark${uid})`);
  await client.ok("CLOSE");
  const before = await highestModSeq(client, "Archive");
  expect(before).toBeGreaterThan(6);
  await client.ok("UNSELECT");
  const archive = old.mailboxes.get("Archive");
  old.mailboxes.delete("Archive");
  await names(client);
  await expect.poll(() => filesOf(mailferry, "Archive"), { timeout: 20_000 }).toBe(0);
  if (archive) old.mailboxes.set("Archive", archive);
  archive?.messages[4]?.flags.add("\\Flagged");
  await names(client);
  expect(await highestModSeq(client, "Archive")).toBeGreaterThan(before);
  const { untagged } = await client.ok(`UID FETCH 1:* (FLAGS) (CHANGEDSINCE ${before})`);
  expect(untagged.join("\n")).toMatch(/UID 5 .*\\Flagged/);
});

it("renamed by another program: nobody is asked, though it is most of the account", async () => {
  const { old, mailferry, client } = await start(tree());
  for (const name of ["Archive", "Sent", "Work"]) {
    const box = old.mailboxes.get(name);
    old.mailboxes.delete(name);
    if (box) old.mailboxes.set(`Old/${name}`, box);
  }
  await names(client);
  await expect.poll(() => filesOf(mailferry, "Archive"), { timeout: 20_000 }).toBe(0);
  expect((await client.ok("SELECT Old/Archive")).untagged.join("\n")).toContain("* 120 EXISTS");
  expect((await run(mailferry, "cutover")).code).toBe(0);
});

it("most of the account's messages, from many small mailboxes: they are held, whichever is looked at first", async () => {
  const names = ["INBOX", "A", "B", "C", "D"];
  const { old, mailferry, client } = await start(
    Object.fromEntries(names.map((name, index) => [name, upTo(20, 1_000 + index)])),
  );
  for (const name of names) if (name !== "D") old.mailboxes.set(name, { ...upTo(20), messages: [] });
  for (const [index, name] of names.entries()) {
    const box = old.mailboxes.get(name);
    if (box) box.uidValidity = 1_000 + index;
  }
  for (const name of names)
    expect((await client.ok(`SELECT ${name}`)).untagged.join("\n")).toContain("* 20 EXISTS");
  const { stdout } = await run(mailferry, "deletions");
  for (const name of ["INBOX", "A", "B", "C"]) expect(stdout).toContain(`${name}: 20 messages are held`);
  expect((await run(mailferry, "cutover")).code).not.toBe(0);
  expect((await run(mailferry, "deletions", "--accept")).stdout).toContain("A: 20 messages are gone");
  expect((await client.ok("SELECT A")).untagged.join("\n")).toContain("* 0 EXISTS");
  expect((await run(mailferry, "cutover")).code).toBe(0);
});

it("most of a small mailbox, of an account that has much more: it goes as it went there", async () => {
  const { old, client } = await start({ INBOX: upTo(60), Work: upTo(20, 1_001) });
  await client.ok("SELECT Work");
  const work = old.mailboxes.get("Work");
  if (work) work.messages = [];
  // What was asked a moment ago is not asked again.
  const look = async (): Promise<string> => (await client.ok("SELECT Work")).untagged.join("\n");
  await expect.poll(look, { timeout: 10_000 }).toContain("* 0 EXISTS");
});

it("a UIDVALIDITY that comes back: MODSEQs that were counted under it go on", async () => {
  const { old, mailferry, client } = await start({ INBOX: upTo(20) });
  await client.ok("SELECT INBOX (CONDSTORE)");
  for (let uid = 1; uid <= 6; uid++) await client.ok(`UID STORE ${uid} +FLAGS (mark${uid})`);
  await client.ok("CLOSE");
  const before = await highestModSeq(client, "INBOX");
  for (const uidValidity of [1_500, 1_000]) {
    const box = old.mailboxes.get("INBOX");
    if (box) box.uidValidity = uidValidity;
    await mailferry.restart();
    const again = await mailferry.client(user);
    expect((await again.ok("EXAMINE INBOX")).untagged.join("\n")).toContain(`UIDVALIDITY ${uidValidity}`);
    expect(await highestModSeq(again, "INBOX")).toBeGreaterThan(uidValidity === 1_000 ? before : 0);
  }
});

const existsIn = (client: ImapClient, mailbox: string) => async (): Promise<number> => {
  const { untagged } = await client.ok(`SELECT ${mailbox}`);
  return Number(/\* (\d+) EXISTS/.exec(untagged.join("\n"))?.[1]);
};

function lose(old: OddImap, mailbox: string, count: number): readonly number[] {
  const box = old.mailboxes.get(mailbox);
  return box?.messages.splice(0, count).map(({ uid }) => uid) ?? [];
}

it("most of the account's messages, some at each look: it is asked about what makes it most", async () => {
  const { old, mailferry, client } = await start({ INBOX: upTo(100) });
  for (const left of [80, 60]) {
    lose(old, "INBOX", 20);
    await expect.poll(existsIn(client, "INBOX"), { timeout: 10_000, interval: 300 }).toBe(left);
  }
  lose(old, "INBOX", 20);
  const held = (): Promise<string> => run(mailferry, "deletions").then(({ stdout }) => stdout);
  const look = async (): Promise<string> => {
    expect(await existsIn(client, "INBOX")()).toBe(60);
    return held();
  };
  await expect.poll(look, { timeout: 20_000, interval: 300 }).toContain("INBOX: 20 messages are held");
  expect((await run(mailferry, "cutover")).code).not.toBe(0);
  expect((await run(mailferry, "deletions", "--accept")).stdout).toContain("INBOX: 20 messages are gone");
  expect(await existsIn(client, "INBOX")()).toBe(40);
  // What was decided is not counted once more.
  lose(old, "INBOX", 3);
  await expect.poll(existsIn(client, "INBOX"), { timeout: 10_000, interval: 300 }).toBe(37);
  expect(await held()).toBe("nothing is held\n");
});

it("most of the account's messages, some of each mailbox at each look, over a restart", async () => {
  const names = ["INBOX", "A", "B", "C"];
  const { old, mailferry, client } = await start(
    Object.fromEntries(names.map((name, index) => [name, upTo(20, 1_000 + index)])),
  );
  for (const name of names) lose(old, name, 8);
  for (const name of names)
    await expect.poll(existsIn(client, name), { timeout: 10_000, interval: 300 }).toBe(12);
  await mailferry.restart();
  const again = await mailferry.client(user);
  for (const name of names) lose(old, name, 5);
  for (const name of names) await existsIn(again, name)();
  const { stdout } = await run(mailferry, "problems");
  expect(stdout).toMatch(/ deletions \w+: the old server has suddenly lost/);
  expect((await run(mailferry, "cutover")).code).not.toBe(0);
});

it("moved by another program, some at each look: it is no loss", async () => {
  const { old, mailferry, client } = await start({ INBOX: upTo(60), Archive: upTo(0, 1_001) });
  for (const left of [40, 20, 0]) {
    const archive = old.mailboxes.get("Archive");
    for (const _ of lose(old, "INBOX", 20)) {
      archive?.messages.push(oddMessage(archive.uidNext));
      if (archive) archive.uidNext++;
    }
    await expect.poll(existsIn(client, "Archive"), { timeout: 10_000, interval: 300 }).toBe(60 - left);
    expect((await client.ok("UID FETCH 1:* (FLAGS RFC822.SIZE)")).untagged).toHaveLength(60 - left);
    await expect.poll(existsIn(client, "INBOX"), { timeout: 10_000, interval: 300 }).toBe(left);
  }
  expect((await run(mailferry, "deletions")).stdout).toBe("nothing is held\n");
});
