import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";

/** A client that speaks bytes: sends what it is told, reads lines and counted bytes, with a deadline. */
export interface LineClient {
  readonly socket: Socket;
  send(bytes: string | Buffer): void;
  /** Each byte in a packet of its own, as far as the kernel lets. */
  sendByteByByte(bytes: string | Buffer): Promise<void>;
  /** One line without its CRLF, latin1; undefined when the connection has ended. */
  line(): Promise<string | undefined>;
  bytes(count: number): Promise<Buffer>;
  /** Lines up to and with the one that begins with `prefix`. */
  until(prefix: string): Promise<string[]>;
  /** Sends a command and gives all lines of its answer. */
  command(line: string): Promise<string[]>;
  startTls(options: ConnectionOptions): Promise<void>;
  close(): void;
}

const deadlineMs = 10_000;

export async function connectClient(port: number, tls?: ConnectionOptions): Promise<LineClient> {
  let socket: Socket = tls ? connectTls({ port, host: "127.0.0.1", ...tls }) : connect(port, "127.0.0.1");
  await once(socket, tls ? "secureConnect" : "connect");
  socket.setNoDelay(true);
  let received = Buffer.alloc(0);
  let ended = false;
  let wake = (): void => {};
  const listen = (): void => {
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      ended = true;
      wake();
    });
  };
  listen();

  const more = (what: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`waited too long for ${what}; got ${received}`)),
        deadlineMs,
      );
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const line = async (): Promise<string | undefined> => {
    for (;;) {
      const end = received.indexOf("\r\n");
      if (end >= 0) {
        const text = received.toString("latin1", 0, end);
        received = received.subarray(end + 2);
        return text;
      }
      if (ended) return undefined;
      await more("a line");
    }
  };
  const until = async (prefix: string): Promise<string[]> => {
    const lines: string[] = [];
    for (;;) {
      const next = await line();
      if (next === undefined) throw new Error(`ended before ${prefix}: ${lines.join("\n")}`);
      lines.push(next);
      if (next.startsWith(prefix)) return lines;
    }
  };

  return {
    get socket() {
      return socket;
    },
    send: (bytes) => {
      socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
    },
    sendByteByByte: async (bytes) => {
      for (const byte of Buffer.from(bytes as string, "latin1")) {
        await new Promise<void>((resolve) => socket.write(Buffer.of(byte), () => resolve()));
      }
    },
    line,
    bytes: async (count) => {
      while (received.length < count) {
        if (ended) throw new Error(`ended after ${received.length} of ${count} bytes`);
        await more(`${count} bytes`);
      }
      const taken = received.subarray(0, count);
      received = received.subarray(count);
      return taken;
    },
    until,
    command: async (text) => {
      socket.write(Buffer.from(`${text}\r\n`, "latin1"));
      return until(`${text.split(" ")[0]} `);
    },
    startTls: async (options) => {
      socket.removeAllListeners("data");
      socket = connectTls({ socket, ...options });
      await once(socket, "secureConnect");
      listen();
    },
    close: () => socket.destroy(),
  };
}
