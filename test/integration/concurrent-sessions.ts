/**
 * Twenty sessions change one mailbox at the same time, by random commands. Each holds what it is told against
 * the rules (session-model.ts); at the end all know the same.
 */
import { expect } from "vitest";
import { plainAccount } from "../helpers/account-plans.ts";
import { startDovecot } from "../helpers/dovecot.ts";
import { fillAccount } from "../helpers/filler.ts";
import type { ImapClient } from "../helpers/imap-client.ts";
import { createAccount, startMailferry } from "../helpers/mailferry.ts";
import { createModelledClient, type Knowledge, type ModelledClient } from "../helpers/modelled-client.ts";
import { createRandom, type Random } from "../helpers/random.ts";
import type { SharedKnowledge } from "../helpers/session-model.ts";

const user = "alice";
const sessionCount = 20;
const other = "Other";
const roundMs = 500;
/** One looks at what has become of it. */
const extra = { limits: { sessionsPerUserAndAddress: sessionCount + 1 } };

export interface ConcurrentRun {
  readonly durationMs: number;
  readonly seed?: number;
  /** Of the sessions at the legacy server itself, beside 18 here; default: 2. */
  readonly straightCount?: number;
}

/** Mailferry has the last word. */
export async function changeLocally(run: ConcurrentRun): Promise<void> {
  const mailferry = await startMailferry({ extra });
  try {
    await createAccount(mailferry, user, "secret");
    const connect = (): Promise<ImapClient> => mailferry.client(user, "secret");
    const first = await connect();
    for (let number = 0; number < 30; number++)
      await first.ok("APPEND INBOX ", Buffer.from(`Subject: first ${number}\r\n\r\n${number}\r\n`));
    first.close();
    await changeConcurrently(run, connect, []);
  } finally {
    await mailferry.close();
  }
}

/** The legacy server has, and some of the sessions are straight on it. */
export async function changeWhileMirroring(run: ConcurrentRun): Promise<void> {
  const legacy = await startDovecot({ users: [user], started: false });
  await fillAccount(legacy, user, plainAccount({ messages: 30, sizeBytes: 500 }));
  await legacy.start();
  const mailferry = await startMailferry({ legacy, extra });
  try {
    const straight: ImapClient[] = [];
    while (straight.length < (run.straightCount ?? 2)) straight.push(await legacy.client(user));
    await changeConcurrently(run, () => mailferry.client(user), straight);
  } finally {
    await mailferry.close();
    await legacy.close();
  }
}

async function changeConcurrently(
  { durationMs, seed = Date.now() % 1_000_000 }: ConcurrentRun,
  connect: () => Promise<ImapClient>,
  straight: readonly ImapClient[],
): Promise<void> {
  console.log(`seed ${seed}`);
  const sessions: ModelledClient[] = [];
  const here = createKnowledge(true);
  while (sessions.length + Math.min(straight.length, 2) < sessionCount) {
    sessions.push(createModelledClient(await connect(), here));
  }
  // \Recent is each server's own affair, and Dovecot answers NIL and sizes of 0 of messages that are expunged.
  const there = createKnowledge(false);
  sessions.push(...straight.map((client) => createModelledClient(client, there)));
  await sessions[0]?.run(`CREATE ${other}`);
  const randoms = sessions.map((_, index) => createRandom(seed + index));
  for (const session of sessions) await session.select("INBOX");
  const fresh = createModelledClient(await connect(), createKnowledge(false));
  const ends = performance.now() + durationMs;
  let commands = 0;
  // In rounds: what one was not told is often mended by what it is told later.
  do {
    const roundEnds = performance.now() + roundMs;
    const work = sessions.map((session, index) =>
      telling(session, async () => {
        for (; performance.now() < roundEnds; commands++) await change(session, randoms[index] as Random);
      }),
    );
    await Promise.all(work);
    await compareViews(sessions, fresh);
  } while (performance.now() < ends);
  console.log(`${commands} commands`);
  for (const session of [...sessions, fresh]) session.close();
}

function createKnowledge(comparesConstants: boolean): Knowledge {
  const byName = new Map<string, SharedKnowledge>();
  return (mailbox) => {
    const constant = comparesConstants ? new Map<string, string>() : undefined;
    const known = byName.get(mailbox) ?? { recent: new Map(), constant };
    byName.set(mailbox, known);
    return known;
  };
}

