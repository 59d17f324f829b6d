/** An old server that does not come to the end of an answer, beside one whose users are served as ever. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { connectImap } from "../helpers/imap-client.ts";
import { type Mailferry, startMailferry } from "../helpers/mailferry.ts";
import { type OddImap, oddMailbox, oddMessage, oddPassword, startOddImap } from "../helpers/odd-imap.ts";
import { serverMemoryBytes } from "../helpers/server-memory.ts";

const mostMoreBytes = 150 << 20;
let flooding: OddImap;
let quiet: OddImap;
let mailferry: Mailferry;

beforeEach(async () => {
  const mailboxes = () => ({ INBOX: oddMailbox([1, 2, 3].map((uid) => oddMessage(uid))) });
  [flooding, quiet] = [await startOddImap(mailboxes()), await startOddImap(mailboxes())];
  const at = (domain: string, { port }: OddImap) => ({
    domains: [domain],
    imap: { host: "127.0.0.1", port, tls: "none" },
  });
  mailferry = await startMailferry({
    extra: { legacy: [at("flood.example", flooding), at("quiet.example", quiet)] },
  });
});
afterEach(async () => {
  await mailferry?.close();
  await Promise.all([flooding?.close(), quiet?.close()]);
});

/** From now on `unit` is all that is said to commands of that name, again and again. */
function flood(command: string, unit: string): void {
  const bytes = unit.repeat(Math.ceil(100_000 / unit.length));
  flooding.behave({
    answer({ name, connection }) {
      if (name !== command) return false;
      void (async () => {
        while (!connection.isOver()) {
          if (connection.takesMore()) connection.say(bytes);
          await nextTurn();
        }
      })();
      return true;
    },
  });
}

it.each([
  ["UID SEARCH", "* SEARCH 1 2 3\r\n"],
  ["UID SEARCH", "* SEARCH 4 "],
  ["SELECT", "* OK still on its way\r\n"],
  ["UID FETCH", "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n"],
  ["LIST", '* LIST () "/" INBOX\r\n'],
  ["NOOP", "* VANISHED 1:3,7\r\n"],
])("%s that is answered with %j without end", async (command, unit) => {
  const other = await mailferry.client("bert@quiet.example", oddPassword);
  await other.ok("SELECT INBOX");
  const before = serverMemoryBytes(mailferry.pid);
  let most = before;
  flood(command, unit);
  const victim = await connectImap({ port: mailferry.port("imap") });
  await victim.login("anna@flood.example", oddPassword);
  const ask = async (): Promise<void> => {
    if (command === "LIST") await victim.command('LIST "" "*"');
    await victim.command("SELECT INBOX");
    await victim.command("NOOP");
    await victim.command("FETCH 1:* (FLAGS RFC822.SIZE)");
  };
  let isOver = false;
  // It is told NO, or BYE: it is told something.
  const asking = ask()
    .catch(() => undefined)
    .finally(() => {
      isOver = true;
    });
  do {
    await other.ok("NOOP");
    expect((await other.ok("UID FETCH 1:* (FLAGS)")).untagged).toHaveLength(3);
    most = Math.max(most, serverMemoryBytes(mailferry.pid));
  } while (!isOver);
  await asking;
  expect(most - before).toBeLessThan(mostMoreBytes);
});
