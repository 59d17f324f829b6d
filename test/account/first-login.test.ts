/** A client and a mailbox of which nothing is here yet: what the old server is asked for its sake, and when. */
import { afterEach, expect, it } from "vitest";
import { createHandle } from "../../src/account/handle.ts";
import { createPatience } from "../../src/account/patience.ts";
import { createRecentLedger } from "../../src/account/recent.ts";
import { createImapServer } from "../../src/imap/server.ts";
import { silentLogger } from "../../src/log.ts";
import { flagsOf } from "../../src/mail/flags.ts";
import { modSeq, uid } from "../../src/mail/ids.ts";
import { openMailboxMirror } from "../../src/migration/mailbox-mirror.ts";
import type { Mirror } from "../../src/migration/mirror.ts";
import { connectClient, type LineClient } from "../helpers/line-client.ts";
import { createFakeSource } from "../migration/fake-source.ts";
import { addMailbox, createFixture } from "../store/fixture.ts";

const count = 2_500;
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A server in front of INBOX with messages 1 to `count`, every third of them \Seen. */
async function served() {
  const fixture = createFixture();
  const store = await fixture.open();
  const flags = new Map<number, readonly string[]>();
  const source = createFakeSource({
    messages: new Map(Array.from({ length: count }, (_, index) => [index + 1, "Subject: x\r\n\r\n"])),
    flagsOf: (each) => flags.get(each) ?? (each % 3 === 0 ? ["\\Seen"] : []),
  });
  const closing = new AbortController();
  const mailbox = await openMailboxMirror({
    store,
    source,
    logger: silentLogger,
    signal: closing.signal,
    record: addMailbox(store),
  });
  // No pull runs behind it.
  const nothing = (): undefined => undefined;
  const mirror = { store, mailbox: async () => mailbox, learnNames: nothing, wakeIfBehind: nothing };
  const handle = () =>
    createHandle({
      user: "alice",
      mirror: mirror as unknown as Mirror,
      recentLedger: createRecentLedger(),
      patience: createPatience(),
      maildropLock: { isHeld: false },
      pop3: { uidlFormat: "%u", markSeen: true },
      logger: silentLogger,
      onRelease: () => undefined,
      ended: () => undefined,
    });
  const server = createImapServer({
    hostname: "mail.example.com",
    login: async () => handle(),
    allowPlaintextLogin: true,
    tls: "none",
    logger: silentLogger,
  });
  const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
  server.accept();
  closers.push(
    fixture.remove,
    () => store.close(),
    () => closing.abort(),
    () => server.close(100),
  );
  const select = async (parameters = ""): Promise<LineClient> => {
    const client = await connectClient(port);
    closers.push(() => client.close());
    await client.line();
    await client.command("l LOGIN alice secret");
    await client.command(`s SELECT INBOX${parameters}`);
    return client;
  };
  return { source, flags, select, state: mailbox.state };
}

it("gets all flags by one FETCH that asks for nothing else, and the rest when it wants that", async () => {
  const { source, select } = await served();
  const client = await select();
  const lines = await client.command("a UID FETCH 1:* (FLAGS)");
  expect(lines).toHaveLength(count + 1);
  expect(lines.slice(0, 3)).toEqual([
    "* 1 FETCH (UID 1 FLAGS ())",
    "* 2 FETCH (UID 2 FLAGS ())",
    "* 3 FETCH (UID 3 FLAGS (\\Seen))",
  ]);
  expect(lines.at(-1)).toBe("a OK Fetch completed.");
  expect(source.fetches).toEqual([`FLAGS 1:${count}`]);
  expect(await client.command("b FETCH 3 (FLAGS RFC822.SIZE)")).toEqual([
    "* 3 FETCH (FLAGS (\\Seen) RFC822.SIZE 14)",
    "b OK Fetch completed.",
  ]);
  expect(source.fetches).toEqual([`FLAGS 1:${count}`, "META 3:2002"]);
});

it("hears of flags that it was told and that have changed since", async () => {
  const { flags, select } = await served();
  const client = await select();
  await client.command("a FETCH 1:* (FLAGS)");
  flags.set(7, ["\\Flagged"]);
  expect(await client.command("b FETCH 7 (RFC822.SIZE)")).toEqual([
    "* 7 FETCH (RFC822.SIZE 14)",
    "* 7 FETCH (UID 7 FLAGS (\\Flagged))",
    "b OK Fetch completed.",
  ]);
  flags.set(6, ["\\Deleted"]);
  expect(await client.command("c NOOP")).toEqual([
    "* 6 FETCH (UID 6 FLAGS (\\Deleted))",
    "c OK NOOP completed.",
  ]);
});

it("with CONDSTORE hears of them with their MODSEQ, as soon as that is known", async () => {
  const { select, state } = await served();
  const client = await select(" (CONDSTORE)");
  await client.command("a FETCH 1:* (FLAGS)");
  const change = { uid: uid(7), flags: flagsOf(["\\Flagged"]) };
  state.commitFlags([{ ...change, modSeq: modSeq(0n) }]);
  expect(await client.command("b FETCH 1 (UID)")).toEqual(["* 1 FETCH (UID 1)", "b OK Fetch completed."]);
  state.commitFlags([{ ...change, flags: flagsOf(["\\Draft"]), modSeq: modSeq(12n) }]);
  expect(await client.command("c FETCH 1 (UID)")).toEqual([
    "* 1 FETCH (UID 1)",
    "* 7 FETCH (UID 7 MODSEQ (12) FLAGS (\\Draft))",
    "c OK Fetch completed.",
  ]);
});
