/** What leases ask and how they read the answers of servers good and bad. */
import { afterEach, describe, expect, it } from "vitest";
import { MailError } from "../../src/errors.ts";
import type { ImapConnection } from "../../src/legacy/imap-connection.ts";
import { createLease, createMailboxLease } from "../../src/legacy/lease.ts";
import type { BodySink, MailboxLease } from "../../src/legacy/source.ts";
import { flagsOf } from "../../src/mail/flags.ts";
import { encodedMailboxName, inbox, modSeq, type Uid, uid } from "../../src/mail/ids.ts";
import type { MessageMeta } from "../../src/mail/message.ts";
import { uidSetOf } from "../../src/mail/number-set.ts";
import { connectTo, type Peer, type ScriptedServer, scriptedServer } from "./scripted-server.ts";

const opened: { server: ScriptedServer; connection: ImapConnection }[] = [];

afterEach(async () => {
  for (const { server, connection } of opened.splice(0)) {
    connection.destroy(new Error("test is over"));
    await server.close();
    expect(server.failures).toEqual([]);
  }
});

async function connected(
  script: (peer: Peer) => Promise<void>,
  capabilities: readonly string[] = [],
  greeting?: string,
): Promise<ImapConnection> {
  const server = await scriptedServer(async (peer) => {
    await script(peer);
    await peer.line();
  });
  const connection = await connectTo(server.port, capabilities, undefined, greeting);
  opened.push({ server, connection });
  return connection;
}

const selected = "* 9 EXISTS\r\n* OK [UIDVALIDITY 5] v\r\n* OK [UIDNEXT 50] n\r\n";

/** A lease on INBOX whose server goes on with `script`. */
async function inInbox(
  script: (peer: Peer) => Promise<void>,
  capabilities: readonly string[] = [],
  more = "",
): Promise<MailboxLease> {
  const imap = await connected(async (peer) => {
    const tag = await peer.expect(/^EXAMINE "INBOX"( \(CONDSTORE\))?$/);
    peer.send(`${selected}${more}${tag} OK [READ-ONLY] done\r\n`);
    await script(peer);
  }, capabilities);
  return createMailboxLease(imap, inbox);
}

const uids = (...numbers: number[]): ReturnType<typeof uidSetOf> => uidSetOf(numbers.map(uid));
const code = (value: string): object => expect.objectContaining({ code: value });

describe("listing", () => {
  it("asks everything at once and keeps names byte for byte", async () => {
    const imap = await connected(
      async (peer) => {
        const tags = [];
        for (const command of [/^NAMESPACE$/, /^LIST "" "\*"$/, /^LSUB "" "\*"$/])
          tags.push(await peer.expect(command));
        peer.send('* NAMESPACE (("INBOX." ".")) NIL (("#shared/" "/" "X" ("a"))("" NIL))\r\n');
        peer.send(
          '* LIST (\\HasChildren) "." inbox\r\n* LIST (\\Sent \\HasNoChildren) "." "a \\"b\\" \\\\"\r\n',
        );
        peer.send('* LIST () NIL {8}\r\nx\xe9\r\n) " \r\n* LIST () "/" Bare name\r\n* LIST () "/" NIL\r\n');
        peer.send(
          '* LIST () "." INBOX\r\n* LIST (\\Noselect) "\\\\" ""\r\n* LSUB () "." INBOX.gone&AOk-\r\n',
        );
        for (const tag of tags) peer.send(`${tag} OK\r\n`);
      },
      ["NAMESPACE"],
    );
    const listing = await createLease(imap).listing();
    expect(listing.namespaces).toEqual({
      personal: [{ prefix: "INBOX.", separator: "." }],
      otherUsers: null,
      shared: [
        { prefix: "#shared/", separator: "/" },
        { prefix: "", separator: null },
      ],
    });
    expect(listing.mailboxes).toEqual([
      { name: "INBOX", separator: ".", attributes: ["\\HasChildren"] },
      { name: 'a "b" \\', separator: ".", attributes: ["\\Sent", "\\HasNoChildren"] },
      { name: 'x\xe9\r\n) " ', separator: null, attributes: [] },
      { name: "Bare name", separator: "/", attributes: [] },
      { name: "NIL", separator: "/", attributes: [] },
    ]);
    expect(listing.subscriptions).toEqual([{ name: "INBOX.gone&AOk-", separator: ".", attributes: [] }]);
  });

  it("implies one namespace where there is no NAMESPACE", async () => {
    const imap = await connected(async (peer) => {
      const tags = [await peer.expect(/^LIST/), await peer.expect(/^LSUB/)];
      peer.send(`* LIST () "/" INBOX\r\n${tags[0]} OK\r\n${tags[1]} OK\r\n`);
    });
    const { namespaces } = await createLease(imap).listing();
    expect(namespaces).toEqual({
      personal: [{ prefix: "", separator: "/" }],
      otherUsers: null,
      shared: null,
    });
  });
});

