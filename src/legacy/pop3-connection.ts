/**
 * Commands of one POP3 connection and their answers (RFC 1939). It knows what is in flight and how long it may
 * take; what the commands mean is in pop3-client.ts. Commands are sent one behind the other without waiting where
 * the server says that it bears that (RFC 2449 6.6), and only there.
 *
 * What always holds
 * - Each command gets its own answer, or fails with UNAVAILABLE when the connection is lost before.
 * - Nothing that came before TLS is read after it.
 */
import type { Socket } from "node:net";
import { MailError } from "../errors.ts";
import { progressBytes } from "./pop3-allowance.ts";
import { createPop3Reader, type Pop3Asker, type Pop3Reply } from "./pop3-replies.ts";

export interface Pop3Command {
  /** Without the line end; undefined for the greeting, which comes by itself. */
  readonly line: string | undefined;
  /** Takes the lines that follow; a promise holds the server back. */
  readonly onBytes?: (bytes: Buffer) => undefined | Promise<void>;
  /** `+OK` has come, and the lines are to follow. */
  readonly onBegun?: () => void;
}

export interface Pop3Connection {
  readonly isClosed: boolean;
  /** Resolves when it is, however that came. */
  readonly closed: Promise<void>;
  /** When the server has come further last (`performance.now()`). */
  readonly progressAt: number;
  run(command: Pop3Command): Promise<Pop3Reply>;
  /** Set once the server has said so. */
  pipelining: boolean;
  /** Takes its hands off the socket, for TLS; fails where the server has sent something already. */
  detach(): Socket;
  close(reason?: unknown): void;
}

export interface Pop3ConnectionOptions {
  readonly socket: Socket;
  /** How long the server may owe an answer, or the next part of a long one: single bytes are none. */
  readonly silenceMs: number;
}

interface Entry extends Pop3Asker {
  readonly line: string | undefined;
  readonly reject: (reason: unknown) => void;
}

export function createPop3Connection({ socket, silenceMs }: Pop3ConnectionOptions): Pop3Connection {
  const inFlight: Entry[] = [];
  const waiting: Entry[] = [];
  let failure: unknown;
  const closed = Promise.withResolvers<void>();
  let pipelining = false;
  let isReading = false;
  let isTaking = false;
  let hasEnded = false;
  let silence: NodeJS.Timeout | undefined;
  /** When the server has come further last; what it is kept waiting for does not count. */
  let progressAt = performance.now();
  let bytesSince = 0;
  const reader = createPop3Reader(() => inFlight[0]);

  const fail = (reason: unknown): void => {
    failure ??= lost(reason);
    closed.resolve();
    clearTimeout(silence);
    socket.destroy();
    for (const entry of [...inFlight.splice(0), ...waiting.splice(0)]) entry.reject(failure);
  };
  const watch = (): void => {
    clearTimeout(silence);
    if (inFlight.length === 0 || isTaking || failure !== undefined) return;
    const leftMs = Math.max(0, progressAt + silenceMs - performance.now());
    silence = setTimeout(() => fail(new Error(`no answer within ${silenceMs} ms`)), leftMs);
  };
  const noteProgress = (): void => {
    progressAt = performance.now();
    bytesSince = 0;
    watch();
  };
  const take = async (chunk: Buffer): Promise<void> => {
    // While what has come is taken, by a slow client maybe, it is not the server that keeps silent.
    const before = performance.now();
    isTaking = true;
    watch();
    await reader.push(chunk);
    isTaking = false;
    const now = performance.now();
    progressAt = Math.min(now, progressAt + now - before);
    bytesSince += chunk.length;
    if (bytesSince >= progressBytes) noteProgress();
    else watch();
  };
  const sendWaiting = (): void => {
    const wasOwed = inFlight.length > 0;
    while (waiting[0] && failure === undefined && (pipelining || inFlight.length === 0)) {
      const entry = waiting.shift();
      if (!entry) return;
      inFlight.push(entry);
      if (entry.line !== undefined) socket.write(`${entry.line}\r\n`, "latin1");
    }
    if (wasOwed) watch();
    else noteProgress();
  };
  const read = async (): Promise<void> => {
    if (isReading) return;
    isReading = true;
    try {
      for (let chunk = socket.read(); chunk && failure === undefined; chunk = socket.read()) {
        await take(chunk as Buffer);
      }
    } catch (error) {
      fail(error);
    } finally {
      [isReading, isTaking] = [false, false];
      if (hasEnded) fail(new Error("the server has closed the connection"));
    }
  };
  const onReadable = (): void => void read();
  /** What it had sent before is read to its end. */
  const onEnd = (): void => {
    hasEnded = true;
    void read();
  };
  socket.on("readable", onReadable).on("end", onEnd).on("close", onEnd).on("error", fail);

  return {
    get isClosed() {
      return failure !== undefined;
    },
    closed: closed.promise,
    get progressAt() {
      return progressAt;
    },
    get pipelining() {
      return pipelining;
    },
    set pipelining(told) {
      pipelining = told;
    },
    run: ({ line, onBytes, onBegun }) =>
      new Promise((resolve, reject) => {
        if (failure !== undefined) {
          reject(failure);
          return;
        }
        const onReply = (reply: Pop3Reply): void => {
          inFlight.shift();
          resolve(reply);
          noteProgress();
          sendWaiting();
        };
        const begun = (): void => {
          noteProgress();
          onBegun?.();
        };
        waiting.push({ line, onBytes, onBegun: begun, onReply, reject });
        sendWaiting();
      }),
    detach() {
      if (socket.readableLength > 0) throw new MailError("UNAVAILABLE", "The old server spoke before TLS");
      socket.off("readable", onReadable).off("end", onEnd).off("close", onEnd).off("error", fail);
      clearTimeout(silence);
      failure = lost(new Error("TLS has begun"));
      return socket;
    },
    close: (reason) => fail(reason ?? new Error("closed")),
  };
}

function lost(cause: unknown): MailError {
  if (cause instanceof MailError) return cause;
  const message = cause instanceof Error ? cause.message : "";
  return new MailError("UNAVAILABLE", `The old POP3 server: ${message}`, cause);
}
