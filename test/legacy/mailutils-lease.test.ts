/** A whole source on a real Mailutils, the poor server (its manners are in quirks.ts): what it must not be asked. */
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createConnectionBudget } from "../../src/legacy/budget.ts";
import { createImapSource, type ImapConnectionPool } from "../../src/legacy/imap-source.ts";
import type { BodySink, MailboxLease } from "../../src/legacy/source.ts";
import { silentLogger } from "../../src/log.ts";
import { encodedMailboxName, inbox, type Uid, uid } from "../../src/mail/ids.ts";
import { type UidSet, uidSetOf } from "../../src/mail/number-set.ts";
import { Secret } from "../../src/mail/secret.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { type Mailutils, startMailutils } from "../helpers/mailutils.ts";

const user = "anna";
const request = { priority: "interactive", signal: new AbortController().signal } as const;
const writing = { ...request, write: true } as const;
const work = encodedMailboxName("Work");

let server: Mailutils;
let source: ImapConnectionPool;
/** Another client, straight on the server. */
let other: ImapClient;

beforeEach(async () => {
  server = await startMailutils({ users: [user] });
  other = await server.client(user);
  await other.ok("CREATE Work");
  for (let number = 1; number <= 5; number++) await other.ok("APPEND INBOX ", mail(number));
  await other.ok("SELECT INBOX");
  await other.ok("UNSELECT");
  source = createImapSource({
    config: { host: server.host, port: server.ports.imap, tls: "none", verify: false },
    credentials: () => ({ login: user, password: new Secret(server.passwordOf(user)) }),
    budget: createConnectionBudget(),
    user,
    logger: silentLogger,
  });
});
afterEach(async () => {
  other.close();
  await source.close();
  await server.close();
});

function mail(number: number): Buffer {
  return Buffer.from(`Date: Mon, 13 Nov 2006 10:20:30 +0100\r\nSubject: ${number}\r\n\r\n${number}\r\n`);
}

const uids = (...numbers: number[]): UidSet => uidSetOf(numbers.map(uid));

async function expungeStraight(number: number): Promise<void> {
  await other.ok("SELECT INBOX");
  await other.ok(`UID STORE ${number} +FLAGS (\\Deleted)`);
  await other.ok("EXPUNGE");
  await other.ok("UNSELECT");
}

/** `UID flags` of each message, as a new session of the other client sees them. */
async function flagsStraight(mailbox = "INBOX"): Promise<readonly string[]> {
  const { untagged } = await other.ok(`SELECT ${mailbox}`);
  const fetched = untagged.some((line) => `${line}` === "* 0 EXISTS")
    ? []
    : (await other.ok("FETCH 1:* (UID FLAGS)")).untagged;
  await other.ok("UNSELECT");
  return fetched.map((line) => {
    const [, number, flags = ""] = /UID (\d+) FLAGS \((.*)\)\)/.exec(line.toString("latin1")) ?? [];
    return `${number} ${flags.replace(/ ?\\Recent/, "")}`.trim();
  });
}

async function bodiesOf(lease: MailboxLease, wanted: UidSet): Promise<ReadonlyMap<Uid, string>> {
  const found = new Map<Uid, string>();
  let current: Uid | undefined;
  const sink: BodySink = {
    begin(one) {
      current = one;
      found.set(one, "");
    },
    write(chunk) {
      if (current !== undefined) found.set(current, found.get(current) + chunk.toString("latin1"));
      return undefined;
    },
    end: () => undefined,
  };
  await lease.fetchBodies(wanted, sink);
  return found;
}

