/** What `verify` finds to be other bytes than the old server gives is fetched anew, and what was kept lies apart. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { startBehindOdd } from "../helpers/behind-odd.ts";
import { type Mailferry, runCli } from "../helpers/mailferry.ts";
import { type Manners, oddMailbox, oddMessage, rightItem } from "../helpers/odd-imap.ts";

const user = "alice";
const letters = [1, 2, 3].map((uid) => oddMessage(uid));

/** Another text of the same length. */
const otherText = (body: Buffer): Buffer =>
  Buffer.from(body.toString().replace("Text number", "Tale number"));

/** BODY[] of message 2 is this, the first time, the second, and so on. */
function second(tell: (body: Buffer, time: number) => Buffer): Partial<Manners> {
  let times = 0;
  return {
    item(message, item) {
      if (message.uid !== 2 || !/^BODY(\.PEEK)?\[\]$/.test(item)) return rightItem(message, item);
      const body = tell(message.body, ++times).toString("latin1");
      return `BODY[] {${body.length}}\r\n${body}`;
    },
  };
}

async function start(manners: Partial<Manners> = {}) {
  const { odd, mailferry } = await startBehindOdd({ INBOX: oddMailbox(letters) }, manners);
  const client = await mailferry.client(user);
  await client.ok("SELECT INBOX");
  expect((await run(mailferry, "migrate")).stdout).toContain("complete");
  return { odd, mailferry, client };
}

const run = ({ configFile }: Mailferry, command: string, ...options: string[]) =>
  runCli([command, "-c", configFile, user, ...options]);
const accountOf = ({ dataDir }: Mailferry): string => join(dataDir, "mail", "_", user);

function putAside(mailferry: Mailferry): string[] {
  const damaged = join(accountOf(mailferry), "damaged");
  return existsSync(damaged)
    ? readdirSync(damaged).map((name) => readFileSync(join(damaged, name), "latin1"))
    : [];
}

function fileOf(mailferry: Mailferry, uid: number): string {
  const cur = join(accountOf(mailferry), "Maildir", "cur");
  const name = readdirSync(cur).find((one) => Number.parseInt(one, 10) === uid);
  if (name === undefined) throw new Error(`no file of UID ${uid}`);
  return join(cur, name);
}

it("the old server gave another text of the same length, once", async () => {
  const { mailferry, client } = await start(second((body, time) => (time === 1 ? otherText(body) : body)));
  expect((await client.ok("UID FETCH 2 (BODY.PEEK[TEXT])")).untagged.join("")).toContain("Tale number 2");
  const verified = await run(mailferry, "verify");
  expect(verified.stdout).toContain("equal");
  expect(verified.code, verified.stdout).toBe(0);
  expect((await client.ok("UID FETCH 2 (BODY.PEEK[TEXT])")).untagged.join("")).toContain("Text number 2");
  expect(putAside(mailferry).join("")).toContain("Tale number 2");
  expect((await run(mailferry, "cutover")).code).toBe(0);
});

it("the file has been changed here: what clients were told of it is told anew", async () => {
  const { mailferry, client } = await start();
  const file = fileOf(mailferry, 2);
  const text = readFileSync(file, "latin1");
  writeFileSync(file, text.replace("Letter 2", "Better 2"));
  expect((await client.ok("UID FETCH 2 (BODYSTRUCTURE ENVELOPE)")).untagged.join("")).toContain("Better 2");
  expect((await run(mailferry, "verify")).code).toBe(0);
  expect((await client.ok("UID FETCH 2 (BODYSTRUCTURE ENVELOPE)")).untagged.join("")).toContain("Letter 2");
  expect(readFileSync(fileOf(mailferry, 2), "latin1")).toBe(text);
});

it("the old server gives another text each time: it is told, and what is here stays", async () => {
  const { mailferry } = await start(
    second((body, time) =>
      Buffer.from(body.toString().replace("number", `numb${String.fromCharCode(97 + time)}r`)),
    ),
  );
  const verified = await run(mailferry, "verify");
  expect(verified.code).toBe(1);
  expect(verified.stdout).toContain("INBOX UID 2: bytes: sha256");
  expect(putAside(mailferry)).toEqual([]);
  expect(readFileSync(fileOf(mailferry, 2), "latin1")).toContain("numbbr");
});