describe("status", () => {
  it("pairs answers by name, leaves out what was not sent, keeps 64-bit HIGHESTMODSEQ", async () => {
    const name = encodedMailboxName("Entw\xfcrfe");
    const imap = await connected(
      async (peer) => {
        const first = await peer.expect(/^STATUS "A" \(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ\)$/);
        const second = await peer.expect(/^STATUS \{8\+\}$/);
        expect(await peer.bytes(8)).toBe(name);
        await peer.line();
        peer.send(`* STATUS {8}\r\n${name} (UIDNEXT 7 HIGHESTMODSEQ 9223372036854775807)\r\n`);
        peer.send(
          `* STATUS A (MESSAGES 3 UNSEEN 1 UIDVALIDITY 4294967295)\r\n${second} OK\r\n${first} OK\r\n`,
        );
      },
      ["CONDSTORE", "LITERAL+"],
    );
    const lease = createLease(imap);
    const [a, drafts] = await Promise.all([lease.status(encodedMailboxName("A")), lease.status(name)]);
    expect(a).toMatchObject({ messages: 3, unseen: 1, uidValidity: 2 ** 32 - 1, uidNext: undefined });
    expect(drafts).toMatchObject({ messages: undefined, uidNext: 7, highestModSeq: 2n ** 63n - 1n });
  });

  it("keeps those apart that are asked for one behind the other, and answered under other names", async () => {
    const imap = await connected(async (peer) => {
      const [first, second] = [
        await peer.expect(/^STATUS "Inbox\/A"/),
        await peer.expect(/^STATUS "Inbox\/B"/),
      ];
      peer.send(`* STATUS INBOX/A (UIDNEXT 7)\r\n${first} OK\r\n`);
      peer.send(`* STATUS INBOX/B (UIDNEXT 9)\r\n${second} OK\r\n`);
    });
    const lease = createLease(imap);
    const names = ["Inbox/A", "Inbox/B"].map(encodedMailboxName);
    const told = await Promise.all(names.map((name) => lease.status(name)));
    expect(told.map(({ uidNext }) => uidNext)).toEqual([7, 9]);
  });

  it.each([
    ["A", "NO", "NONEXISTENT"],
    ["A", "NO [NONEXISTENT]", "NONEXISTENT"],
    ["A", "NO [UNAVAILABLE]", "UNAVAILABLE"],
    ["A", "NO [INUSE]", "UNAVAILABLE"],
    ["A", "NO [NOPERM]", "CANNOT"],
    ["A", "BAD", "CANNOT"],
    ["INBOX", "NO", "UNAVAILABLE"],
  ])("of %s answered %s is %s", async (name, answer, expected) => {
    const imap = await connected(async (peer) => {
      peer.send(`${await peer.expect(/^STATUS/)} ${answer} sorry\r\n`);
    });
    const lease = createLease(imap);
    await expect(lease.status(encodedMailboxName(name))).rejects.toMatchObject({
      code: expected,
      message: "sorry",
    });
    expect(imap.isClosed).toBe(false);
  });
});

