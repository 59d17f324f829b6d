/** What an old server tells of a mailbox that stays selected, and what is asked for it: as dialogues. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createMailboxLease } from "../../src/legacy/lease.ts";
import type { ImapSource } from "../../src/legacy/source.ts";
import { silentLogger } from "../../src/log.ts";
import { uid } from "../../src/mail/ids.ts";
import { createMessageChanges } from "../../src/migration/change-messages.ts";
import { type MailboxMirror, openMailboxMirror } from "../../src/migration/mailbox-mirror.ts";
import type { AccountStore } from "../../src/store/store.ts";
import { connectTo, type Peer, type ScriptedServer, scriptedServer } from "../legacy/scripted-server.ts";
import { addMailbox, createFixture, type StoreFixture } from "../store/fixture.ts";

let fixture: StoreFixture;
let store: AccountStore;
let server: ScriptedServer | undefined;
const closing = new AbortController();
const { signal } = closing;

beforeEach(async () => {
  fixture = createFixture();
  store = await fixture.open();
});
afterEach(async () => {
  await server?.close();
  expect(server?.failures ?? []).toEqual([]);
  await store.close();
  fixture.remove();
});

/** What the client sends, and what is answered: lines, `OK` for the tagged one. */
type Dialogue = readonly (readonly [command: RegExp, ...answer: string[]])[];

async function play(peer: Peer, dialogue: Dialogue): Promise<void> {
  for (const [command, ...lines] of dialogue) {
    const tag = await peer.expect(command);
    peer.send(`${[...lines, `${tag} OK done`].join("\r\n")}\r\n`);
  }
}

const metaOf = (number: number, one: number, flags = "", at = 10): string =>
  `* ${number} FETCH (UID ${one} FLAGS (${flags}) INTERNALDATE "01-Jan-2026 00:00:00 +0000" RFC822.SIZE 9 MODSEQ (${at}))`;

/** Five messages, UIDs 10 to 50, HIGHESTMODSEQ 10. */
const opening: Dialogue = [
  [
    /^EXAMINE "INBOX" \(CONDSTORE\)$/,
    "* 5 EXISTS",
    "* OK [UIDVALIDITY 7] v",
    "* OK [UIDNEXT 51] n",
    "* OK [HIGHESTMODSEQ 10] h",
  ],
  [/^UID SEARCH/, "* SEARCH 10 20 30 40 50"],
  [/^UID FETCH 10,20,30,40,50 /, ...[1, 2, 3, 4, 5].map((number) => metaOf(number, number * 10))],
];

interface Following {
  readonly mirror: MailboxMirror;
  readonly changes: ReturnType<typeof createMessageChanges>;
  /** `KIND UIDS`, in order. */
  readonly heard: string[];
  readonly flagsOf: (one: number) => string;
  readonly modSeqOf: (one: number) => bigint | undefined;
}

async function follow(dialogue: Dialogue): Promise<Following> {
  server = await scriptedServer(async (peer) => {
    await play(peer, [...opening, ...dialogue]);
    await peer.line();
  });
  const connection = await connectTo(server.port, ["CONDSTORE", "UIDPLUS"]);
  const share: ImapSource["shareMailbox"] = async (name, _, work) =>
    work(await createMailboxLease(connection, name));
  const source = { shareMailbox: share, isShared: () => true, isCrowded: false } as unknown as ImapSource;
  const mirror = await openMailboxMirror({
    store,
    source,
    logger: silentLogger,
    signal,
    record: addMailbox(store),
  });
  await mirror.sync(signal, { modSeqs: true });
  await mirror.metadata(mirror.state.table.uids);
  const heard: string[] = [];
  mirror.subscribe((event) => heard.push(`${event.kind} ${"uids" in event ? event.uids.join(",") : ""}`));
  const known = (one: number) => {
    const message = mirror.state.table.get(uid(one));
    return message && message.presence !== "remote" ? message : undefined;
  };
  return {
    mirror,
    changes: createMessageChanges({ source, logger: silentLogger, signal, opened: () => mirror }),
    heard,
    flagsOf: (one) => known(one)?.flags.join(" ") ?? "unknown",
    modSeqOf: (one) => known(one)?.modSeq,
  };
}