it("a UID that is gone is not asked for, and no other is taken for it", async () => {
  await expungeStraight(3);
  await expungeStraight(5);
  await source.useMailbox(inbox, writing, async (lease) => {
    const seen: number[] = [];
    await lease.fetchMeta(uids(1, 2, 3, 4, 5, 6), (meta) => seen.push(meta.uid));
    await lease.fetchFlags(uids(3, 5), (flags) => seen.push(flags.uid));
    expect(seen).toEqual([1, 2, 4]);
    expect([...(await bodiesOf(lease, uids(2, 3, 4, 5))).keys()]).toEqual([2, 4]);
    const told: number[] = [];
    await lease.store(uids(3, 5, 99), { kind: "add", flags: ["\\Deleted"] }, (flags) => told.push(flags.uid));
    await lease.copy(uids(3, 5, 99), work);
    expect(told).toEqual([]);
  });
  expect(await flagsStraight()).toEqual(["1", "2", "4"]);
  expect(await flagsStraight("Work")).toEqual([]);
});

it("a flag is told once it is written, and written again where another session was faster", async () => {
  await other.ok("SELECT INBOX");
  await other.ok("UID STORE 2 +FLAGS.SILENT (\\Flagged)");
  await source.useMailbox(inbox, writing, async (lease) => {
    // Written by the other between this one's SELECT and its STORE: the file has another name now.
    await other.ok("UNSELECT");
    const told: string[] = [];
    await lease.store(uids(1, 2), { kind: "add", flags: ["\\Seen"] }, (flags) =>
      told.push(`${flags.uid} ${flags.flags.join(" ")}`),
    );
    expect(told.toSorted()).toEqual(["1 \\Seen", "2 \\Flagged \\Seen"]);
    expect(await flagsStraight()).toEqual(["1 \\Seen", "2 \\Flagged \\Seen", "3", "4", "5"]);
  });
});

it("a message that another session has changed is not taken for an empty one", async () => {
  await source.useMailbox(inbox, request, async (lease) => {
    await other.ok("SELECT INBOX");
    await other.ok("UID STORE 2:3 +FLAGS.SILENT (\\Seen)");
    await other.ok("UNSELECT");
    const sizes: number[] = [];
    await lease.fetchMeta(uids(1, 2, 3), (meta) => sizes.push(meta.sizeBytes));
    expect(sizes.toSorted()).toEqual([1, 2, 3].map((number) => mail(number).length));
  });
  await source.useMailbox(inbox, request, async (lease) => {
    await other.ok("SELECT INBOX");
    await other.ok("UID STORE 2:3 -FLAGS.SILENT (\\Seen)");
    await other.ok("UNSELECT");
    const bodies = await bodiesOf(lease, uids(1, 2, 3));
    expect(new Map(bodies)).toEqual(new Map([1, 2, 3].map((number) => [number, mail(number).toString()])));
  });
});

it("new mail has the same UID, and the mailbox the same UIDVALIDITY, at each look", async () => {
  const look = () =>
    source.useMailbox(inbox, request, async (lease) => ({
      ...lease.examined,
      firstUnseen: undefined,
      uids: await lease.listUids(),
    }));
  const empty = () => source.use(request, (lease) => lease.status(work));
  await other.ok("APPEND INBOX ", mail(6));
  await other.ok("APPEND Work ", mail(7));
  const first = [await empty(), await look()];
  // UIDVALIDITY is a second.
  await delay(1_100);
  expect([await empty(), await look()]).toEqual(first);
  expect(first[1]).toMatchObject({ exists: 6, uidNext: 7, uids: [1, 2, 3, 4, 5, 6] });
});

// One session and an APPEND by others may do so, too, though seldom: that is the server's own (QUIRKS.md).
it("two at a time do not renumber a mailbox that mail comes into", { retry: 3 }, async () => {
  const validities = new Set<number>();
  let isOver = false;
  const look = async (): Promise<void> => {
    while (!isOver)
      await source.useMailbox(
        inbox,
        request,
        async ({ examined }) => void validities.add(examined.uidValidity ?? 0),
      );
  };
  const looks = [look(), look(), look()];
  for (let number = 10; number < 60; number++) {
    await other.ok("APPEND INBOX ", mail(number));
    await delay(20);
  }
  isOver = true;
  await Promise.all(looks);
  expect(validities.size).toBe(1);
});

it("has no IDLE, for its own tells nothing", async () => {
  await source.use(request, async ({ capabilities }) => expect(capabilities.has("IDLE")).toBe(false));
});
