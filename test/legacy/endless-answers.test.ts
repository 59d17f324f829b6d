/** Servers that do not come to the end of an answer, and true answers that are as long. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import type { ImapConnection } from "../../src/legacy/imap-connection.ts";
import { readListing } from "../../src/legacy/listing.ts";
import { uidThread } from "../../src/legacy/uid-arrange.ts";
import { uidFetch } from "../../src/legacy/uid-fetch.ts";
import { uidSearch } from "../../src/legacy/uid-search.ts";
import { vanishedSince } from "../../src/legacy/vanished.ts";
import { modSeq, type Uid, uid } from "../../src/mail/ids.ts";
import { connectTo, type Peer, type ScriptedServer, scriptedServer } from "./scripted-server.ts";

let server: ScriptedServer | undefined;
let connection: ImapConnection | undefined;

afterEach(async () => {
  connection?.destroy(new Error("test is over"));
  await server?.close();
  expect(server?.failures ?? []).toEqual([]);
});

async function connected(
  script: (peer: Peer) => Promise<void>,
  capabilities: readonly string[] = [],
  commandTimeoutMs = 60_000,
): Promise<ImapConnection> {
  server = await scriptedServer(script);
  connection = await connectTo(server.port, capabilities, commandTimeoutMs);
  return connection;
}

/** Until the client has had enough. */
async function sendForEver({ socket }: Peer, unit: string): Promise<void> {
  const bytes = Buffer.from(unit.repeat(Math.ceil(200_000 / unit.length)), "latin1");
  while (!socket.destroyed) {
    if (!socket.writableNeedDrain) socket.write(bytes);
    await nextTurn();
  }
}

type Question = (imap: ImapConnection) => Promise<unknown>;

const search: Question = (imap) => uidSearch(imap, ["ALL"]);
const fetch: Question = (imap) =>
  uidFetch(imap, { uids: [{ from: 1, to: 5 }], items: "(UID FLAGS)", onAnswer: () => true });
const fetchFlags: Question = (imap) =>
  uidFetch(imap, {
    uids: [{ from: 1, to: 5 }],
    items: "(UID FLAGS)",
    onAnswer: () => true,
    onFlags: () => undefined,
  });
const vanished: Question = (imap) => vanishedSince(imap, [{ from: 1, to: 5 }], modSeq(7n));

const floods: readonly (readonly [string, Question, head: string, unit: string])[] = [
  ["SEARCH after SEARCH", search, "", "* SEARCH 1 2 3 4 5\r\n"],
  ["one SEARCH that has no end", search, "* SEARCH", " 1 2 3 4 5"],
  ["ESEARCH of far more than there are", search, "", "* ESEARCH UID ALL 1:90000\r\n"],
  ["the same message again and again", fetch, "", '* 1 FETCH (UID 1 FLAGS (\\Seen) BODY[HEADER] "")\r\n'],
  ["the same flags again and again", fetchFlags, "", "* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n"],
  ["LIST of one name", readListing, "", '* LIST () "/" "a"\r\n'],
  ["VANISHED", vanished, "", "* VANISHED (EARLIER) 1:3,7,9\r\n"],
  ["VANISHED that nobody has asked for", search, "", "* VANISHED 1:3,7,9\r\n"],
  [
    "the same header again and again",
    fetch,
    "",
    `* 1 FETCH (UID 1 BODY[HEADER] {99999}\r\n${"x".repeat(99_999)})\r\n`,
  ],
  ["a line of no kind", search, "* ", "(a "],
  ["nothing but line ends", search, "", "\r\n"],
  ["a thread", (imap) => uidThread(imap, "REFERENCES", [{ from: 1, to: 5 }]), "* THREAD ", "(1 2)"],
  ["OK and nothing else", search, "", "* OK one moment please\r\n"],
];