describe("examine", () => {
  it("tells everything that the server says", async () => {
    const more =
      "* FLAGS (\\Seen $A)\r\n* OK [PERMANENTFLAGS (\\Seen \\*)] p\r\n* OK [UNSEEN 3] u\r\n* OK [HIGHESTMODSEQ 77] h\r\n";
    const lease = await inInbox(async () => undefined, ["CONDSTORE"], more);
    expect(lease.examined).toEqual({
      uidValidity: 5,
      uidNext: 50,
      exists: 9,
      firstUnseen: 3,
      flags: ["\\Seen", "$A"],
      permanentFlags: ["\\Seen", "\\*"],
      readOnly: true,
      highestModSeq: 77n,
      hasNoModSeqs: false,
    });
  });

  it("asks STATUS for the UIDNEXT that Courier leaves out", async () => {
    const imap = await connected(async (peer) => {
      const tag = await peer.expect(/^EXAMINE "INBOX"$/);
      peer.send(`* 0 EXISTS\r\n* OK [UIDVALIDITY 5] v\r\n${tag} OK\r\n`);
      peer.send(`* STATUS INBOX (UIDNEXT 12)\r\n${await peer.expect(/^STATUS "INBOX"/)} OK\r\n`);
    });
    const { examined } = await createMailboxLease(imap, inbox);
    expect(examined).toMatchObject({ uidNext: 12, exists: 0, highestModSeq: undefined });
  });

  it("takes the last EXISTS: the ones before are of the mailbox selected until then", async () => {
    const lease = await inInbox(async () => undefined, [], "* 2 EXISTS\r\n* OK [NOMODSEQ] n\r\n");
    expect(lease.examined.exists).toBe(2);
  });

  it("asks STATUS for UIDVALIDITY where it is 0, and leaves it open where that does not tell either", async () => {
    const answer = "* 0 EXISTS\r\n* OK [UIDNEXT 5] n\r\n* OK [UIDVALIDITY 0] v\r\n";
    const imap = await connected(async (peer) => {
      for (const told of ["UIDVALIDITY 7", "UIDVALIDITY 0"]) {
        peer.send(`${answer}${await peer.expect(/^EXAMINE/)} OK\r\n`);
        peer.send(`* STATUS INBOX (UIDNEXT 6 ${told})\r\n${await peer.expect(/^STATUS/)} OK\r\n`);
      }
    });
    const validities = [];
    for (let times = 0; times < 2; times++) {
      const { examined } = await createMailboxLease(imap, inbox, { anew: true });
      validities.push([examined.uidValidity, examined.uidNext]);
    }
    expect(validities).toEqual([
      [7, 5],
      [undefined, 5],
    ]);
  });

  it("fails without EXISTS, and with NONEXISTENT for an unknown name", async () => {
    const imap = await connected(async (peer) => {
      peer.send(`* OK [UIDVALIDITY 1] v\r\n* OK [UIDNEXT 5] n\r\n${await peer.expect(/^EXAMINE/)} OK\r\n`);
      peer.send(`${await peer.expect(/^EXAMINE/)} NO no such thing\r\n`);
    });
    await expect(createMailboxLease(imap, inbox)).rejects.toEqual(code("UNAVAILABLE"));
    await expect(createMailboxLease(imap, encodedMailboxName("X"))).rejects.toEqual(code("NONEXISTENT"));
    expect(imap.selected).toBeUndefined();
  });
});

