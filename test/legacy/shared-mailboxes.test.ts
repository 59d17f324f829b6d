import { expect, it } from "vitest";
import { MailError, OutcomeUnknown } from "../../src/errors.ts";
import type { ImapConnection } from "../../src/legacy/imap-connection.ts";
import { createSharedMailboxes, type HeldConnection } from "../../src/legacy/shared-mailboxes.ts";
import type { LeaseOptions } from "../../src/legacy/source.ts";
import { encodedMailboxName } from "../../src/mail/ids.ts";

const { signal } = new AbortController();
const inbox = encodedMailboxName("INBOX");
const interactive = { priority: "interactive", signal } as const;

interface Fake {
  readonly connection: ImapConnection;
  close(): void;
}

function fakeConnection(): Fake {
  const closed = Promise.withResolvers<unknown>();
  const state = { isClosed: false, isAsked: false, responseCount: 0, closed: closed.promise };
  return {
    connection: state as unknown as ImapConnection,
    close() {
      state.isClosed = true;
      closed.resolve(new Error("closed"));
    },
  };
}

function shared() {
  const opened: { name: string; request: LeaseOptions; fake: Fake; grant: () => void }[] = [];
  const given: HeldConnection[] = [];
  let rests = 0;
  const mailboxes = createSharedMailboxes({
    open: (name, request) =>
      new Promise((resolve, reject) => {
        const fake = fakeConnection();
        const permit = { release: () => undefined, releaseIdle: () => ({ leave: () => undefined }) };
        const grant = (): void => resolve({ connection: fake.connection, permit, wasKept: false });
        opened.push({ name, request, fake, grant });
        request.signal.addEventListener("abort", () => reject(request.signal.reason), { once: true });
      }),
    giveBack: (held) => void given.push(held),
    onRest: () => rests++,
  });
  return { mailboxes, opened, given, rests: () => rests };
}

it("all who use a mailbox at the same time have one connection, which goes back with the last", async () => {
  const { mailboxes, opened, given } = shared();
  const ends = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  const uses = ends.map((end) => mailboxes.use(inbox, interactive, () => end.promise));
  expect(opened).toHaveLength(1);
  opened[0]?.grant();
  ends[0]?.resolve("one");
  expect(await uses[0]).toBe("one");
  expect(given).toHaveLength(0);
  ends[1]?.resolve("other");
  expect(await uses[1]).toBe("other");
  await expect.poll(() => given.length).toBe(1);
});

it("it counts as waiting only while all wait, and as standing by only while all stand by", async () => {
  const { mailboxes, opened, rests } = shared();
  let wanted = 0;
  const ends = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const watch = {
    priority: "background",
    signal,
    onWanted: () => void wanted++,
    isStandby: () => true,
  } as const;
  const watching = mailboxes.use(inbox, watch, () => ends[0]?.promise ?? Promise.resolve());
  const [first] = opened;
  first?.grant();
  await expect.poll(() => mailboxes.has(inbox)).toBe("free");
  const request = first?.request;
  expect([request?.isWorking?.(), request?.isStandby?.()]).toEqual([false, true]);
  const working = mailboxes.use(inbox, interactive, () => ends[1]?.promise ?? Promise.resolve());
  expect([request?.isWorking?.(), request?.isStandby?.()]).toEqual([true, false]);
  ends[1]?.resolve();
  await working;
  await expect.poll(rests).toBe(1);
  request?.onWanted?.();
  expect(wanted).toBe(1);
  ends[0]?.resolve();
  await watching;
});

it("who asks for a client does not wait in the background's queue", async () => {
  const { mailboxes, opened } = shared();
  const background = mailboxes.use(inbox, { priority: "background", signal }, async () => "background");
  const client = mailboxes.use(inbox, interactive, async () => "client");
  expect(opened.map(({ request }) => request.priority)).toEqual(["background", "interactive"]);
  opened[1]?.grant();
  expect(await client).toBe("client");
  opened[0]?.grant();
  expect(await background).toBe("background");
});

it("who stops waiting leaves the others, and the last one takes the wait for a connection with him", async () => {
  const { mailboxes, opened } = shared();
  const patience = [new AbortController(), new AbortController()];
  const uses = patience.map((one) =>
    mailboxes.use(inbox, { ...interactive, signal: one.signal }, async () => 1),
  );
  for (const use of uses) use.catch(() => undefined);
  patience[0]?.abort(new Error("no patience"));
  await expect(uses[0]).rejects.toThrow("no patience");
  expect(opened[0]?.request.signal.aborted).toBe(false);
  patience[1]?.abort(new Error("neither"));
  await expect(uses[1]).rejects.toThrow("neither");
  expect(opened[0]?.request.signal.aborted).toBe(true);
});

it("a connection that was dead before it answered anything is replaced, once", async () => {
  const { mailboxes, opened } = shared();
  let tries = 0;
  const use = mailboxes.use(inbox, interactive, async () => {
    tries++;
    if (tries > 1) return "done";
    opened[0]?.fake.close();
    throw new MailError("UNAVAILABLE", "closed");
  });
  opened[0]?.grant();
  await expect.poll(() => opened.length).toBe(2);
  opened[1]?.grant();
  expect(await use).toBe("done");
});

it("a change whose outcome nobody knows is not sent again", async () => {
  const { mailboxes, opened } = shared();
  const use = mailboxes.use(inbox, interactive, async () => {
    opened[0]?.fake.close();
    throw new OutcomeUnknown(new Error("closed"));
  });
  opened[0]?.grant();
  await expect(use).rejects.toBeInstanceOf(OutcomeUnknown);
  expect(opened).toHaveLength(1);
});
