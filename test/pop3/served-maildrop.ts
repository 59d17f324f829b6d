/** A POP3 server in front of a maildrop of three messages in memory, and what it logs as faults of its own. */
import { Writable } from "node:stream";
import { pino } from "pino";
import { createPop3Server, type Pop3ServerOptions } from "../../src/pop3/server.ts";
import type { Listener } from "../../src/wire/listener.ts";
import { createMemoryAccount, type MemoryAccount } from "../helpers/memory-account.ts";
import { multipartMail, plainMail } from "../imap/served-account.ts";

export interface ServedMaildrop {
  readonly account: MemoryAccount;
  readonly server: Listener;
  readonly port: number;
  readonly faults: readonly string[];
}

export async function serveMaildrop(options: Partial<Pop3ServerOptions> = {}): Promise<ServedMaildrop> {
  const account = createMemoryAccount();
  const inbox = account.addMailbox("INBOX");
  for (const text of [plainMail, multipartMail, ".\r\n..\r\n\xff no end"])
    inbox.add({ text: Buffer.from(text, "latin1") });
  const faults: string[] = [];
  const write = (line: Buffer, _: unknown, done: () => void): void => {
    faults.push(line.toString("latin1"));
    done();
  };
  const server = createPop3Server({
    hostname: "mail.example.com",
    login: account.login,
    allowPlaintextLogin: false,
    tls: "none",
    logger: pino({ level: "error" }, new Writable({ write })),
    loginFailureDelayMs: 1,
    ...options,
  });
  const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
  server.accept();
  return { account, server, port, faults };
}
