/** What a server need not have, and what it may do in its own way: clients and operators get right answers all the same. */
import { expect, it } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli } from "../helpers/mailferry.ts";
import {
  type Manners,
  type OddConnection,
  type OddImap,
  type OddMailbox,
  oddMailbox,
  oddMessage,
} from "../helpers/odd-imap.ts";

const user = "alice@example.com";
const plain = "IMAP4rev1 NAMESPACE IDLE UNSELECT LITERAL+";

const five = (uidValidity = 1_000): OddMailbox =>
  oddMailbox(
    [1, 2, 3, 4, 5].map((uid) => oddMessage(uid)),
    uidValidity,
  );

async function start(
  mailboxes: Readonly<Record<string, OddMailbox>>,
  manners: Partial<Manners> = {},
): Promise<{ odd: OddImap; mailferry: Mailferry; client: ImapClient }> {
  const { odd, mailferry } = await startBehindOdd(mailboxes, manners, { legacyExtra: { timeout: 5 } });
  return { odd, mailferry, client: await mailferry.client(user) };
}

async function cli({ configFile }: Mailferry, command: string): Promise<{ code: number; said: string }> {
  const { code, stdout, stderr } = await runCli([command, "-c", configFile, user]);
  return { code: code ?? -1, said: stderr + stdout };
}

const textsOf = ({ mailboxes }: OddImap, name: string): string[] =>
  (mailboxes.get(name)?.messages ?? []).map(
    ({ body }) => /Subject: (.*)\r\n/.exec(body.toString())?.[1] ?? "",
  );
const deletedOf = ({ mailboxes }: OddImap, name: string): number[] =>
  (mailboxes.get(name)?.messages ?? []).filter(({ flags }) => flags.has("\\Deleted")).map(({ uid }) => uid);

it("MOVE is done whole where others have marked messages, at a server without MOVE and UIDPLUS", async () => {
  const inbox = five();
  inbox.messages[0]?.flags.add("\\Deleted");
  const { odd, client } = await start(
    { INBOX: inbox, Archive: oddMailbox([], 2_000) },
    { capabilities: plain },
  );
  await client.ok("SELECT INBOX");
  await client.ok("UID MOVE 3 Archive");
  expect(textsOf(odd, "INBOX")).toEqual(["Letter 1", "Letter 2", "Letter 4", "Letter 5"]);
  expect(textsOf(odd, "Archive")).toEqual(["Letter 3"]);
  expect(deletedOf(odd, "INBOX")).toEqual([1]);
});

it.each([
  ["STORE", "UID STORE"],
  ["EXPUNGE", "EXPUNGE"],
])("MOVE is undone whole where its %s is refused", async (_, refused) => {
  const inbox = five();
  inbox.messages[0]?.flags.add("\\Deleted");
  const archive = oddMailbox([oddMessage(7)], 2_000);
  archive.messages[0]?.flags.add("\\Deleted");
  const { odd, client } = await start(
    { INBOX: inbox, Archive: archive },
    {
      capabilities: plain,
      answer({ connection, tag, name, args }) {
        const isRefused =
          connection.selected === "INBOX" &&
          name === refused &&
          !args.includes("-FLAGS") &&
          !args.startsWith("1 ");
        if (isRefused) connection.say(`${tag} NO not now\r\n`);
        return isRefused;
      },
    },
  );
  await client.ok("SELECT INBOX");
  expect((await client.command("UID MOVE 3 Archive")).status).toBe("NO");
  expect(textsOf(odd, "INBOX")).toEqual(["Letter 1", "Letter 2", "Letter 3", "Letter 4", "Letter 5"]);
  expect(textsOf(odd, "Archive")).toEqual(["Letter 7"]);
  expect(deletedOf(odd, "INBOX")).toEqual([1]);
  expect(deletedOf(odd, "Archive")).toEqual([7]);
});

/** Adds nothing where `isSame` is there already; names its UID with UIDPLUS. */
function keepingOne(isSame: (a: string, b: string) => boolean): Partial<Manners> {
  return {
    answer({ connection, tag, name, args, literals }, { mailboxes }) {
      const box = mailboxes.get(/^"?([^" ]+)/.exec(args)?.[1] ?? "");
      const same =
        name === "APPEND"
          ? box?.messages.find(({ body }) => isSame(body.toString("latin1"), literals.at(-1) ?? ""))
          : undefined;
      const copiesToItself = name === "UID COPY" && connection.selected === /"([^"]+)"$/.exec(args)?.[1];
      if (same) connection.say(`${tag} OK [APPENDUID ${box?.uidValidity} ${same.uid}] have it\r\n`);
      if (copiesToItself) connection.say(`${tag} OK is there\r\n`);
      return same !== undefined || copiesToItself;
    },
  };
}

