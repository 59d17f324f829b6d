/** A server on loopback that plays a script, for what no real server does on demand. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { createImapConnection, type ImapConnection } from "../../src/legacy/imap-connection.ts";
import { silentLogger } from "../../src/log.ts";

export interface Peer {
  readonly socket: Socket;
  /** The next line without CRLF (latin1); rejects when the client is gone. */
  line(): Promise<string>;
  /** Exactly so many bytes, as latin1. */
  bytes(count: number): Promise<string>;
  /** Sends latin1 text. */
  send(text: string): void;
  /** Sends it in packets of `size` bytes. */
  sendInPieces(text: string, size: number): Promise<void>;
  /** Reads a line of the form `tag command`, and gives the tag; fails when the command is another. */
  expect(command: RegExp): Promise<string>;
}

export interface ScriptedServer {
  readonly port: number;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Connections open now. */
  readonly open: number;
  /** What a script threw, other than for the client having gone. */
  readonly failures: unknown[];
  close(): Promise<void>;
}

class Gone extends Error {}

/** Plays `script` for each connection; its number counts from 1. The socket is closed when it ends. */
export async function scriptedServer(
  script: (peer: Peer, number: number) => Promise<void>,
): Promise<ScriptedServer> {
  const sockets = new Set<Socket>();
  const failures: unknown[] = [];
  let accepted = 0;
  const server = createServer((socket) => {
    accepted++;
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    script(peerOf(socket), accepted)
      .catch((error: unknown) => {
        if (!(error instanceof Gone)) failures.push(error);
      })
      .finally(() => socket.end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address ? address.port : 0,
    get accepted() {
      return accepted;
    },
    get open() {
      return sockets.size;
    },
    failures,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function peerOf(socket: Socket): Peer {
  let buffered = "";
  let wake = (): void => undefined;
  let isGone = false;
  socket.on("data", (chunk) => {
    buffered += chunk.toString("latin1");
    wake();
  });
  socket.on("close", () => {
    isGone = true;
    wake();
  });
  const take = async (length: () => number | undefined): Promise<string> => {
    for (;;) {
      const count = length();
      if (count !== undefined) {
        const taken = buffered.slice(0, count);
        buffered = buffered.slice(count);
        return taken;
      }
      if (isGone) throw new Gone();
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const line = async (): Promise<string> => {
    const text = await take(() => {
      const end = buffered.indexOf("\r\n");
      return end < 0 ? undefined : end + 2;
    });
    return text.slice(0, -2);
  };
  return {
    socket,
    line,
    bytes: (count) => take(() => (buffered.length >= count ? count : undefined)),
    send: (text) => {
      socket.write(text, "latin1");
    },
    async sendInPieces(text, size) {
      for (let at = 0; at < text.length && !isGone; at += size) {
        socket.write(text.slice(at, at + size), "latin1");
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    async expect(command) {
      const [tag = "", ...rest] = (await line()).split(" ");
      if (!command.test(rest.join(" "))) throw new Error(`expected ${command}, got ${rest.join(" ")}`);
      return tag;
    },
  };
}

/** Plays greeting, login and NAMESPACE as imapflow asks for them; the password is `secret`. */
export async function playLogin(peer: Peer, capabilities = "IMAP4rev1 NAMESPACE"): Promise<void> {
  peer.send(`* OK [CAPABILITY ${capabilities}] ready\r\n`);
  for (;;) {
    const [tag = "", command = "", ...rest] = (await peer.line()).split(" ");
    if (command === "CAPABILITY") peer.send(`* CAPABILITY ${capabilities}\r\n${tag} OK done\r\n`);
    else if (command === "LOGIN") {
      const isRight = rest.at(-1) === '"secret"';
      peer.send(isRight ? `${tag} OK in\r\n` : `${tag} NO [AUTHENTICATIONFAILED] No, not you\r\n`);
    } else if (command === "NAMESPACE") {
      peer.send(`* NAMESPACE (("" "/")) NIL NIL\r\n${tag} OK done\r\n`);
      return;
    } else peer.send(`${tag} BAD what\r\n`);
  }
}

/** Our end of a connection to `port`, as if it were logged in. */
export async function connectTo(
  port: number,
  capabilities: readonly string[] = [],
  commandTimeoutMs?: number,
  greeting = "ready",
): Promise<ImapConnection> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  return createImapConnection({
    socket,
    capabilities: new Set(capabilities),
    greeting,
    logger: silentLogger,
    ...(commandTimeoutMs !== undefined && { commandTimeoutMs }),
  });
}
