/**
 * One client connection from greeting to close: reads commands, has them run strictly one after the other, keeps the
 * times and the caps, changes to TLS. It owns the socket. Nothing that was received before TLS is read after it, and
 * whatever ends the connection, the maildrop is given back and nothing is removed but by QUIT.
 */
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { createInput, type Input } from "../wire/input.ts";
import type { Connection, Upgrade } from "../wire/listener.ts";
import { createOutput, type Output } from "../wire/output.ts";
import { formatReply } from "./command.ts";
import { createLineBuffer, type Line } from "./lines.ts";
import { countBad, type Outcome, runCommand } from "./session.ts";
import { closeSession, type Session } from "./state.ts";

export interface ConnectionTimes {
  /** From connecting to being logged in. */
  readonly loginTimeoutMs: number;
  /** Without a command, once logged in. RFC 1939 3 wants at least 10 minutes. */
  readonly idleTimeoutMs: number;
  /** Without the client reading what it is sent. */
  readonly stallTimeoutMs: number;
}

const lingerMs = 5_000;

interface Channel {
  readonly socket: Duplex;
  readonly input: Input;
  readonly output: Output;
}

export function serveConnection(
  plain: Duplex,
  session: Session,
  times: ConnectionTimes,
  upgrade: Upgrade | undefined,
): Connection {
  const { logger, hostname } = session.options;
  const lost = new AbortController();
  const lines = createLineBuffer();
  const startedMs = performance.now();
  let stopping = false;

  const open = (socket: Duplex): Channel => {
    socket.on("error", (error) => logger.debug({ session: session.id, err: error }, "pop3 socket error"));
    socket.once("close", () => lost.abort());
    return { socket, input: createInput(socket, lines), output: createOutput(socket, times.stallTimeoutMs) };
  };
  let channel = open(plain);

  const timer = (): (() => number) => {
    const waitingSinceMs = performance.now();
    return () =>
      session.state.kind === "authorization"
        ? startedMs + times.loginTimeoutMs - performance.now()
        : waitingSinceMs + times.idleTimeoutMs - performance.now();
  };
  const readLine = async (): Promise<string | undefined> => {
    const read = await channel.input.next<Line>(() => lines.next(), timer());
    return read.kind === "line" && !stopping ? read.text : undefined;
  };
  const refuse = (text: string): void => channel.output.write(formatReply({ ok: false, text }));

  const step = async (): Promise<Outcome> => {
    const timeLeftMs = timer();
    const read = await channel.input.next<Line>(() => lines.next(), timeLeftMs);
    if (stopping) {
      refuse("Server shutting down.");
      return "close";
    }
    switch (read.kind) {
      case "line":
        if (timeLeftMs() <= 0) return "close";
        return runCommand(session, read.text, { output: channel.output, readLine, signal: lost.signal });
      case "too-long":
        refuse("Command too long");
        return countBad(session);
      case "timeout":
        refuse("Disconnected for inactivity.");
        return "close";
      case "interrupted":
        return "continue";
      default:
        return "close";
    }
  };

  const serve = async (): Promise<void> => {
    channel.output.write(formatReply({ ok: true, text: `${hostname} Mailferry ready.` }));
    for (;;) {
      channel.output.send();
      await channel.output.flushed();
      if (lost.signal.aborted) return;
      const outcome = await step();
      if (outcome === "close") return;
      if (outcome === "tls" && upgrade) channel = await startTls(channel, upgrade);
    }
  };

  const startTls = async ({ socket, input, output }: Channel, toTls: Upgrade): Promise<Channel> => {
    input.detach();
    output.send();
    const secured = await toTls(socket);
    session.peer = { ...session.peer, secure: true };
    return open(secured);
  };

  const run = async (): Promise<void> => {
    try {
      await serve();
    } catch (error) {
      if (lost.signal.aborted) logger.debug({ session: session.id, err: error }, "pop3 client gone");
      else logger.error({ session: session.id, err: error }, "pop3 session failed");
    } finally {
      closeSession(session);
      await hangUp(channel);
      lost.abort();
      const durationMs = Math.round(performance.now() - startedMs);
      logger.info({ session: session.id, durationMs }, "pop3 session ended");
    }
  };

  return {
    finished: run(),
    shutDown: () => {
      stopping = true;
      channel.input.interrupt();
    },
  };
}

/** Lets the last answer reach the client: what it still sends is read away, else the reset would eat it. */
async function hangUp({ socket, input, output }: Channel): Promise<void> {
  if (socket.destroyed) return;
  output.send();
  input.detach();
  socket.end();
  socket.resume();
  try {
    await once(socket, "close", { signal: AbortSignal.timeout(lingerMs) });
  } catch {
    socket.destroy();
  }
}
