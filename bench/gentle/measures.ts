/**
 * What is measured on a mailbox that the server has completely. Each opens its sessions on one way, straight
 * or through, and then repeats its operation there; the choices of messages are the same on both ways.
 */
import { chownSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createRandom } from "../../test/helpers/random.ts";
import { connectThin, type ThinClient } from "../thin-client.ts";

/** Where a client connects, as whom, and what it will find. */
export interface Place {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** The user's INBOX on the old server. */
  readonly maildir: string;
  readonly uids: readonly number[];
}

export interface Limit {
  readonly operations: number;
  /** No operation is begun after this time (performance.now()). */
  readonly deadline: number;
}

export interface Opened {
  /** The time of each operation, in ms. */
  batch(limit: Limit): Promise<number[]>;
  close(): void;
}

export interface Measure {
  /** For `--only`. */
  readonly name: string;
  readonly title: string;
  /** In each round. */
  readonly operations: number;
  /** Only the old server's commands are of interest. */
  readonly countedOnly?: boolean;
  open(place: Place): Promise<Opened>;
}

export async function logIn({ port, user, password }: Place): Promise<ThinClient> {
  const client = await connectThin(port);
  await client.ok(`LOGIN ${user} ${password}`);
  return client;
}

const appendedBytes = Buffer.from(
  `From: alice@example.org\r\nSubject: appended\r\n\r\n${`${"x".repeat(78)}\r\n`.repeat(102)}`,
);

export const measures: readonly Measure[] = [
  { name: "noop", title: "NOOP", operations: 60, open: (place) => commands(place, () => "NOOP") },
  {
    name: "select",
    title: "SELECT, beside a session that idles",
    operations: 20,
    open: (place) =>
      beside(
        place,
        commands(place, () => "SELECT INBOX"),
      ),
  },
  {
    name: "select-100",
    title: "SELECT ×100, nothing else open",
    operations: 100,
    countedOnly: true,
    open: (place) => commands(place, () => "SELECT INBOX"),
  },
  {
    name: "store",
    title: "STORE one by one",
    operations: 100,
    open: (place) => commands(place, stores(place)),
  },
  {
    name: "store-beside",
    title: "STORE one by one, beside a session that idles",
    operations: 50,
    open: (place) => beside(place, commands(place, stores(place))),
  },
  { name: "store-10", title: "STORE by ten sessions at once, each", operations: 200, open: tenSessions },
  {
    name: "noop-after",
    title: "NOOP, after the STOREs",
    operations: 60,
    open: (place) => commands(place, () => "NOOP"),
  },
  {
    name: "select-after",
    title: "SELECT beside a session that idles, after the STOREs",
    operations: 20,
    open: (place) =>
      beside(
        place,
        commands(place, () => "SELECT INBOX"),
      ),
  },
  { name: "append", title: "APPEND of 8 KB", operations: 20, open: appends },
  { name: "new-mail", title: "new mail, until an idling session is told", operations: 3, open: newMail },
];

/** One session with the INBOX selected, one command after the other. */
async function commands(place: Place, command: () => string): Promise<Opened> {
  const client = await logIn(place);
  await client.ok("SELECT INBOX");
  return { batch: (limit) => oneByOne(limit, () => client.ok(command())), close: client.close };
}

async function oneByOne(limit: Limit, operation: () => Promise<void>): Promise<number[]> {
  const times: number[] = [];
  while (times.length < limit.operations && performance.now() < limit.deadline) {
    const started = performance.now();
    await operation();
    times.push(performance.now() - started);
  }
  return times;
}

/** The same with a second session that has the mailbox open and idles, as mail programs have. */
async function beside(place: Place, opening: Promise<Opened>): Promise<Opened> {
  const { batch, close } = await opening;
  const other = await logIn(place);
  await other.ok("SELECT INBOX");
  await other.idle();
  return {
    batch,
    close() {
      other.close();
      close();
    },
  };
}

/**
 * Sets a flag on some messages one after the other, takes it away from the same ones, goes on to others: each
 * command changes something. To change what was changed a few commands ago is another matter: Dovecot reads
 * the whole folder then, at many times the cost of what mail programs do.
 */
function stores({ uids }: Place, share: Share = { of: 1, index: 0, length: 50 }): () => string {
  const random = createRandom(7);
  const own = uids
    .filter((_, index) => index % share.of === share.index)
    .map((uid) => ({ uid, place: random.next() }))
    .sort((a, b) => a.place - b.place);
  let sent = 0;
  return () => {
    const run = Math.floor(sent / (2 * share.length));
    const index = sent++ % (2 * share.length);
    const { uid = 0 } = own[(run * share.length + (index % share.length)) % own.length] ?? {};
    return `UID STORE ${uid} ${index < share.length ? "+" : "-"}FLAGS (\\Flagged)`;
  };
}

/** One of so many sessions: which messages are its, and how many it changes before it changes them back. */
interface Share {
  readonly of: number;
  readonly index: number;
  readonly length: number;
}

/** Ten sessions of one user, each with messages of its own; all at once, so that only the whole has a time. */
async function tenSessions(place: Place): Promise<Opened> {
  const sessions = await Promise.all(
    Array.from({ length: 10 }, (_, index) => commands(place, stores(place, { of: 10, index, length: 10 }))),
  );
  return {
    async batch({ operations, deadline }) {
      const started = performance.now();
      const limit = { operations: operations / sessions.length, deadline };
      const done = (await Promise.all(sessions.map(({ batch }) => batch(limit)))).flat();
      const elapsedMs = performance.now() - started;
      return done.map(() => elapsedMs / done.length);
    },
    close() {
      for (const { close } of sessions) close();
    },
  };
}

async function appends(place: Place): Promise<Opened> {
  const client = await logIn(place);
  await client.ok("SELECT INBOX");
  return {
    batch: (limit) => oneByOne(limit, () => client.okWith("APPEND INBOX (\\Seen)", appendedBytes)),
    close: client.close,
  };
}

/** After each mail, what it brings about belongs to it for so long. */
const aftermathMs = 2_000;

async function newMail(place: Place): Promise<Opened> {
  const client = await logIn(place);
  await client.ok("SELECT INBOX");
  await client.idle();
  return {
    async batch({ operations, deadline }) {
      const times: number[] = [];
      while (times.length < operations && performance.now() < deadline) {
        const told = client.seen(/\* \d+ EXISTS\r\n/);
        const started = performance.now();
        deliver(place.maildir);
        await told;
        times.push(performance.now() - started);
        await delay(aftermathMs);
      }
      return times;
    },
    close: client.close,
  };
}

let delivered = 0;

/** As a mail transfer agent does: written in tmp/, moved to new/. */
function deliver(maildir: string): void {
  const name = `${Math.floor(Date.now() / 1000)}.M${++delivered}P${process.pid}.bench`;
  const { uid, gid } = statSync(maildir);
  const [temporary, there] = [join(maildir, "tmp", name), join(maildir, "new", name)];
  writeFileSync(temporary, appendedBytes.subarray(0, 2_000));
  chownSync(temporary, uid, gid);
  renameSync(temporary, there);
}