it.each(floods)("gives up a server that sends %s without end", async (_, ask, head, unit) => {
  const capabilities = ["QRESYNC", "THREAD=REFERENCES", "NAMESPACE"];
  const imap = await connected(async (peer) => {
    peer.send(`* 5 EXISTS\r\n${await peer.expect(/^EXAMINE INBOX$/)} OK\r\n`);
    for (let line = await peer.line(); ; line = await peer.line()) {
      if (!/ (NAMESPACE|ENABLE .*)$/.test(line)) break;
      peer.send(`${line.split(" ")[0]} OK\r\n`);
    }
    peer.send(head);
    await sendForEver(peer, unit);
  }, capabilities);
  await imap.run({ parts: ["EXAMINE INBOX"] });
  await expect(ask(imap)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  expect(imap.isClosed).toBe(true);
});

it("a deadline is not put off by bytes alone", async () => {
  const imap = await connected(
    async (peer) => {
      await peer.expect(/^NOOP$/);
      for (let isOdd = true; !peer.socket.destroyed; isOdd = !isOdd) {
        peer.send(isOdd ? "* OK still" : " working\r\n");
        await nextTurn();
      }
    },
    [],
    100,
  );
  await expect(imap.run({ parts: ["NOOP"] })).rejects.toThrow(/did not (end an )?answer/);
});

describe("takes true answers, however long", () => {
  const count = 100_000;

  it("of a large mailbox", async () => {
    const imap = await connected(async (peer) => {
      peer.send(`* ${count} EXISTS\r\n${await peer.expect(/^EXAMINE INBOX$/)} OK\r\n`);
      const searching = await peer.expect(/^UID SEARCH ALL$/);
      peer.send(`* SEARCH${Array.from({ length: count }, (_, at) => ` ${3 * at + 1}`).join("")}\r\n`);
      peer.send(`${searching} OK\r\n`);
      const fetching = await peer.expect(/^UID FETCH/);
      for (let at = 0; at < count; at++) {
        peer.send(`* ${at + 1} FETCH (UID ${3 * at + 1} FLAGS (\\Seen))\r\n`);
        if (at % 1_000 === 0) await nextTurn();
      }
      peer.send(`${fetching} OK\r\n`);
      await peer.line();
    });
    await imap.run({ parts: ["EXAMINE INBOX"] });
    const uids = await uidSearch(imap, ["ALL"]);
    expect([uids.length, uids.at(-1)]).toEqual([count, 3 * count - 2]);
    const seen: Uid[] = [];
    await uidFetch(imap, {
      uids: [{ from: 1, to: 3 * count }],
      items: "(UID FLAGS)",
      onAnswer: (one) => seen.push(one) > 0,
    });
    expect(seen).toEqual(uids);
  });

  it("headers of many megabytes", async () => {
    const header = "x".repeat(9 << 20);
    const imap = await connected(async (peer) => {
      peer.send(`* 10 EXISTS\r\n${await peer.expect(/^EXAMINE INBOX$/)} OK\r\n`);
      const tag = await peer.expect(/^UID FETCH/);
      for (let at = 1; at <= 10; at++)
        peer.send(`* ${at} FETCH (UID ${at} BODY[HEADER] {${header.length}}\r\n${header})\r\n`);
      peer.send(`${tag} OK\r\n`);
      await peer.line();
    });
    await imap.run({ parts: ["EXAMINE INBOX"] });
    let bytes = 0;
    await uidFetch(imap, {
      uids: [{ from: 1, to: 10 }],
      items: "(UID BODY.PEEK[HEADER])",
      onAnswer(_, answer) {
        bytes += answer.header?.length ?? 0;
        return true;
      },
    });
    expect(bytes).toBe(10 * header.length);
  });

  it("UIDs out of order and twice are each taken once", async () => {
    const imap = await connected(async (peer) => {
      peer.send(
        `* SEARCH 9 3  3\r\n* SEARCH 4294967295 1 (MODSEQ 5)\r\n${await peer.expect(/SEARCH/)} OK\r\n`,
      );
      await peer.line();
    });
    expect(await uidSearch(imap, ["ALL"])).toEqual([1, 3, 9, 4_294_967_295].map(uid));
  });

  it("VANISHED of more ranges than fit on a stack", async () => {
    const imap = await connected(
      async (peer) => {
        peer.send(`${await peer.expect(/^ENABLE QRESYNC$/)} OK\r\n`);
        const tag = await peer.expect(/^UID FETCH/);
        const ranges = Array.from({ length: 2 * count }, (_, at) => 2 * at + 1);
        peer.send(`* VANISHED (EARLIER) ${ranges.join()}\r\n${tag} OK\r\n`);
        await peer.line();
      },
      ["QRESYNC"],
    );
    expect(await vanished(imap)).toHaveLength(2 * count);
  });
});