it.each([
  ["", undefined],
  ["that has no UIDPLUS", plain],
])("a rollback ends at a server that adds no message that it has already %s", async (_, capabilities) => {
  const { odd, mailferry, client } = await start(
    { INBOX: five() },
    {
      ...keepingOne((a, b) => a === b),
      ...(capabilities !== undefined && { capabilities }),
    },
  );
  await client.ok("SELECT INBOX");
  expect((await cli(mailferry, "cutover")).said).toContain("local");
  await client.ok("APPEND INBOX ", oddMessage(2).body);
  await client.ok("APPEND INBOX ", oddMessage(6).body);
  await client.ok("APPEND INBOX ", oddMessage(6).body);
  const { code, said } = await cli(mailferry, "rollback");
  expect(said).toMatch(/the message of UID \d+ is there as UID 2 already/);
  expect(code).toBe(0);
  expect(textsOf(odd, "INBOX")).toEqual([1, 2, 3, 4, 5, 6].map((number) => `Letter ${number}`));
});

it("a rollback says which message a server takes and does not add, and loses nothing", async () => {
  const idOf = (text: string): string | undefined => /Message-ID: (\S+)/.exec(text)?.[1];
  const { mailferry, client } = await start(
    { INBOX: five() },
    keepingOne((a, b) => idOf(a) === idOf(b)),
  );
  await client.ok("SELECT INBOX");
  await cli(mailferry, "cutover");
  const revised = `${oddMessage(2).body.toString()}Revised\r\n`;
  await client.ok("APPEND INBOX ", Buffer.from(revised));
  const { code, said } = await cli(mailferry, "rollback");
  expect(code).not.toBe(0);
  expect(said).toMatch(/INBOX: UID \d+: the legacy server answers OK to APPEND and adds nothing/);
  const { untagged } = await client.ok("FETCH 6 (BODY.PEEK[TEXT])");
  expect(untagged.join("")).toContain("Revised");
});

const told = async (client: ImapClient, command: string): Promise<string> =>
  (await client.ok(command)).untagged.join("");
const withoutUidNext: Partial<Manners> = {
  selectLines: ({ messages, uidValidity }) => [
    "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n",
    `* ${messages.length} EXISTS\r\n* OK [UIDVALIDITY ${uidValidity}] ok\r\n`,
  ],
  statusItems: ({ messages, uidValidity }) =>
    `MESSAGES ${messages.length} UIDVALIDITY ${uidValidity} UNSEEN 0`,
};

it("without UIDNEXT it is above what is there, and never falls", async () => {
  const { odd, mailferry, client } = await start({ INBOX: five(), Empty: oddMailbox([], 3) }, withoutUidNext);
  expect(await told(client, "SELECT INBOX")).toContain("[UIDNEXT 6]");
  expect(await told(client, "SELECT Empty")).toContain("[UIDNEXT 1]");
  odd.mailboxes.get("INBOX")?.messages.pop();
  expect(await told(client, "SELECT INBOX")).toContain("[UIDNEXT 6]");
  expect((await cli(mailferry, "verify")).said).toContain("equal");
  expect((await cli(mailferry, "cutover")).said).toContain("local");
});

it.each([
  ["unquoted", (name: string) => name],
  ["in UTF-8", (name: string) => `"${name.replace("&APw-", "\u00c3\u00bc")}"`],
  ["in another case", (name: string) => `"${name.toUpperCase()}"`],
  ["as a literal", (name: string) => `{${name.length}}\r\n${name}`],
])("STATUS may name the mailbox %s", async (_, written) => {
  const boxes = { INBOX: five(), "Sent Items": five(2), "Entw&APw-rfe": five(3) };
  const { selectLines } = withoutUidNext;
  const { client } = await start(boxes, {
    ...(selectLines && { selectLines }),
    answer({ connection, tag, name, args }, { mailboxes }) {
      if (name !== "STATUS") return false;
      const asked = /"([^"]+)"/.exec(args)?.[1] ?? "";
      const box = mailboxes.get(asked);
      const items = `MESSAGES 5 UIDNEXT ${6 + (box?.uidValidity ?? 0)} UIDVALIDITY ${box?.uidValidity} UNSEEN 5`;
      connection.say(`* STATUS ${written(asked)} (${items})\r\n${tag} OK done\r\n`);
      return true;
    },
  });
  expect(await told(client, 'SELECT "Sent Items"')).toContain("[UIDNEXT 8]");
  expect(await told(client, "SELECT Entw&APw-rfe")).toContain("[UIDNEXT 9]");
});