async function telling<T>(session: ModelledClient, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${session.history()}`, { cause: error });
  }
}

/** What each has been told is what all are told that ask. */
async function compareViews(sessions: readonly ModelledClient[], fresh: ModelledClient): Promise<void> {
  // Twice: what the first of them finds out is told to the others.
  for (const session of [...sessions, ...sessions]) await telling(session, () => session.run("NOOP"));
  await fresh.select("INBOX", "EXAMINE");
  await fresh.run("FETCH 1:* (UID FLAGS)");
  const truth = viewOf(fresh);
  for (const session of sessions) {
    await telling(session, async () => {
      expect(session.model.messages).toHaveLength(truth.length);
      for (const [index, { uid, flags }] of session.model.messages.entries()) {
        const [trueUid, trueFlags] = truth[index] ?? [];
        if (uid !== undefined) expect(uid).toBe(trueUid);
        if (flags) expect([trueUid, flags]).toEqual([trueUid, trueFlags]);
      }
      await session.run("FETCH 1:* (UID FLAGS)");
      expect(viewOf(session)).toEqual(truth);
    });
  }
}

function viewOf({
  model,
}: ModelledClient): (readonly [uid: number | undefined, flags: readonly string[] | undefined])[] {
  return model.messages.map(({ uid, flags }) => [uid, flags]);
}

type Change = (session: ModelledClient, random: Random) => Promise<unknown>;

const flagNames = ["\\Seen", "\\Flagged", "\\Answered", "\\Draft", "\\Deleted", "Work", "$Later"];
const fetchItems = [
  "FLAGS",
  "(UID FLAGS)",
  "(UID ENVELOPE)",
  "(UID INTERNALDATE RFC822.SIZE)",
  "(UID BODYSTRUCTURE)",
];
const bodyItems = [
  "(UID BODY[])",
  "(UID FLAGS BODY.PEEK[])",
  "(BODY.PEEK[HEADER.FIELDS (SUBJECT)] UID)",
  "BODY[TEXT]",
];
const searches = ["ALL", "UNSEEN", "KEYWORD Work", "NOT DELETED", "SUBJECT first", "RECENT", "1:* FLAGGED"];

/** A change of flags as STORE has it. */
function storeOf(random: Random): string {
  const kind = random.pick(["+", "+", "-", ""]) + random.pick(["FLAGS", "FLAGS.SILENT"]);
  return `${kind} (${[...new Set([random.pick(flagNames), random.pick(flagNames)])].join(" ")})`;
}

/** The number of some message. */
function someOne({ model }: ModelledClient, random: Random): number {
  return 1 + random.below(model.messages.length);
}

function someUid({ model }: ModelledClient, random: Random): number | undefined {
  return random.pick(model.messages)?.uid;
}

/** For mailboxes that are not empty. */
const changes: readonly Change[] = [
  (session, random) => session.run(`FETCH ${someOne(session, random)} ${random.pick(fetchItems)}`),
  (session, random) => session.run(`FETCH ${someOne(session, random)}:* ${random.pick(fetchItems)}`),
  (session, random) => session.run(`FETCH ${someOne(session, random)} ${random.pick(bodyItems)}`),
  (session, random) => session.run(`STORE ${someOne(session, random)} ${storeOf(random)}`),
  (session, random) => session.run(`STORE ${someOne(session, random)} ${storeOf(random)}`),
  (session, random) => withUid(session, random, (uid) => session.run(`UID STORE ${uid} ${storeOf(random)}`)),
  (session, random) =>
    withUid(session, random, (uid) => session.run(`UID FETCH ${uid}:* ${random.pick(fetchItems)}`)),
  (session, random) => session.run(`${random.pick(["", "UID "])}SEARCH ${random.pick(searches)}`),
  (session, random) => session.run(`COPY ${someOne(session, random)} ${random.pick(["INBOX", other])}`),
  (session, random) => session.run(`MOVE ${someOne(session, random)} ${other}`),
  moveBack,
  (session, random) => session.run(`STORE ${someOne(session, random)} +FLAGS (\\Deleted)`),
  (session) => session.run("EXPUNGE"),
  (session, random) => withUid(session, random, (uid) => session.run(`UID EXPUNGE ${uid}`)),
  append,
  (session) => session.run("NOOP"),
  (session) => session.run("CHECK"),
  (session) => session.run("STATUS INBOX (MESSAGES UIDNEXT UNSEEN)"),
  (session) => session.idle(300),
  (session) => session.select("INBOX"),
  (session) => session.pipeline(["CLOSE", "SELECT INBOX"]),
  (session) => session.pipeline(["UNSELECT", "SELECT INBOX", "FETCH 1:* (UID FLAGS)"]),
  (session) => session.pipeline([`SELECT ${other}`, "SELECT INBOX"]),
  (session, random) => {
    const one = someOne(session, random);
    return session.pipeline([
      `STORE ${one} ${storeOf(random)}`,
      `SEARCH ${one} UNSEEN`,
      `FETCH ${one} (UID FLAGS)`,
    ]);
  },
  (session, random) =>
    session.pipeline([
      `FETCH ${someOne(session, random)} (UID BODY[])`,
      `STORE ${someOne(session, random)} ${storeOf(random)}`,
    ]),
];

async function withUid(
  session: ModelledClient,
  random: Random,
  work: (uid: number) => Promise<unknown>,
): Promise<unknown> {
  const uid = someUid(session, random);
  return uid === undefined ? session.run("FETCH 1:* UID") : work(uid);
}

async function append(session: ModelledClient, random: Random): Promise<unknown> {
  const flags = random.pick(["", "(\\Seen) ", "(Work) "]);
  const message = Buffer.from(`Subject: ${random.words(3)}\r\n\r\n${random.words(20)}\r\n`);
  return session.run(`APPEND INBOX ${flags}`, message);
}

async function moveBack(session: ModelledClient): Promise<unknown> {
  await session.select(other);
  if (session.model.messages.length > 0) await session.run("MOVE 1:* INBOX");
  return session.select("INBOX");
}

/** Keeps the mailbox at some dozens of messages. */
async function change(session: ModelledClient, random: Random): Promise<unknown> {
  const count = session.model.messages.length;
  if (count < 15) return append(session, random);
  // As clients do; of what a client does not know it cannot miss a change.
  const news = session.model.messages.findIndex(({ flags }) => flags === undefined) + 1;
  if (news > 0 && random.chance(0.8)) return session.run(`FETCH ${news}:* (UID FLAGS)`);
  if (count > 60 && random.chance(0.5)) {
    await session.run(`STORE ${1 + random.below(10)}:20 +FLAGS.SILENT (\\Deleted)`);
    return session.run("EXPUNGE");
  }
  return random.pick(changes)(session, random);
}
