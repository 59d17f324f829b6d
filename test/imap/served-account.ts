import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { createImapServer, type ImapServer, type ImapServerOptions } from "../../src/imap/server.ts";
import { silentLogger } from "../../src/log.ts";
import { encodedMailboxName } from "../../src/mail/ids.ts";
import { connectClient, type LineClient } from "../helpers/line-client.ts";
import { createMemoryAccount, type MemoryAccount, type MemoryMailbox } from "../helpers/memory-account.ts";
import { testCertificate } from "../helpers/tls.ts";

/** An account in memory with a server in front of it, for one test. */
export interface Served {
  readonly account: MemoryAccount;
  readonly inbox: MemoryMailbox;
  readonly server: ImapServer;
  readonly port: number;
  /** Connected and greeted. */
  connect(): Promise<LineClient>;
  /** Logged in. */
  logIn(): Promise<LineClient>;
  /** With INBOX selected. */
  select(): Promise<LineClient>;
  close(): Promise<void>;
}

export const plainMail = [
  "From: Bob <bob@example.com>",
  "To: alice@example.com",
  "Subject: First",
  "Date: Thu, 1 Feb 2024 10:20:30 +0100",
  "Message-ID: <1@example.com>",
  "",
  "Hello, Alice.",
  "",
].join("\r\n");

export const multipartMail = [
  "From: carol@example.com",
  "Subject: Second",
  "MIME-Version: 1.0",
  'Content-Type: multipart/mixed; boundary="x"',
  "",
  "preamble",
  "--x",
  "Content-Type: text/plain",
  "",
  "text part",
  "--x",
  "Content-Type: message/rfc822",
  "",
  "Subject: Inner",
  "",
  "inner text",
  "--x--",
  "",
].join("\r\n");

export async function serveAccount(options: Partial<ImapServerOptions> = {}): Promise<Served> {
  const account = createMemoryAccount();
  const inbox = account.addMailbox("INBOX");
  inbox.add({ text: plainMail, flags: ["\\Seen"] });
  inbox.add({ text: multipartMail, flags: ["\\Flagged", "$Forwarded"], date: "02-Feb-2024 23:59:59 -0730" });
  inbox.add({ text: "Subject: Third\r\n\r\n8-bit \xe9\r\n" });
  account.addMailbox("Sent", ["\\Sent"]);
  account.addMailbox("Lists/dev");
  account.addMailbox('od"d\\na&AOk-me');
  account.addMailbox("Lists/raw\xc3\xa9");
  const server = createImapServer({
    hostname: "mail.example.com",
    login: account.login,
    allowPlaintextLogin: false,
    tls: "none",
    logger: silentLogger,
    loginFailureDelayMs: 1,
    ...options,
  });
  const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
  server.accept();

  const connect = async (): Promise<LineClient> => {
    const client = await connectClient(port);
    await client.line();
    return client;
  };
  const logIn = async (): Promise<LineClient> => {
    const client = await connect();
    await client.command("login LOGIN alice secret");
    return client;
  };
  return {
    account,
    inbox,
    server,
    port,
    connect,
    logIn,
    select: async () => {
      const client = await logIn();
      await client.command("select SELECT INBOX");
      return client;
    },
    close: () => server.close(100),
  };
}

export function subscribe(account: MemoryAccount, ...names: string[]): void {
  for (const name of names) {
    account.subscribed.push({ name: encodedMailboxName(name), separator: "/", attributes: [] });
  }
}

export function testTlsContext(): ReturnType<typeof createSecureContext> {
  const { cert, key } = testCertificate();
  return createSecureContext({ cert: readFileSync(cert), key: readFileSync(key) });
}