describe("NOOP tells", () => {
  it("of flags, by UID and with the next MODSEQ: nothing is asked", async () => {
    const { mirror, heard, flagsOf } = await follow([
      [/^NOOP$/, "* 2 FETCH (UID 20 MODSEQ (11) FLAGS (\\Seen))", "* 3 FETCH (UID 30 MODSEQ (12) FLAGS ())"],
    ]);
    await mirror.sync(signal);
    expect(heard).toEqual(["flags 20,30"]);
    expect(flagsOf(20)).toBe("\\Seen");
    expect(mirror.state.record.highestModSeq).toBe(12n);
  });

  it("of flags of one message twice: the last counts", async () => {
    const { mirror, flagsOf, modSeqOf } = await follow([
      [
        /^NOOP$/,
        "* 2 FETCH (UID 20 MODSEQ (11) FLAGS (\\Seen))",
        "* 2 FETCH (UID 20 MODSEQ (12) FLAGS (\\Flagged))",
      ],
    ]);
    await mirror.sync(signal);
    expect([flagsOf(20), modSeqOf(20)]).toEqual(["\\Flagged", 12n]);
  });

  it("of a MODSEQ that does not follow on: what has changed in between is asked for first", async () => {
    const { mirror, heard, flagsOf } = await follow([
      [/^NOOP$/, "* 2 FETCH (UID 20 MODSEQ (13) FLAGS (\\Seen))"],
      [/^STATUS "INBOX"/, "* STATUS INBOX (MESSAGES 5 UIDNEXT 51 UIDVALIDITY 7 UNSEEN 0 HIGHESTMODSEQ 13)"],
      [/^NOOP$/],
      [
        /^UID FETCH 10:50 \(UID FLAGS MODSEQ\) \(CHANGEDSINCE 10\)$/,
        "* 1 FETCH (UID 10 FLAGS (\\Draft) MODSEQ (12))",
        "* 2 FETCH (UID 20 FLAGS (\\Seen) MODSEQ (13))",
      ],
    ]);
    await mirror.sync(signal);
    expect(heard).toEqual(["flags 10,20"]);
    expect(flagsOf(10)).toBe("\\Draft");
    expect(mirror.state.record.highestModSeq).toBe(13n);
  });

  it("of flags without a UID: they are asked for by number", async () => {
    const { mirror, heard, flagsOf } = await follow([
      [/^NOOP$/, "* 4 FETCH (MODSEQ (11) FLAGS (\\Answered))"],
      [/^FETCH 4 \(UID FLAGS MODSEQ\)$/, "* 4 FETCH (UID 40 FLAGS (\\Answered) MODSEQ (11))"],
    ]);
    await mirror.sync(signal);
    expect(heard).toEqual(["flags 40"]);
    expect(flagsOf(40)).toBe("\\Answered");
  });

  it("of flags without a UID, and of an expunge before they could be asked for: the numbers are not believed", async () => {
    const { mirror, heard, flagsOf } = await follow([
      [/^NOOP$/, "* 4 FETCH (MODSEQ (11) FLAGS (\\Answered))"],
      [/^FETCH 4 /, "* 2 EXPUNGE", "* 4 FETCH (UID 50 FLAGS () MODSEQ (10))"],
      [/^STATUS/, "* STATUS INBOX (MESSAGES 4 UIDNEXT 51 UIDVALIDITY 7 HIGHESTMODSEQ 12)"],
      [/^NOOP$/],
      [/^UID SEARCH/, "* SEARCH 10 30 40 50"],
      [/^UID FETCH 10:50 .*CHANGEDSINCE 10/, "* 3 FETCH (UID 40 FLAGS (\\Answered) MODSEQ (11))"],
    ]);
    await mirror.sync(signal);
    expect(heard).toEqual(["expunged 20", "flags 40"]);
    expect(flagsOf(40)).toBe("\\Answered");
  });

  it("of new messages: what they are is asked for, and nothing is listed", async () => {
    const { mirror, heard } = await follow([
      [/^NOOP$/, "* 7 EXISTS", "* 2 RECENT"],
      [/^UID FETCH 51:4294967295 /, metaOf(6, 55, "", 11), metaOf(7, 57, "", 12)],
    ]);
    await mirror.sync(signal);
    expect(heard).toEqual(["arrived 55,57"]);
    expect(mirror.state.record).toMatchObject({ uidNext: 58, highestModSeq: 12n });
  });

  it("of more new messages than it shows: they are listed before any is told", async () => {
    const { mirror, heard } = await follow([
      [/^NOOP$/, "* 7 EXISTS"],
      [/^UID FETCH 51:4294967295 /, metaOf(7, 57, "", 12)],
      [/^STATUS/, "* STATUS INBOX (MESSAGES 7 UIDNEXT 58 UIDVALIDITY 7 HIGHESTMODSEQ 12)"],
      [/^NOOP$/],
      [/^UID SEARCH/, "* SEARCH 10 20 30 40 50 55 57"],
      [/^UID FETCH 10:50 .*CHANGEDSINCE 10/],
    ]);
    await mirror.sync(signal);
    expect(heard).toEqual(["arrived 55,57"]);
  });

  it("of an expunge that the listing bears out: it is believed", async () => {
    const { mirror, heard } = await follow([
      [/^NOOP$/, "* 2 EXPUNGE", "* 2 EXPUNGE"],
      [/^STATUS/, "* STATUS INBOX (MESSAGES 3 UIDNEXT 51 UIDVALIDITY 7 HIGHESTMODSEQ 12)"],
      [/^NOOP$/],
      [/^UID SEARCH/, "* SEARCH 10 40 50"],
      [/^UID FETCH 10:50 .*CHANGEDSINCE 10/],
    ]);
    await mirror.sync(signal);
    expect(heard).toEqual(["expunged 20,30"]);
    expect(mirror.state.record.highestModSeq).toBe(12n);
  });

  it("of one expunge where the listing lacks two messages: it is listed once more", async () => {
    const { mirror, heard } = await follow([
      [/^NOOP$/, "* 2 EXPUNGE"],
      [/^STATUS/, "* STATUS INBOX (MESSAGES 4 UIDNEXT 51 UIDVALIDITY 7 HIGHESTMODSEQ 12)"],
      [/^NOOP$/],
      [/^UID SEARCH/, "* SEARCH 10 40 50"],
      [/^NOOP$/],
      [/^UID SEARCH/, "* SEARCH 10 30 40 50"],
      [/^UID FETCH 10:50 .*CHANGEDSINCE 10/],
    ]);
    await mirror.sync(signal);
    expect(heard).toEqual(["expunged 20"]);
  });

  it("of VANISHED as of EXPUNGE", async () => {
    const { mirror, heard } = await follow([
      [/^NOOP$/, "* VANISHED 20:30"],
      [/^STATUS/, "* STATUS INBOX (MESSAGES 3 UIDNEXT 51 UIDVALIDITY 7 HIGHESTMODSEQ 12)"],
      [/^NOOP$/],
      [/^UID SEARCH/, "* SEARCH 10 40 50"],
      [/^UID FETCH 10:50 .*CHANGEDSINCE 10/],
    ]);
    await mirror.sync(signal);
    expect(heard).toEqual(["expunged 20,30"]);
  });

  it("nothing: nothing is asked", async () => {
    const { mirror, heard } = await follow([[/^NOOP$/], [/^NOOP$/]]);
    await mirror.sync(signal);
    await mirror.sync(signal);
    expect(heard).toEqual([]);
  });
});