describe("UID lists", () => {
  it("come by ESEARCH, for the right command", async () => {
    const lease = await inInbox(
      async (peer) => {
        const tag = await peer.expect(/^UID SEARCH RETURN \(ALL\) ALL$/);
        peer.send(`* ESEARCH (TAG "other") UID ALL 1\r\n`);
        peer.send(`* ESEARCH (TAG "${tag}") UID COUNT 4 ALL 7,2:3,40:39 MODSEQ 5\r\n${tag} OK\r\n`);
        const empty = await peer.expect(/^UID SEARCH/);
        peer.send(`* 0 EXISTS\r\n* ESEARCH (TAG "${empty}") UID\r\n${empty} OK\r\n`);
      },
      ["ESEARCH"],
      "* 5 EXISTS\r\n",
    );
    expect(await lease.listUids()).toEqual([2, 3, 7, 39, 40]);
    expect(await lease.listUids()).toEqual([]);
  });

  it("come by SEARCH, in several lines and any order", async () => {
    const lease = await inInbox(
      async (peer) => {
        const tag = await peer.expect(/^UID SEARCH ALL$/);
        peer.send(`* SEARCH 9 10 2\r\n* SEARCH\r\n* SEARCH 2 100 (MODSEQ 5)\r\n${tag} OK\r\n`);
      },
      [],
      "* 4 EXISTS\r\n",
    );
    expect(await lease.listUids()).toEqual([2, 9, 10, 100]);
  });

  it("are not asked of an empty mailbox, and bounded", async () => {
    const lease = await inInbox(
      async (peer) => {
        const tag = await peer.expect(/^UID SEARCH/);
        peer.send(`* ESEARCH (TAG "${tag}") UID ALL 1:4294967295\r\n${tag} OK\r\n`);
      },
      ["ESEARCH"],
    );
    await expect(lease.listUids()).rejects.toEqual(code("UNAVAILABLE"));
    const empty = await inInbox(async () => undefined, [], "* 0 EXISTS\r\n");
    expect(await empty.listUids()).toEqual([]);
  });

  it.each([
    ["one line", 1, 300_000],
    ["as many lines", 15_000, 15_000],
  ])("of what has vanished are taken in %s, of any number of ranges", async (_, lines, count) => {
    const all = Array.from({ length: count }, (_, index) => 2 * index + 1);
    const lease = await inInbox(
      async (peer) => {
        const enabling = await peer.expect(/^ENABLE QRESYNC$/);
        peer.send(`* ENABLED QRESYNC\r\n${enabling} OK\r\n`);
        const tag = await peer.expect(/^UID FETCH 1:700000 \(UID\) \(CHANGEDSINCE 7 VANISHED\)$/);
        const sets = lines === 1 ? [all.join(",")] : all.map((one) => `${one}`);
        peer.send(`${sets.map((set) => `* VANISHED (EARLIER) ${set}\r\n`).join("")}${tag} OK\r\n`);
      },
      ["CONDSTORE", "QRESYNC"],
    );
    const vanished = await lease.vanishedSince([{ from: 1, to: 700_000 }], modSeq(7n));
    expect(vanished).toHaveLength(all.length);
    expect(vanished?.at(-1)).toEqual({ from: 2 * count - 1, to: 2 * count - 1 });
  });

  it("of what vanishes while it is selected are told, of any number of ranges", async () => {
    const ranges = Array.from({ length: 150_000 }, (_, index) => 2 * index + 1).join(",");
    const lease = await inInbox(async (peer) => {
      const tag = await peer.expect(/^NOOP$/);
      peer.send(`* VANISHED ${ranges}\r\n${tag} OK\r\n`);
    });
    await lease.ask();
    expect(lease.told.take().vanished).toHaveLength(150_000);
  });

  it("of a search: criteria go out with their literals", async () => {
    const lease = await inInbox(async (peer) => {
      const tag = await peer.expect(/^UID SEARCH CHARSET UTF-8 TEXT \{4\}$/);
      peer.send("+ go\r\n");
      expect(await peer.bytes(4)).toBe("a\r\n\xe9");
      expect(await peer.line()).toBe(" SUBJECT {0}");
      peer.send("+ go\r\n");
      expect(await peer.line()).toBe("");
      peer.send(`* SEARCH 3\r\n${tag} OK\r\n`);
      peer.send(`${await peer.expect(/^UID SEARCH/)} NO [BADCHARSET (US-ASCII)] no\r\n`);
    });
    const pieces = ["TEXT {4}\r\n", "a\r\n\xe9 SUBJECT {0}\r\n", ""].map((piece) =>
      Buffer.from(piece, "latin1"),
    );
    expect(await lease.search(pieces, "UTF-8")).toEqual([3]);
    await expect(lease.search([Buffer.from("ALL")], "KOI8-R")).rejects.toEqual(code("CANNOT"));
    for (const bad of [["ALL\r\nM9 LOGOUT"], ["TEXT {3}\r\n", "ab"], ["TEXT {3}", "abc"], ["TEXT {3}"]]) {
      await expect(lease.search(bad.map((piece) => Buffer.from(piece)))).rejects.toEqual(code("CANNOT"));
    }
  });
});

const date = 'INTERNALDATE "17-Jul-1996 02:44:25 +0530"';
const internalDate = { epochSeconds: 837551665, zoneMinutes: 330 };

