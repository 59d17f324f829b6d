/**
 * One client connection, whatever its protocol: its socket, which STARTTLS changes as a whole, its times, and its
 * end. It owns the socket. Nothing that was received before TLS is read after it.
 */
import { once } from "node:events";
import type { Duplex } from "node:stream";
import type { Logger } from "../log.ts";
import { createInput, type Input, type InputBuffer } from "./input.ts";
import type { Connection, Upgrade } from "./listener.ts";
import { createOutput, type Output } from "./output.ts";

export interface ConnectionTimes {
  /** From connecting to being logged in. */
  readonly loginTimeoutMs: number;
  /** Without a command, once logged in: at least 30 minutes in IMAP (RFC 3501 5.4), 10 in POP3 (RFC 1939 3). */
  readonly idleTimeoutMs: number;
  /** Without the client reading what it is sent. */
  readonly stallTimeoutMs: number;
}

export interface Channel {
  readonly input: Input;
  readonly output: Output;
  /** Aborted when the connection is lost. */
  readonly lost: AbortSignal;
  /** The server ends: goodbye is to be said as soon as the running command has ended. */
  readonly isStopping: boolean;
  /** Answers are sent, and what the client has sent is forgotten, before TLS begins. */
  startTls(upgrade: Upgrade): Promise<void>;
  /** Milliseconds until the wait that begins now is over. */
  timer(isLoggedIn: () => boolean): () => number;
}

export interface ChannelOptions {
  readonly protocol: "imap" | "pop3";
  /** Its name in the log. */
  readonly session: string;
  readonly buffer: InputBuffer;
  readonly times: ConnectionTimes;
  readonly logger: Logger;
}

/** How long a client has to take the last answer and close its side. */
const lingerMs = 5_000;

/** `serve` speaks from greeting to goodbye; `release` gives back what the session holds, whatever ended it. */
export function serveChannel(
  plain: Duplex,
  { protocol, session, buffer, times, logger }: ChannelOptions,
  serve: (channel: Channel) => Promise<void>,
  release: () => void,
): Connection {
  const lost = new AbortController();
  const startedMs = performance.now();
  let socket = plain;
  let isStopping = false;

  const open = (): { readonly input: Input; readonly output: Output } => {
    socket.on("error", (error) => logger.debug({ session, err: error }, `${protocol} socket error`));
    socket.once("close", () => lost.abort());
    return { input: createInput(socket, buffer), output: createOutput(socket, times.stallTimeoutMs) };
  };
  let ends = open();

  const channel: Channel = {
    get input() {
      return ends.input;
    },
    get output() {
      return ends.output;
    },
    lost: lost.signal,
    get isStopping() {
      return isStopping;
    },
    async startTls(upgrade) {
      ends.input.detach();
      ends.output.send();
      socket = await upgrade(socket);
      ends = open();
    },
    timer(isLoggedIn) {
      const waitingSinceMs = performance.now();
      return () =>
        isLoggedIn()
          ? waitingSinceMs + times.idleTimeoutMs - performance.now()
          : startedMs + times.loginTimeoutMs - performance.now();
    },
  };

  /** Lets the last answer reach the client: what it still sends is read away, else the reset would eat it. */
  const hangUp = async (): Promise<void> => {
    if (socket.destroyed) return;
    ends.output.send();
    ends.input.detach();
    socket.end();
    socket.resume();
    try {
      await once(socket, "close", { signal: AbortSignal.timeout(lingerMs) });
    } catch {
      socket.destroy();
    }
  };

  const run = async (): Promise<void> => {
    try {
      await serve(channel);
    } catch (error) {
      if (lost.signal.aborted || socket.destroyed)
        logger.debug({ session, err: error }, `${protocol} client gone`);
      else logger.error({ session, err: error }, `${protocol} session failed`);
    } finally {
      release();
      await hangUp();
      lost.abort();
      const durationMs = Math.round(performance.now() - startedMs);
      logger.info({ session, durationMs }, `${protocol} session ended`);
    }
  };

  return {
    finished: run(),
    shutDown: () => {
      isStopping = true;
      ends.input.interrupt();
    },
  };
}
