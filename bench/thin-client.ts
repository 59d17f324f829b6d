/**
 * An IMAP client that costs next to nothing: it looks at the end of what has come for the line with its tag,
 * and at nothing else. One command at a time.
 */
import { once } from "node:events";
import { connect } from "node:net";

export interface ThinClient {
  /** Sends a command; resolves when its OK has come, rejects at NO and BAD. */
  ok(command: string): Promise<void>;
  /** The same with one literal at the end, after the server's `+`. */
  okWith(command: string, literal: Buffer): Promise<void>;
  /** Enters IDLE. */
  idle(): Promise<void>;
  done(): Promise<void>;
  /** Resolves when a line that matches has come from now on. */
  seen(pattern: RegExp): Promise<void>;
  /** Without LOGOUT. */
  close(): void;
}

/** Longer than any last line that the servers send. */
const tailBytes = 4_096;
const patienceMs = 300_000;

interface Waiting {
  /** Called with the newest bytes; true when it has what it waits for. */
  readonly look: () => boolean;
  readonly timer: NodeJS.Timeout;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export async function connectThin(port: number): Promise<ThinClient> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let tail = "";
  let tagNumber = 0;
  let waiting: Waiting | undefined;
  const settle = (error?: Error): void => {
    const { resolve, reject, timer } = waiting ?? {};
    clearTimeout(timer);
    waiting = undefined;
    if (error) reject?.(error);
    else resolve?.();
  };
  socket.on("data", (chunk: Buffer) => {
    tail = (tail + chunk.toString("latin1", Math.max(0, chunk.length - tailBytes))).slice(-tailBytes);
    try {
      if (waiting?.look()) settle();
    } catch (error) {
      settle(error as Error);
    }
  });
  socket.on("error", () => {});
  socket.on("close", () => settle(new Error("the server closed the connection")));

  const until = (look: () => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      if (socket.destroyed) return reject(new Error("the connection is closed"));
      const timer = setTimeout(() => settle(new Error("no answer")), patienceMs);
      waiting = { look, resolve, reject, timer };
    });
  const lastLine = (): string | undefined =>
    tail.endsWith("\r\n") ? tail.slice(tail.lastIndexOf("\n", tail.length - 2) + 1) : undefined;
  const isAnswered = (tag: string): boolean => {
    const line = lastLine();
    if (!line?.startsWith(`${tag} `)) return false;
    if (!line.startsWith("OK", tag.length + 1)) throw new Error(line.trimEnd());
    return true;
  };
  const isContinued = (tag: string): boolean => /^\+/m.test(tail) || isAnswered(tag);
  const send = (tag: string, command: string): void => {
    tail = "";
    socket.write(`${tag} ${command}\r\n`, "latin1");
  };
  let idleTag = "";

  await once(socket, "connect");
  await until(() => lastLine()?.startsWith("* ") === true);
  return {
    ok(command) {
      const tag = `t${++tagNumber}`;
      send(tag, command);
      return until(() => isAnswered(tag));
    },
    async okWith(command, literal) {
      const tag = `t${++tagNumber}`;
      send(tag, `${command} {${literal.length}}`);
      await until(() => isContinued(tag));
      tail = "";
      socket.cork();
      socket.write(literal);
      socket.write("\r\n");
      socket.uncork();
      await until(() => isAnswered(tag));
    },
    async idle() {
      idleTag = `t${++tagNumber}`;
      send(idleTag, "IDLE");
      await until(() => isContinued(idleTag));
    },
    done() {
      tail = "";
      socket.write("DONE\r\n");
      return until(() => isAnswered(idleTag));
    },
    seen(pattern) {
      tail = "";
      return until(() => pattern.test(tail));
    },
    close: () => socket.destroy(),
  };
}
