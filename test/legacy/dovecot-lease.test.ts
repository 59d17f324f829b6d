/** A whole source on a real Dovecot: what is read must be what lies on its disk. */
import { mkdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createConnectionBudget } from "../../src/legacy/budget.ts";
import { createImapSource, type ImapConnectionPool } from "../../src/legacy/imap-source.ts";
import type { BodySink, MailboxLease } from "../../src/legacy/source.ts";
import { silentLogger } from "../../src/log.ts";
import { hasFlag } from "../../src/mail/flags.ts";
import { encodedMailboxName, inbox, modSeq, type Uid } from "../../src/mail/ids.ts";
import type { MessageMeta } from "../../src/mail/message.ts";
import { uidSetOf } from "../../src/mail/number-set.ts";
import { Secret } from "../../src/mail/secret.ts";
import { type Dovecot, startDovecot } from "../helpers/dovecot.ts";
import { testCertificate } from "../helpers/tls.ts";

const request = { priority: "interactive", signal: new AbortController().signal } as const;
const messageCount = 300;

/** Sizes from nothing to megabytes, with CRLF as Dovecot sends them (a Maildir's bare LF would be changed). */
function messageText(index: number): string {
  const header = `Subject: number ${index}\r\nX-Raw: \xe9\xff\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n`;
  const size = index % 97 === 0 ? 2_000_000 : (index * 37) % 5_000;
  const line = `${'}\xfc)\\"'.repeat(14)}\r\n`;
  return header + line.repeat(Math.ceil(size / line.length)) + (index % 2 === 0 ? "no end" : "end\r\n");
}

let dovecot: Dovecot;
let source: ImapConnectionPool;
const texts: string[] = [];

beforeAll(async () => {
  dovecot = await startDovecot({
    users: ["anna"],
    protocols: ["imap"],
    tls: true,
    timeZone: "Asia/Kolkata",
    namespace: { separator: "/", specialUse: { Sent: "\\Sent" } },
    started: false,
  });
  const maildir = dovecot.maildirOf("anna");
  for (const folder of ["cur", "new", "tmp"]) await mkdir(join(maildir, folder), { recursive: true });
  for (let index = 1; index <= messageCount; index++) {
    const text = messageText(index);
    texts.push(text);
    const file = join(
      maildir,
      "cur",
      `${1_600_000_000 + index}.M${index}.test:2,${index % 3 === 0 ? "S" : ""}`,
    );
    await writeFile(file, Buffer.from(text, "latin1"));
    await utimes(file, 1_600_000_000 + index, 1_600_000_000 + index);
  }
  await dovecot.start();
  const client = await dovecot.client("anna");
  await client.command('CREATE "Entw&APw-rfe/Q&-A"');
  await client.command('CREATE "Sent"');
  await client.command('SUBSCRIBE "Entw&APw-rfe/Q&-A"');
  await client.command('SUBSCRIBE "gone"').catch(() => undefined);
  await client.close();
  source = createImapSource({
    config: {
      host: "localhost",
      port: dovecot.ports.imaps,
      tls: "implicit",
      verify: false,
      ca: testCertificate().ca,
    },
    credentials: () => ({ login: "anna", password: new Secret(dovecot.passwordOf("anna")) }),
    budget: createConnectionBudget(),
    user: "anna",
    logger: silentLogger,
  });
});
afterAll(async () => {
  await source?.close();
  await dovecot?.close();
});

const inInbox = <T>(work: (lease: MailboxLease) => Promise<T>): Promise<T> =>
  source.useMailbox(inbox, request, work);

function gather(into: Map<Uid, Buffer>): BodySink {
  let current: Uid | undefined;
  let pieces: Buffer[] = [];
  return {
    begin: (uid) => {
      current = uid;
      pieces = [];
    },
    write: (chunk) => void pieces.push(chunk),
    // Held back at every seventh message.
    end: () => {
      if (current !== undefined) into.set(current, Buffer.concat(pieces));
      return into.size % 7 === 0 ? new Promise((resolve) => setImmediate(resolve)) : undefined;
    },
  };
}

