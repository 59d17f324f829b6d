/**
 * A raw IMAP client for tests: sends what it is told, hands back what came, bytes as they are. It knows
 * lines and literals and nothing else; imap-values.ts reads what is inside.
 */
import { connect as connectTcp } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { createResponseSplitter } from "./response-splitter.ts";

/** A piece of a command: text goes out as it is (latin1), a Buffer as a synchronising literal. */
export type CommandPiece = string | Buffer;

export interface CommandResult {
  readonly status: "OK" | "NO" | "BAD";
  /** The tagged response's text after the status, code included. */
  readonly text: string;
  /** The whole tagged response, without its CRLF. */
  readonly tagged: Buffer;
  /** Untagged responses in order, literals included, without the last CRLF. */
  readonly untagged: readonly Buffer[];
}

export interface ImapClient {
  readonly greeting: Buffer;
  /** Sends a tag, the pieces and CRLF; resolves with the tagged response, whatever its status. */
  command(...pieces: CommandPiece[]): Promise<CommandResult>;
  /** Same; rejects unless the answer is OK. */
  ok(...pieces: CommandPiece[]): Promise<CommandResult>;
  /** Same as `ok`, but gives each untagged response away instead of collecting them. */
  stream(onUntagged: (response: Buffer) => void, ...pieces: CommandPiece[]): Promise<void>;
  login(user: string, password: string): Promise<void>;
  /** Enters IDLE. Responses are collected until `done()`, which leaves it. */
  idle(): Promise<IdleSession>;
  /** Bytes as they are, outside of any command. */
  send(bytes: string | Buffer): void;
  /** The next response that no command waits for (a BYE, a pipelined answer). */
  next(timeoutMs?: number): Promise<Buffer>;
  /** Resolves when the server has closed the connection. */
  readonly closed: Promise<void>;
  /** Drops the connection without LOGOUT. */
  close(): void;
}

export interface IdleSession {
  /** Waits until a response so far or to come matches (latin1). */
  until(pattern: RegExp, timeoutMs?: number): Promise<Buffer>;
  done(): Promise<CommandResult>;
}

export interface ConnectOptions {
  readonly port: number;
  readonly host?: string;
  /** PEM of the CA for a TLS connection; absent for plain TCP. */
  readonly ca?: string | Buffer;
  /** Deadline of each wait; default 60 s. */
  readonly timeoutMs?: number;
}

export async function connectImap(options: ConnectOptions): Promise<ImapClient> {
  const { port, host = "127.0.0.1", ca } = options;
  const socket = ca
    ? connectTls({ port, host, ca, servername: "localhost" })
    : connectTcp({ port, host, noDelay: true });
  return imapClientOver(socket, options.timeoutMs);
}