describe("STORE", () => {
  const seen = { kind: "add", flags: ["\\Seen"] } as const;

  it("is answered by its own FETCH responses", async () => {
    const { mirror, changes, heard, modSeqOf } = await follow([
      [
        /^UID STORE 20,40 \+FLAGS \(\\Seen\)$/,
        "* 2 FETCH (UID 20 MODSEQ (11) FLAGS (\\Seen))",
        "* 4 FETCH (UID 40 MODSEQ (11) FLAGS (\\Seen))",
      ],
    ]);
    await changes.store(mirror, [uid(20), uid(40)], seen);
    expect(heard).toEqual(["flags 20,40"]);
    expect(modSeqOf(40)).toBe(11n);
  });

  it("that changes nothing is not answered, and nothing is asked", async () => {
    const { mirror, changes } = await follow([
      [/^UID STORE 20 \+FLAGS \(\\Seen\)$/, "* 2 FETCH (UID 20 MODSEQ (11) FLAGS (\\Seen))"],
      [/^UID STORE 20 \+FLAGS \(\\Seen\)$/],
    ]);
    await changes.store(mirror, [uid(20)], seen);
    await changes.store(mirror, [uid(20)], seen);
  });

  it("asks for a message that its answer leaves out", async () => {
    const { mirror, changes, flagsOf } = await follow([
      [/^UID STORE 20,40 /, "* 2 FETCH (UID 20 MODSEQ (11) FLAGS (\\Seen))"],
      [/^UID FETCH 40 \(UID FLAGS MODSEQ\)$/, "* 4 FETCH (UID 40 FLAGS () MODSEQ (10))"],
    ]);
    await changes.store(mirror, [uid(20), uid(40)], seen);
    expect([flagsOf(20), flagsOf(40)]).toEqual(["\\Seen", ""]);
  });

  it("tells no MODSEQ before what others have changed below it is known", async () => {
    const { mirror, changes, heard } = await follow([
      [/^UID STORE 20 /, "* 2 FETCH (UID 20 MODSEQ (12) FLAGS (\\Seen))"],
      [/^STATUS/, "* STATUS INBOX (MESSAGES 5 UIDNEXT 51 UIDVALIDITY 7 HIGHESTMODSEQ 12)"],
      [/^NOOP$/],
      [
        /^UID FETCH 10:50 .*CHANGEDSINCE 10/,
        "* 3 FETCH (UID 30 FLAGS (\\Draft) MODSEQ (11))",
        "* 2 FETCH (UID 20 FLAGS (\\Seen) MODSEQ (12))",
      ],
    ]);
    await changes.store(mirror, [uid(20)], seen);
    expect(heard).toEqual(["flags 30,20"]);
  });

  it("takes along what its answer tells of others' changes", async () => {
    const { mirror, changes, heard } = await follow([
      [
        /^UID STORE 20 /,
        "* 3 FETCH (UID 30 MODSEQ (11) FLAGS (\\Draft))",
        "* 2 FETCH (UID 20 MODSEQ (12) FLAGS (\\Seen))",
      ],
    ]);
    await changes.store(mirror, [uid(20)], seen);
    expect(heard).toEqual(["flags 30,20"]);
    expect(mirror.state.record.highestModSeq).toBe(12n);
  });

  it("of several who do not wait for each other go out together, and end as the server made them", async () => {
    const { mirror, changes, flagsOf, heard } = await follow([
      [/^UID STORE 20 \+FLAGS \(\\Seen\)$/, "* 2 FETCH (UID 20 MODSEQ (11) FLAGS (\\Seen))"],
      [/^UID STORE 20 -FLAGS \(\\Seen\)$/, "* 2 FETCH (UID 20 MODSEQ (12) FLAGS ())"],
      [/^UID STORE 30 \+FLAGS \(\\Seen\)$/, "* 3 FETCH (UID 30 MODSEQ (13) FLAGS (\\Seen))"],
    ]);
    await Promise.all([
      changes.store(mirror, [uid(20)], seen),
      changes.store(mirror, [uid(20)], { kind: "remove", flags: ["\\Seen"] }),
      changes.store(mirror, [uid(30)], seen),
    ]);
    expect([flagsOf(20), flagsOf(30)]).toEqual(["", "\\Seen"]);
    expect(heard.join(" ")).toMatch(/^flags 20/);
    expect(mirror.state.record.highestModSeq).toBe(13n);
  });
});
