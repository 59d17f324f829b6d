/** What a server need not have, and what it may do in its own way: clients and operators get right answers all the same. */
import { expect, it, onTestFinished } from "vitest";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailferry, runCli, startMailferry } from "../helpers/mailferry.ts";
import {
  type Manners,
  type OddImap,
  type OddMailbox,
  oddMailbox,
  oddMessage,
  oddPassword,
  startOddImap,
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
  const odd = await startOddImap(mailboxes, manners);
  onTestFinished(() => odd.close());
  const legacy = { host: "127.0.0.1", ports: { imap: odd.port }, passwordOf: () => oddPassword };
  const mailferry = await startMailferry({ legacy, legacyExtra: { timeout: 5 } });
  onTestFinished(() => mailferry.close());
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
  const { odd, mailferry, client } = await start(
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