/** Speaks over any stream; resolves with the greeting read. */
export async function imapClientOver(stream: Duplex, timeoutMs = 60_000): Promise<ImapClient> {
  const queue = createResponseQueue(stream, timeoutMs);
  let tagNumber = 0;

  async function exchange(pieces: readonly CommandPiece[], onUntagged: (response: Buffer) => void) {
    const tag = `t${++tagNumber}`;
    let line = `${tag} `;
    for (const piece of pieces) {
      if (typeof piece === "string") {
        line += piece;
        continue;
      }
      stream.write(`${line}{${piece.length}}\r\n`, "latin1");
      for (;;) {
        const response = await queue.next();
        if (startsWith(response, "+")) break;
        if (startsWith(response, `${tag} `)) return parseTagged(response, tag);
        onUntagged(response);
      }
      stream.write(piece);
      line = "";
    }
    stream.write(`${line}\r\n`, "latin1");
    return readUntilTagged(tag, onUntagged);
  }

  async function readUntilTagged(tag: string, onUntagged: (response: Buffer) => void) {
    for (;;) {
      const response = await queue.next();
      if (startsWith(response, `${tag} `)) return parseTagged(response, tag);
      onUntagged(response);
    }
  }

  const client: ImapClient = {
    greeting: await queue.next(),
    async command(...pieces) {
      const untagged: Buffer[] = [];
      return { ...(await exchange(pieces, (response) => untagged.push(response))), untagged };
    },
    async ok(...pieces) {
      return accept(await client.command(...pieces), pieces);
    },
    async stream(onUntagged, ...pieces) {
      accept({ ...(await exchange(pieces, onUntagged)), untagged: [] }, pieces);
    },
    async login(user, password) {
      await client.ok("LOGIN ", Buffer.from(user, "utf8"), " ", Buffer.from(password, "utf8"));
    },
    async idle() {
      const tag = `t${++tagNumber}`;
      stream.write(`${tag} IDLE\r\n`);
      const seen: Buffer[] = [];
      for (;;) {
        const response = await queue.next();
        if (startsWith(response, "+")) break;
        if (startsWith(response, `${tag} `)) throw new Error(`IDLE: ${response.toString("latin1")}`);
        seen.push(response);
      }
      return {
        async until(pattern, waitMs) {
          const before = seen.find((response) => pattern.test(response.toString("latin1")));
          if (before) return before;
          for (;;) {
            const response = await queue.next(waitMs);
            seen.push(response);
            if (pattern.test(response.toString("latin1"))) return response;
          }
        },
        async done() {
          stream.write("DONE\r\n");
          const result = await readUntilTagged(tag, (response) => seen.push(response));
          return { ...result, untagged: seen };
        },
      };
    },
    send(bytes) {
      stream.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
    },
    next: queue.next,
    closed: queue.closed,
    close: () => stream.destroy(),
  };
  return client;
}

/** A quoted string, for names in commands: the bytes must have neither CR, LF nor NUL. */
export function quoted(latin1: string): string {
  return `"${latin1.replace(/["\\]/g, "\\$&")}"`;
}

function createResponseQueue(stream: Duplex, defaultTimeoutMs: number) {
  const arrived: Buffer[] = [];
  let head = 0;
  let failure: Error | undefined;
  let wake: (() => void) | undefined;
  const splitter = createResponseSplitter((response) => arrived.push(response));
  stream.on("data", (chunk: Buffer) => {
    splitter.push(chunk);
    wake?.();
  });
  const closed = new Promise<void>((resolve) => {
    stream.on("error", (error) => {
      failure ??= error;
    });
    stream.on("close", () => {
      failure ??= new Error("the server closed the connection");
      wake?.();
      resolve();
    });
    stream.on("end", () => stream.destroy());
  });

  function take(): Buffer | undefined {
    const response = arrived[head];
    if (response === undefined) return undefined;
    head++;
    if (head > 1000) {
      arrived.splice(0, head);
      head = 0;
    }
    return response;
  }

  async function next(timeoutMs = defaultTimeoutMs): Promise<Buffer> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const response = take();
      if (response) return response;
      if (failure) throw failure;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new Error(`no response within ${timeoutMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      wake = undefined;
    }
  }

  return { next, closed };
}

function startsWith(response: Buffer, prefix: string): boolean {
  return response.toString("latin1", 0, prefix.length) === prefix;
}

function parseTagged(tagged: Buffer, tag: string) {
  const rest = tagged.toString("latin1").slice(tag.length + 1);
  const match = /^(OK|NO|BAD)(?: |$)/i.exec(rest);
  if (!match?.[1]) throw new Error(`not a tagged response: ${rest}`);
  const status = match[1].toUpperCase() as CommandResult["status"];
  return { status, text: rest.slice(match[0].length), tagged };
}

function accept(result: CommandResult, pieces: readonly CommandPiece[]): CommandResult {
  if (result.status === "OK") return result;
  const command = pieces.map((piece) => (typeof piece === "string" ? piece : `{${piece.length}}`)).join("");
  throw new Error(`${command}: ${result.status} ${result.text}`);
}