describe("a mailbox", () => {
  it("is examined and listed", async () => {
    await inInbox(async (lease) => {
      expect(lease.examined).toMatchObject({
        exists: messageCount,
        uidNext: messageCount + 1,
        firstUnseen: 1,
      });
      expect(lease.examined.highestModSeq).toBeGreaterThan(0n);
      expect(lease.examined.flags).toContain("\\Answered");
      expect(await lease.listUids()).toEqual(Array.from({ length: messageCount }, (_, index) => index + 1));
    });
  });

  it("tells the metadata with the zone of INTERNALDATE", async () => {
    const metas: MessageMeta[] = [];
    await inInbox(async (lease) =>
      lease.fetchMeta(uidSetOf(await lease.listUids()), (meta) => metas.push(meta)),
    );
    expect(metas.map((meta) => meta.sizeBytes)).toEqual(texts.map((text) => text.length));
    for (const { uid, internalDate, flags, modSeq: seq } of metas) {
      expect(internalDate).toEqual({ epochSeconds: 1_600_000_000 + uid, zoneMinutes: 330 });
      expect(hasFlag(flags, "\\Seen")).toBe(uid % 3 === 0);
      expect(seq).toBeGreaterThan(0n);
    }
  });

  it("gives every message byte for byte, on overlapping requests, without marking it", async () => {
    const [first, second] = [new Map<Uid, Buffer>(), new Map<Uid, Buffer>()];
    await inInbox(async (lease) => {
      const uids = await lease.listUids();
      await Promise.all([
        lease.fetchBodies(uidSetOf(uids.slice(0, 200)), gather(first)),
        lease.fetchBodies(uidSetOf(uids.slice(150)), gather(second)),
      ]);
      const seen: Uid[] = [];
      await lease.fetchFlags(uidSetOf(uids), ({ uid, flags }) => hasFlag(flags, "\\Seen") && seen.push(uid));
      expect(seen).toHaveLength(messageCount / 3);
    });
    expect([first.size, second.size]).toEqual([200, 150]);
    for (const [uid, bytes] of [...first, ...second]) {
      expect(bytes.equals(Buffer.from(texts[uid - 1] ?? "", "latin1"))).toBe(true);
    }
  });

  it("gives headers and structures", async () => {
    await inInbox(async (lease) => {
      const uids = uidSetOf((await lease.listUids()).slice(0, 50));
      const headers = new Map<Uid, string>();
      const structures = new Map<Uid, string>();
      await Promise.all([
        lease.fetchHeaders(uids, (uid, header) => headers.set(uid, header.toString("latin1"))),
        lease.fetchStructures(uids, (uid, { body, bodyStructure }) => {
          structures.set(uid, body.toString("latin1"));
          expect(bodyStructure.toString("latin1").startsWith(structures.get(uid)?.slice(0, -1) ?? "-")).toBe(
            true,
          );
        }),
      ]);
      expect([headers.size, structures.size]).toEqual([50, 50]);
      for (const [uid, header] of headers) expect(texts[uid - 1]?.startsWith(header)).toBe(true);
      expect(headers.get(1 as Uid)).toMatch(/\r\n\r\n$/);
      expect(structures.get(2 as Uid)).toMatch(
        /^\("text" "plain" \("charset" "utf-8"\) NIL NIL "7bit" \d+ \d+\)$/,
      );
    });
  });

  it("tells what has changed since a MODSEQ, and answers searches", async () => {
    const before = await inInbox(async (lease) => lease.examined.highestModSeq ?? modSeq(0n));
    const client = await dovecot.client("anna");
    await client.command("SELECT INBOX");
    await client.command("UID STORE 5,7 +FLAGS ($Work)");
    await client.close();
    await inInbox(async (lease) => {
      const changed: Uid[] = [];
      await lease.fetchFlags(uidSetOf(await lease.listUids()), ({ uid }) => changed.push(uid), before);
      expect(changed).toEqual([5, 7]);
      expect(await lease.search([Buffer.from("KEYWORD $Work")])).toEqual([5, 7]);
      expect(await lease.search([Buffer.from("SUBJECT {10}\r\n"), Buffer.from("number 299")])).toEqual([299]);
    });
  });
});

it("an account's names, namespaces and subscriptions are listed as they are", async () => {
  const listing = await source.use(request, (lease) => lease.listing());
  expect(listing.namespaces).toEqual({
    personal: [{ prefix: "", separator: "/" }],
    otherUsers: null,
    shared: null,
  });
  expect(listing.mailboxes.map(({ name }) => name).sort()).toEqual(
    ["Entw&APw-rfe", "Entw&APw-rfe/Q&-A", "INBOX", "Sent"].sort(),
  );
  expect(listing.mailboxes.find(({ name }) => name === "Sent")?.attributes).toContain("\\Sent");
  expect(listing.subscriptions.map(({ name }) => name)).toContain("Entw&APw-rfe/Q&-A");
});

it("status, and a mailbox that is not there", async () => {
  await source.use(request, async (lease) => {
    const [full, empty] = await Promise.all([
      lease.status(inbox),
      lease.status(encodedMailboxName("Entw&APw-rfe/Q&-A")),
    ]);
    expect(full).toMatchObject({ messages: messageCount, uidNext: messageCount + 1, unseen: 200 });
    expect(empty).toMatchObject({ messages: 0, uidNext: 1, unseen: 0 });
    await expect(lease.status(encodedMailboxName('no "such" \\ name'))).rejects.toMatchObject({
      code: "NONEXISTENT",
    });
    await expect(lease.status(encodedMailboxName("Entw\xfcrfe"))).rejects.toMatchObject({
      code: expect.stringMatching(/NONEXISTENT|CANNOT/),
    });
  });
  const missing = source.useMailbox(encodedMailboxName("nope"), request, async () => undefined);
  await expect(missing).rejects.toMatchObject({ code: "NONEXISTENT" });
});

it("is unavailable while the server is down, and comes back with it", async () => {
  await dovecot.stop("at once");
  await expect(source.use(request, (lease) => lease.status(inbox))).rejects.toMatchObject({
    code: "UNAVAILABLE",
  });
  await dovecot.start();
  const background = { ...request, priority: "background" } as const;
  const status = await source.use(background, (lease) => lease.status(inbox));
  expect(status.messages).toBe(messageCount);
});
