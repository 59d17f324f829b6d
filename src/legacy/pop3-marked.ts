/**
 * A session for a POP3 server that bears none beside IMAP (quirks.ts, `loneSessions`). Mailutils writes each UIDL that
 * it has told into the message when the session ends, as the session knows it: a message that has been changed or
 * expunged meanwhile is there once more. And it counts UIDs from what it saw. So LIST and UIDL are asked in a session
 * of their own, while nothing else is done; another is opened only for what needs one, and shows nothing that has
 * come since.
 */
import { MailError } from "../errors.ts";
import type { Uidl } from "../mail/ids.ts";
import type { Pop3Session } from "./pop3-client.ts";

/** Runs it while nothing else is done. */
export type Aside = <T>(work: () => Promise<T>) => Promise<T>;

export async function openMarked(open: () => Promise<Pop3Session>, aside: Aside): Promise<Pop3Session> {
  const told = await aside(async () => tellAll(await open()));
  let opening: Promise<Pop3Session> | undefined;
  let session: Pop3Session | undefined;
  let isClosed = false;
  const closed = Promise.withResolvers<void>();
  const real = (): Promise<Pop3Session> => {
    opening ??= aside(async () => {
      if (isClosed) throw new MailError("UNAVAILABLE", "The session has ended");
      session = await sameAs(told, await open());
      void session.closed.then(closed.resolve);
      // Left in the meantime.
      if (isClosed) session.close();
      return session;
    });
    return opening;
  };
  return {
    capabilities: told.capabilities,
    get isClosed() {
      return isClosed || session?.isClosed === true;
    },
    closed: closed.promise,
    get progressAt() {
      return session?.progressAt ?? performance.now();
    },
    list: async () => told.sizes,
    uidls: async () => told.uidls,
    retrieve: async (number, write) => (await real()).retrieve(number, write),
    peek: async (number, write) => (await real()).peek(number, write),
    top: async (number, lines) => (await real()).top(number, lines),
    remove: async (number) => (await real()).remove(number),
    reset: async () => (await opening)?.reset(),
    noop: async () => (await opening)?.noop(),
    isInStep: async (number) => (await real()).isInStep(number),
    async quit() {
      const ending = await opening;
      isClosed = true;
      try {
        if (ending) await aside(() => ending.quit());
      } finally {
        closed.resolve();
      }
    },
    close() {
      isClosed = true;
      closed.resolve();
      session?.close();
    },
  };
}

interface Told extends Pick<Pop3Session, "capabilities"> {
  readonly uidls: ReadonlyMap<number, Uidl>;
  readonly sizes: ReadonlyMap<number, number>;
}

async function tellAll(session: Pop3Session): Promise<Told> {
  try {
    // In this order: the messages are longer once they have their UIDLs.
    const uidls = await session.uidls();
    const sizes = await session.list();
    await session.quit();
    return { uidls, sizes, capabilities: session.capabilities };
  } finally {
    session.close();
  }
}

/** The same numbers are the same messages, unless somebody has deleted one. */
async function sameAs({ sizes }: Told, session: Pop3Session): Promise<Pop3Session> {
  const now = await session.list();
  if ([...sizes].every(([number, sizeBytes]) => now.get(number) === sizeBytes)) return session;
  session.close();
  throw new MailError("UNAVAILABLE", "The maildrop has changed, please come again");
}