describe("metadata", () => {
  it("are paired by UID, whatever comes in between", async () => {
    const lease = await inInbox(
      async (peer) => {
        const tag = await peer.expect(/^UID FETCH 1:3 \(UID FLAGS INTERNALDATE RFC822\.SIZE MODSEQ\)$/);
        peer.send(`* 5 EXPUNGE\r\n* 99 FETCH (UID 2 FLAGS (\\Seen) ${date} RFC822.SIZE 10 MODSEQ (4))\r\n`);
        peer.send(
          "* 1 FETCH (FLAGS (\\Flagged) UID 1)\r\n* 12 EXISTS\r\n* 0 RECENT\r\n* 3 FETCH (FLAGS ())\r\n",
        );
        peer.send(`* 4 FETCH (${date} UID 44 RFC822.SIZE 1 FLAGS ())\r\n* OK Still here\r\n* VANISHED 3\r\n`);
        peer.send(`* 1 FETCH (${date} RFC822.SIZE 0 UID 1 FLAGS ())\r\n${tag} OK\r\n`);
      },
      ["CONDSTORE"],
      "* OK [HIGHESTMODSEQ 9] h\r\n",
    );
    const seen: MessageMeta[] = [];
    await lease.fetchMeta(uids(1, 2, 3), (meta) => seen.push(meta));
    expect(seen).toEqual([
      { uid: 2, flags: flagsOf(["\\Seen"]), internalDate, sizeBytes: 10, modSeq: 4n },
      { uid: 1, flags: flagsOf([]), internalDate, sizeBytes: 0, modSeq: 0n },
    ]);
  });

  it.each([
    { capability: "OBJECTID", item: "EMAILID", answer: "EMAILID (M6d99ac)", emailId: "M6d99ac" },
    {
      capability: "X-GM-EXT-1",
      item: "X-GM-MSGID",
      answer: "X-GM-MSGID 1278455344230334865",
      emailId: "1278455344230334865",
    },
    { capability: "OBJECTID", item: "EMAILID", answer: "EMAILID NIL", emailId: undefined },
  ])(
    "tell what the message is where the server says $answer",
    async ({ capability, item, answer, emailId }) => {
      const lease = await inInbox(
        async (peer) => {
          const tag = await peer.expect(
            new RegExp(`^UID FETCH 1 \\(UID FLAGS INTERNALDATE RFC822\\.SIZE ${item}\\)$`),
          );
          peer.send(`* 1 FETCH (UID 1 FLAGS () ${date} RFC822.SIZE 10 ${answer})\r\n${tag} OK\r\n`);
        },
        [capability],
      );
      const seen: MessageMeta[] = [];
      await lease.fetchMeta(uids(1), (meta) => seen.push(meta));
      expect(seen).toEqual([
        { uid: 1, flags: flagsOf([]), internalDate, sizeBytes: 10, modSeq: 0n, emailId },
      ]);
    },
  );

  it.each([
    {
      how: "flags behind the rest",
      parts: [`${date} RFC822.SIZE 10`, "FLAGS (\\Seen)"],
      flags: ["\\Seen"],
    },
    { how: "flags first", parts: ["FLAGS (\\Seen)", `${date} RFC822.SIZE 10`], flags: ["\\Seen"] },
    {
      how: "each apart",
      parts: ["RFC822.SIZE 10", "FLAGS (\\Seen)", date],
      flags: ["\\Seen"],
    },
    { how: "no flags at all", parts: [`${date} RFC822.SIZE 10`], flags: [] },
    {
      how: "flags that change behind the answer, which are news",
      parts: [`${date} RFC822.SIZE 10`, "FLAGS (\\Seen)", "FLAGS (\\Flagged)"],
      flags: ["\\Seen"],
    },
  ])("are given once where they come in several responses: $how", async ({ parts, flags }) => {
    const lease = await inInbox(async (peer) => {
      const tag = await peer.expect(/^UID FETCH 1 /);
      for (const part of parts) peer.send(`* 1 FETCH (UID 1 ${part})\r\n`);
      peer.send(`${tag} OK\r\n`);
    });
    const seen: MessageMeta[] = [];
    await lease.fetchMeta(uids(1), (meta) => seen.push(meta));
    expect(seen).toEqual([{ uid: 1, flags: flagsOf(flags), internalDate, sizeBytes: 10, modSeq: 0n }]);
  });

  it("come with MODSEQs once it was asked for them: after a quick look", async () => {
    const imap = await connected(
      async (peer) => {
        const quick = await peer.expect(/^EXAMINE "INBOX"$/);
        peer.send(`${selected}${quick} OK [READ-ONLY] done\r\n`);
        const before = await peer.expect(/^UID FETCH 7 \(UID FLAGS\)$/);
        peer.send(`* 1 FETCH (UID 7 FLAGS (a))\r\n${before} OK\r\n`);
        const asking = await peer.expect(/^EXAMINE "INBOX" \(CONDSTORE\)$/);
        peer.send(`${selected}* OK [HIGHESTMODSEQ 9] h\r\n${asking} OK [READ-ONLY] done\r\n`);
        const after = await peer.expect(/^UID FETCH 7 \(UID FLAGS MODSEQ\)$/);
        peer.send(`* 1 FETCH (UID 7 FLAGS (a) MODSEQ (8))\r\n${after} OK\r\n`);
      },
      ["CONDSTORE"],
    );
    const lease = await createMailboxLease(imap, inbox, { quick: true });
    const seen: unknown[] = [];
    await lease.fetchFlags(uids(7), ({ modSeq }) => seen.push(modSeq));
    expect((await lease.examineAgain()).highestModSeq).toBe(9n);
    await lease.fetchFlags(uids(7), ({ modSeq }) => seen.push(modSeq));
    expect(seen).toEqual([0n, 8n]);
  });

  it("and flags ask for changes only, without MODSEQ where there is none", async () => {
    const lease = await inInbox(async (peer) => {
      const tag = await peer.expect(/^UID FETCH 7 \(UID FLAGS\) \(CHANGEDSINCE 12\)$/);
      peer.send(`* 1 FETCH (UID 7 FLAGS (a) MODSEQ (13))\r\n${tag} OK\r\n`);
    });
    const seen: unknown[] = [];
    await lease.fetchFlags(uids(7), (change) => seen.push(change), modSeq(12n));
    expect(seen).toEqual([{ uid: 7, flags: flagsOf(["a"]), modSeq: 13n }]);
  });

  it("are asked in lines of bounded length, and nothing is asked for nothing", async () => {
    const asked: string[] = [];
    const lease = await inInbox(async (peer) => {
      for (let count = 0; count < 5; count++) {
        const [tag = "", , , set = ""] = (await peer.line()).split(" ");
        asked.push(set);
        peer.send(`${tag} OK\r\n`);
      }
    });
    const many = Array.from({ length: 4000 }, (_, index) => uid(100_000 + 2 * index));
    await lease.fetchFlags([], () => undefined);
    await lease.fetchFlags(uidSetOf(many), () => undefined);
    expect(asked.join(",")).toBe(many.join(","));
    for (const set of asked) expect(set.length).toBeLessThan(6_010);
  });

  it.each([
    ["NO [EXPUNGEISSUED] some are gone", undefined],
    ["NO Some of the requested messages no longer exist.", undefined],
    ["NO [LIMIT] slower", "UNAVAILABLE"],
    ["NO cannot read it", "CANNOT"],
    ["BAD what", "CANNOT"],
  ])("end with %s as %s", async (answer, expected) => {
    const lease = await inInbox(async (peer) => {
      peer.send(`${await peer.expect(/^UID FETCH/)} ${answer}\r\n`);
    });
    const fetched = lease.fetchFlags(uids(1), () => undefined);
    if (expected) await expect(fetched).rejects.toEqual(code(expected));
    else await fetched;
  });
});