it.each(["NO not kept here", "BAD unknown command"])(
  "LSUB or NAMESPACE may be refused: %s",
  async (refusal) => {
    const { odd, mailferry, client } = await start({ INBOX: five() });
    expect(await told(client, 'LSUB "" "*"')).toContain("INBOX");
    odd.behave({
      answer({ connection, tag, name }) {
        if (name !== "LSUB" && name !== "NAMESPACE") return false;
        connection.say(`${tag} ${refusal}\r\n`);
        return true;
      },
    });
    expect(await told(await mailferry.client(user), 'LIST "" "*"')).toContain("INBOX");
    // What was known of them is not forgotten by that.
    expect(await told(client, 'LSUB "" "*"')).toContain("INBOX");
  },
);

it("one FETCH may be answered in several responses", async () => {
  const box = five();
  box.messages[1]?.flags.add("\\Flagged").add("work");
  const { mailferry, client } = await start(
    { INBOX: box },
    {
      fetched: (number, items) =>
        items
          .slice(1)
          .map((item) => `* ${number} FETCH (${items[0]} ${item})\r\n`)
          .join(""),
    },
  );
  await client.ok("SELECT INBOX");
  expect(await told(client, "UID FETCH 2 (FLAGS RFC822.SIZE)")).toMatch(
    /FLAGS \(\\Flagged work\).* RFC822.SIZE \d+/,
  );
  expect((await cli(mailferry, "migrate")).code).toBe(0);
  expect((await cli(mailferry, "verify")).said).toContain("equal");
});

it("a keyword in PERMANENTFLAGS may hold a bracket", async () => {
  const flags = "\\Answered \\Flagged \\Deleted \\Seen \\Draft Seen-[Box]/Bin NotJunk";
  const { client } = await start(
    { INBOX: five() },
    {
      selectLines: ({ messages, uidValidity, uidNext }) => [
        `* FLAGS (${flags})\r\n* OK [PERMANENTFLAGS (${flags} \\*)] these [and more] ok\r\n`,
        `* ${messages.length} EXISTS\r\n* OK [UIDVALIDITY ${uidValidity}] ok\r\n* OK [UIDNEXT ${uidNext}] ok\r\n`,
      ],
    },
  );
  expect(await told(client, "SELECT INBOX")).toContain(`[PERMANENTFLAGS (${flags} \\*)]`);
});

it("what is below Inbox, in another case, is found below INBOX", async () => {
  const { client } = await start(
    { INBOX: five(), "Inbox/Sub": five(2), "Other/inbox": five(3) },
    {
      listLine: (name, verb) => `* ${verb} () "/" "${name === "INBOX" ? "Inbox" : name}"\r\n`,
    },
  );
  const names = (await told(client, 'LIST "" %')).match(/"[^"/]*"(?=\* |$)/g);
  expect(names).toEqual(['"INBOX"', '"Other"']);
  expect(await told(client, "SELECT INBOX/Sub")).toContain("[UIDVALIDITY 2]");
  expect((await client.command("SELECT INBOX/sub")).status).toBe("NO");
  expect((await client.command("SELECT Other/INBOX")).status).toBe("NO");
});

it("a client changes what is below Inbox under the name INBOX/…, before and after the cutover", async () => {
  const { mailferry, odd, client } = await start(
    { INBOX: five(), "Inbox/Sub": five(2), "Inbox/Gone": oddMailbox([], 4), Other: oddMailbox([], 5) },
    { listLine: (name, verb) => `* ${verb} () "/" "${name === "INBOX" ? "Inbox" : name}"\r\n` },
  );
  await told(client, 'LIST "" *');
  const changeAll = async (made: string): Promise<void> => {
    expect(await told(client, "STATUS INBOX/Sub (UIDVALIDITY)")).toContain(
      "STATUS INBOX/Sub (UIDVALIDITY 2)",
    );
    expect(
      (await client.ok("APPEND INBOX/Sub ", Buffer.from("Subject: new\r\n\r\ntext\r\n"))).text,
    ).toContain("[APPENDUID 2 ");
    await client.ok("SELECT INBOX");
    expect((await client.ok("COPY 1 INBOX/Sub")).text).toContain("[COPYUID 2 ");
    await client.ok("MOVE 1 INBOX/Sub");
    await client.ok(`CREATE INBOX/${made}`);
    await client.ok(`RENAME INBOX/${made} inbox/${made}2`);
    await client.ok(`DELETE INBOX/${made}2`);
    await client.ok(`RENAME Other INBOX/${made}`);
    await client.ok(`RENAME INBOX/${made} Other`);
    expect(await told(client, 'LIST "" *')).not.toContain("INBOX/");
  };
  await changeAll("New");
  await client.ok("DELETE INBOX/Gone");
  expect([...odd.mailboxes.keys()].sort()).toEqual(["INBOX", "Inbox/Sub", "Other"]);
  expect(odd.mailboxes.get("Inbox/Sub")?.messages).toHaveLength(8);
  expect((await cli(mailferry, "cutover")).said).toContain("local");
  await changeAll("Later");
  expect(await told(client, "STATUS Inbox/Sub (MESSAGES)")).toContain("MESSAGES 11");
});

