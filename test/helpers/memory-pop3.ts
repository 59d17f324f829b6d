/** An old POP3 server in memory, with the faults of one. */
import { MailError } from "../../src/errors.ts";
import type { Pop3Session } from "../../src/legacy/pop3-client.ts";
import type { Pop3Source } from "../../src/legacy/pop3-source.ts";
import { uidl } from "../../src/mail/ids.ts";

export interface MemoryMail {
  /** undefined: LIST has it, UIDL has not. */
  readonly uidl: string | undefined;
  readonly text: string;
  /** The connection ends at it. */
  readonly breaks?: boolean;
}

export interface MemoryPop3 {
  box: MemoryMail[];
  /** The texts of what was deleted. */
  readonly deleted: string[];
  isDown: boolean;
  /** What QUIT does: its answer may never come, before or after it is carried out. */
  quit: "works" | "fails" | "loses its answer";
  readonly source: Pop3Source;
}

export function mailText(name: number | string): string {
  return `From: a@example.org\r\nSubject: ${name}\r\n\r\nbody ${name}\r\n`;
}

export function createMemoryPop3(box: readonly MemoryMail[]): MemoryPop3 {
  const server: MemoryPop3 = {
    box: [...box],
    deleted: [],
    isDown: false,
    quit: "works",
    source: {
      server: {},
      async open() {
        if (server.isDown) throw away();
        return sessionAt(server);
      },
      async inBackground(signal, work) {
        const session = await server.source.open(signal);
        const result = await work(session, signal);
        await session.quit();
        return result;
      },
      backgroundInMs: () => 0,
      adopt: () => undefined,
      close: async () => undefined,
    },
  };
  return server;
}

function sessionAt(server: MemoryPop3): Pop3Session {
  const listed = [...server.box];
  const marked = new Set<MemoryMail>();
  let isClosed = false;
  const at = (number: number): MemoryMail => {
    if (isClosed) throw away();
    const mail = listed[number - 1];
    if (!mail) throw new MailError("CANNOT", "no such message");
    return mail;
  };
  return {
    capabilities: new Map(),
    get isClosed() {
      return isClosed;
    },
    closed: new Promise(() => undefined),
    progressAt: 0,
    list: async () => new Map(listed.map(({ text }, index) => [index + 1, text.length])),
    uidls: async () =>
      new Map(
        listed.flatMap((mail, index) =>
          mail.uidl === undefined ? [] : [[index + 1, uidl(mail.uidl)] as const],
        ),
      ),
    async retrieve(number, write) {
      const mail = at(number);
      if (mail.breaks) isClosed = true;
      await write(Buffer.from(at(number).text));
    },
    async peek(number, write) {
      await write(Buffer.from(at(number).text));
    },
    top: async (number) => Buffer.from(at(number).text),
    async remove(number) {
      marked.add(at(number));
    },
    reset: async () => marked.clear(),
    noop: async () => undefined,
    isInStep: async () => !isClosed,
    async quit() {
      isClosed = true;
      if (server.quit === "fails" && marked.size > 0) throw away();
      server.deleted.push(...[...marked].map(({ text }) => text));
      server.box = server.box.filter((mail) => !marked.has(mail));
      if (server.quit === "loses its answer" && marked.size > 0) throw away();
    },
    close() {
      isClosed = true;
    },
  };
}

function away(): MailError {
  return new MailError("UNAVAILABLE", "The old POP3 server is away");
}