describe("Mailutils", () => {
  const mailutils = "IMAP4rev1";
  const selecting = async (peer: Peer): Promise<void> => {
    const tags = [await peer.expect(/^SELECT "INBOX"$/), await peer.expect(/^UID SEARCH ALL$/)];
    peer.send(`${selected}${tags[0]} OK [READ-WRITE] done\r\n* SEARCH 1 2 4\r\n${tags[1]} OK\r\n`);
  };

  it("announces a message that is gone, and sends nothing: what follows is not taken for it", async () => {
    const imap = await connected(
      async (peer) => {
        await selecting(peer);
        const tag = await peer.expect(/^UID FETCH 1:2,4 \(UID BODY\.PEEK\[\]\)$/);
        peer.send("* 1 FETCH (UID 1 BODY[] {3}\r\none)\r\n* 2 FETCH (UID 2 BODY[] {40}\r\n)\r\n");
        peer.send(`* 3 FETCH (UID 4 BODY[] {30}\r\nSubject: four\r\n\r\nfour four four)\r\n${tag} OK\r\n`);
      },
      [],
      mailutils,
    );
    const lease = await createMailboxLease(imap, inbox);
    const messages: [number, string][] = [];
    await expect(lease.fetchBodies(uids(1, 2, 3, 4), gather(messages))).rejects.toEqual(code("UNAVAILABLE"));
    expect(messages).toEqual([[1, "one"]]);
  });

  it("is asked in a new selection for what it shows empty, which is not taken as that", async () => {
    const imap = await connected(
      async (peer) => {
        await selecting(peer);
        const tag = await peer.expect(/^UID FETCH 1:2 /);
        peer.send(`* 1 FETCH (UID 1 BODY[] {3}\r\none)\r\n* 2 FETCH (UID 2 BODY[] "")\r\n${tag} OK\r\n`);
        await selecting(peer);
        peer.send(`* 2 FETCH (UID 2 BODY[] "")\r\n${await peer.expect(/^UID FETCH 2 /)} OK\r\n`);
      },
      [],
      mailutils,
    );
    const lease = await createMailboxLease(imap, inbox);
    const messages: [number, string][] = [];
    await lease.fetchBodies(uids(1, 2, 3), gather(messages));
    expect(messages).toEqual([[1, "one"]]);
  });
});