it("a set over gaps is written as ranges: no command is longer than 8,192 bytes", async () => {
  const box = oddMailbox(Array.from({ length: 1_000 }, (_, index) => oddMessage(10_000_001 + 2 * index)));
  const { odd, client } = await start({ INBOX: box, Archive: oddMailbox([], 2) });
  await client.ok("SELECT INBOX");
  await client.ok("COPY 1:* Archive");
  await client.ok("STORE 1:* +FLAGS (\\Flagged)");
  expect(odd.mailboxes.get("Archive")?.messages).toHaveLength(1_000);
  expect(box.messages.every(({ flags }) => flags.has("\\Flagged"))).toBe(true);
  expect(Math.max(...odd.log.map((line) => line.length))).toBeLessThan(8_000);
});

it("an APPENDUID below UIDNEXT, which is another message's, is not told", async () => {
  const { client } = await start(
    { INBOX: five() },
    keepingOne((a, b) => a === b),
  );
  await client.ok("SELECT INBOX");
  const { status, text } = await client.command("APPEND INBOX ", oddMessage(2).body);
  expect(status).toBe("OK");
  expect(text).not.toContain("APPENDUID");
});

it.each(["mailbox is locked by another session", "Mailbox in use, please try again", "temporary failure"])(
  "a NO of the moment to SELECT is not told as NONEXISTENT: %s",
  async (words) => {
    const { odd, client } = await start(
      { INBOX: five(), Archive: five(2) },
      {
        answer({ connection, tag, name, args }) {
          const isRefused = /^(SELECT|EXAMINE|STATUS)$/.test(name) && args.includes("Archive");
          if (isRefused) connection.say(`${tag} NO ${words}\r\n`);
          return isRefused;
        },
      },
    );
    const { status, text } = await client.command("SELECT Archive");
    expect(`${status} ${text}`).toContain("NO [UNAVAILABLE]");
    odd.behave({ answer: () => false });
    expect(await told(client, "SELECT Archive")).toContain("[UIDVALIDITY 2]");
  },
);

it("what holds a mailbox open lets go before it is deleted", async () => {
  const open = new Set<OddConnection>();
  const { mailferry, client } = await start(
    { INBOX: five(), x: five(2) },
    {
      answer({ connection, tag, name }) {
        open.add(connection);
        if (name === "LOGOUT") open.delete(connection);
        const isHeld = [...open].some((one) => one !== connection && one.selected === "x");
        const isRefused = isHeld && name === "DELETE";
        if (isRefused) connection.say(`${tag} NO [INUSE] it is open\r\n`);
        return isRefused;
      },
    },
  );
  await client.ok("SELECT x");
  await client.ok("SELECT INBOX");
  await (await mailferry.client(user)).ok("DELETE x");
});

it("a connection that errs on a name is not used for it again", async () => {
  const all = new Set<OddConnection>();
  const sick = new Set<OddConnection>();
  const { mailferry, client } = await start(
    { INBOX: five(), x: five(2) },
    {
      answer({ connection, tag, name, args }, { mailboxes }) {
        all.add(connection);
        const isSick = sick.has(connection) && /^"x"/.test(args) && mailboxes.has("x");
        if (isSick) connection.say(`${tag} NO [SERVERBUG] Internal error\r\n`);
        // Whoever was there before goes on with the mailbox of before.
        if (name === "CREATE") for (const one of all) sick.add(one);
        return isSick;
      },
    },
  );
  await client.ok("SELECT x");
  for (let round = 0; round < 3; round++) {
    const other = await mailferry.client(user);
    await other.ok("DELETE x");
    await other.ok("CREATE x");
    await other.ok("APPEND x ", oddMessage(1).body);
    expect(await told(other, "SELECT x")).toContain("* 1 EXISTS");
    await other.ok("STORE 1 +FLAGS (\\Seen)");
    await other.ok("LOGOUT");
  }
});