/** Gathers messages; `slow` holds every call back. */
function gather(messages: [number, string][], slow = false): BodySink {
  let current: { uid: Uid; sizeBytes: number; pieces: Buffer[] } | undefined;
  const wait = (): undefined | Promise<void> => (slow ? Promise.resolve() : undefined);
  return {
    begin(of, sizeBytes) {
      if (current) throw new Error("begin before end");
      current = { uid: of, sizeBytes, pieces: [] };
    },
    write(chunk) {
      current?.pieces.push(chunk);
      return wait();
    },
    end() {
      if (!current) throw new Error("end without begin");
      const whole = Buffer.concat(current.pieces);
      expect(whole.length).toBe(current.sizeBytes);
      messages.push([current.uid, whole.toString("latin1")]);
      current = undefined;
      return wait();
    },
  };
}

describe("bodies", () => {
  it.each([false, true])(
    "of two requests in flight go to the right sink, byte by byte (slow: %s)",
    async (slow) => {
      const lease = await inInbox(async (peer) => {
        const first = await peer.expect(/^UID FETCH 1:2 \(UID BODY\.PEEK\[\]\)$/);
        const second = await peer.expect(/^UID FETCH 2:3 \(UID BODY\.PEEK\[\]\)$/);
        const answers =
          "* 1 FETCH (UID 1 BODY[] {9}\r\nA:\r\n\r\n\0\xff\n)\r\n" +
          "* 99 FETCH (FLAGS (\\Seen) UID 2 BODY[] {3}\r\n)\r\n FLAGS (\\Seen))\r\n* 3 EXISTS\r\n" +
          `${first} OK\r\n` +
          "* 3 FETCH (BODY[] {5}\r\nlate\n UID 3)\r\n* 2 FETCH (UID 2 BODY[] {1}\r\nx)\r\n" +
          `${second} OK\r\n`;
        await peer.sendInPieces(answers, 1);
      });
      const [one, two]: [number, string][][] = [[], []];
      await Promise.all([
        lease.fetchBodies(uids(1, 2), gather(one ?? [], slow)),
        lease.fetchBodies(uids(2, 3), gather(two ?? [], slow)),
      ]);
      expect(one).toEqual([
        [1, "A:\r\n\r\n\0\xff\n"],
        [2, ")\r\n"],
      ]);
      expect(two).toEqual([
        [3, "late\n"],
        [2, "x"],
      ]);
    },
  );

  it("may be NIL, empty, quoted, sent twice or of somebody else", async () => {
    const lease = await inInbox(async (peer) => {
      const tag = await peer.expect(/^UID FETCH 1:5/);
      peer.send(
        '* 1 FETCH (UID 1 BODY[] NIL)\r\n* 2 FETCH (UID 2 BODY[] "")\r\n* 3 FETCH (UID 3 BODY[] {0}\r\n)\r\n',
      );
      peer.send('* 4 FETCH (BODY[] "a \\"b\\"" UID 4)\r\n* 4 FETCH (UID 4 BODY[] {2}\r\nxx)\r\n');
      peer.send(`* 9 FETCH (UID 9 BODY[] {2}\r\nyy)\r\n* 5 FETCH (UID 5 FLAGS ())\r\n${tag} OK\r\n`);
    });
    const messages: [number, string][] = [];
    await lease.fetchBodies(uids(1, 2, 3, 4, 5), gather(messages));
    expect(messages).toEqual([
      [2, ""],
      [3, ""],
      [4, 'a "b"'],
    ]);
  });

  it("that are NIL since another session has removed them contradict nothing", async () => {
    const lease = await inInbox(async (peer) => {
      const body = await peer.expect(/^UID FETCH 3 \(UID BODY/);
      peer.send(`* 3 FETCH (UID 3 BODY[] NIL)\r\n${body} OK\r\n`);
      peer.send(`* 3 EXPUNGE\r\n${await peer.expect(/^NOOP/)} OK\r\n`);
      peer.send(`${await peer.expect(/^UID FETCH 3 \(UID\)/)} OK\r\n`);
    });
    const nil: Uid[] = [];
    await lease.fetchBodies(uids(3), { ...gather([]), nil: (uid) => void nil.push(uid) });
    expect([nil, lease.told.take().expunged]).toEqual([[], 1]);
  });

  it("that are NIL though they are there are doubted, and nobody else's command is cut off", async () => {
    const { promise: isDoubted, resolve: noteDoubted } = Promise.withResolvers<void>();
    const lease = await inInbox(async (peer) => {
      const body = await peer.expect(/^UID FETCH 3 \(UID BODY/);
      const others = await peer.expect(/^NOOP/);
      peer.send(`* 3 FETCH (UID 3 BODY[] NIL)\r\n${body} OK\r\n`);
      peer.send(`${await peer.expect(/^NOOP/)} OK\r\n`);
      peer.send(`* 3 FETCH (UID 3)\r\n${await peer.expect(/^UID FETCH 3 \(UID\)/)} OK\r\n`);
      await isDoubted;
      peer.send(`${others} OK\r\n`);
    });
    const nil: Uid[] = [];
    const fault = new MailError("UNAVAILABLE", "not what it says");
    const sink = {
      ...gather([]),
      nil: (uid: Uid) => void nil.push(uid),
      doubt: () => ({ fault, isOfLength: false }),
    };
    const bodies = lease.fetchBodies(uids(3), sink);
    const others = lease.ask();
    await expect(bodies).rejects.toBe(fault);
    noteDoubted();
    await others;
    expect(nil).toEqual([3]);
  });

  it("break the connection when the sink fails, and say why", async () => {
    const lease = await inInbox(async (peer) => {
      await peer.expect(/^UID FETCH/);
      peer.send("* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n");
    });
    const full = new Error("disk full");
    const sink = { ...gather([]), write: () => Promise.reject(full) };
    await expect(lease.fetchBodies(uids(1), sink)).rejects.toBe(full);
    await expect(lease.listUids()).rejects.toBe(full);
  });

  it("that stop half-way never end", async () => {
    const imapServer = async (peer: Peer): Promise<void> => {
      await peer.expect(/^UID FETCH/);
      peer.send("* 1 FETCH (UID 1 BODY[] {30}\r\nabc");
      peer.socket.end();
    };
    const lease = await inInbox(imapServer);
    const messages: [number, string][] = [];
    await expect(lease.fetchBodies(uids(1), gather(messages))).rejects.toEqual(code("UNAVAILABLE"));
    expect(messages).toEqual([]);
  });
});

it("headers and structures come exact", async () => {
  const lease = await inInbox(async (peer) => {
    const first = await peer.expect(/^UID FETCH 1:3 \(UID BODY\.PEEK\[HEADER\]\)$/);
    const second = await peer.expect(/^UID FETCH 1 \(UID BODY BODYSTRUCTURE\)$/);
    peer.send(
      '* 1 FETCH (UID 1 BODY[HEADER] {8}\r\nA: \xe9\r\n\r\n)\r\n* 2 FETCH (UID 2 BODY[HEADER] "")\r\n',
    );
    peer.send(`* 3 FETCH (UID 3 BODY[HEADER] NIL)\r\n${first} OK\r\n`);
    peer.send(`* 1 FETCH (UID 1 BODYSTRUCTURE ("a" {2}\r\n)( NIL) BODY ("a" (x)))\r\n${second} OK\r\n`);
  });
  const seen: unknown[] = [];
  const text = (bytes: Buffer): string => bytes.toString("latin1");
  await Promise.all([
    lease.fetchHeaders(uids(1, 2, 3), (of, header) => seen.push([of, text(header)])),
    lease.fetchStructures(uids(1), (of, { body, bodyStructure }) =>
      seen.push([of, text(body), text(bodyStructure)]),
    ),
  ]);
  expect(seen).toEqual([
    [1, "A: \xe9\r\n\r\n"],
    [2, ""],
    [1, '("a" (x))', '("a" {2}\r\n)( NIL)'],
  ]);
});

it("who select at the same time on one connection have one selection, which hears of everything", async () => {
  const imap = await connected(async (peer) => {
    peer.send(
      `* 1 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 5] n\r\n${await peer.expect(/^EXAMINE/)} OK\r\n`,
    );
    peer.send(`* 2 EXISTS\r\n${await peer.expect(/^NOOP/)} OK\r\n`);
  });
  const [one, other] = await Promise.all([createMailboxLease(imap, inbox), createMailboxLease(imap, inbox)]);
  expect([one.isNew, other.isNew, one.examined === other.examined]).toEqual([true, false, true]);
  await one.ask();
  expect([one.told.exists, other.told.exists]).toEqual([2, 2]);
});
