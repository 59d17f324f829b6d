/**
 * One client connection from greeting to close: reads commands, has them run strictly one after the
 * other, keeps the times and the caps, changes to TLS and says goodbye. It owns the socket.
 *
 * What always holds
 * - A client that does not read its answers is not read from; what is held of either way is bounded.
 * - Nothing that was received before TLS is read after it (RFC 3501 6.2.1).
 * - Whatever ends the connection, the session gives back what it holds.
 */
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { unreachable } from "../errors.ts";
import { createInput, type Input, type InputEnd } from "../wire/input.ts";
import type { Connection, Upgrade } from "../wire/listener.ts";
import { createOutput, type Output } from "../wire/output.ts";
import { capabilities } from "./capabilities.ts";
import type { CommandIo } from "./command.ts";
import { formatReply, ok } from "./formatter.ts";
import { type CommandText, createFragmenter, type Fragment, type FragmentLimits } from "./fragments.ts";
import { type Outcome, refuseCommand, runCommand, sayBye } from "./session.ts";
import { closeSession, farewellOf, type Session } from "./state.ts";
import { ParseError } from "./tokens.ts";
import { prepareMessage, takePiece } from "./upload.ts";

export interface ConnectionTimes {
  /** From connecting to being logged in. */
  readonly loginTimeoutMs: number;
  /** Without a command, once logged in. RFC 3501 5.4 wants at least 30 minutes. */
  readonly idleTimeoutMs: number;
  /** Without the client reading what it is sent. */
  readonly stallTimeoutMs: number;
}

/** Caps on what is read of one command (Dovecot's: 8 KB before login, lines of 64 KB after). */
const limitsBeforeLogin: FragmentLimits = {
  maxTextBytes: 8 * 1024,
  maxLiteralBytes: 4 * 1024,
  maxKeptBytes: 8 * 1024,
  maxDroppedBytes: 64 * 1024,
};
const limitsAfterLogin: FragmentLimits = {
  maxTextBytes: 64 * 1024,
  maxLiteralBytes: 64 * 1024,
  maxKeptBytes: 256 * 1024,
  maxDroppedBytes: 256 * 1024 * 1024,
  takesMessages: true,
};

/** How long a client has to take the last answer and close its side. */
const lingerMs = 5_000;

/** Changed as a whole by STARTTLS. */
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
  const fragmenter = createFragmenter();
  const startedMs = performance.now();
  let stopping = false;

  const open = (socket: Duplex): Channel => {
    socket.on("error", (error) => logger.debug({ session: session.id, err: error }, "imap socket error"));
    socket.once("close", () => lost.abort());
    return {
      socket,
      input: createInput(socket, fragmenter),
      output: createOutput(socket, times.stallTimeoutMs),
    };
  };
  let channel = open(plain);
  session.wake = () => channel.input.interrupt();

  const isLoggedIn = (): boolean => session.state.kind !== "not-authenticated";
  const limits = (): FragmentLimits => (isLoggedIn() ? limitsAfterLogin : limitsBeforeLogin);
  const timer = (): (() => number) => {
    const waitingSinceMs = performance.now();
    return () =>
      isLoggedIn()
        ? waitingSinceMs + times.idleTimeoutMs - performance.now()
        : startedMs + times.loginTimeoutMs - performance.now();
  };

  const readLine = async (): Promise<string | undefined> => {
    if (stopping) return undefined;
    const read = await channel.input.next(() => fragmenter.nextLine(limits()), timer());
    if (read.kind === "refused") throw new ParseError(read.reason);
    if (read.kind === "interrupted") channel.input.interrupt();
    return read.kind === "command" ? read.command.texts[0] : undefined;
  };

  const readLineOrWake: CommandIo["readLineOrWake"] = async (timeLeftMs) => {
    if (stopping) return undefined;
    const read = await channel.input.next(() => fragmenter.nextLine(limits()), timeLeftMs);
    if (read.kind === "refused") throw new ParseError(read.reason);
    if (read.kind === "command") return { kind: "line", text: read.command.texts[0] ?? "" };
    if (read.kind !== "interrupted" || stopping) return undefined;
    return { kind: "woken" };
  };

  const handle = async (read: Fragment | InputEnd): Promise<Outcome> => {
    const { output } = channel;
    const run = (text: CommandText): Promise<Outcome> =>
      runCommand(session, text, { output, readLine, readLineOrWake, signal: lost.signal });
    switch (read.kind) {
      case "command":
        return run(read.command);
      case "message": {
        const isTaken = await prepareMessage(session, read.command, read.sizeBytes);
        if (isTaken && read.synchronizing) output.write("+ OK\r\n");
        if (isTaken) return "continue";
        fragmenter.refuseMessage();
        // The client waits, and is told now; one that does not wait is told when all of it went by.
        return read.synchronizing ? run(read.command) : "continue";
      }
      case "piece":
        await takePiece(session, read.bytes);
        return "continue";
      case "continue":
        output.write("+ OK\r\n");
        return "continue";
      case "refused":
        return refuseCommand(session, read.head, read.reason, output);
      case "flood":
        return sayBye(session, output, "Too much input.");
      case "timeout":
        return sayBye(session, output, `Disconnected for inactivity${isLoggedIn() ? "" : " before login"}.`);
      case "interrupted":
        return "continue";
      case "ended":
        return "close";
      default:
        return unreachable(read);
    }
  };

  const serve = async (): Promise<void> => {
    channel.output.write(
      formatReply("*", ok(`${hostname} Mailferry ready.`, `CAPABILITY ${capabilities(session)}`)),
    );
    for (;;) {
      channel.output.send();
      if (lost.signal.aborted) return;
      // A client that does not read its answers is asked for no more commands.
      await channel.output.flushed();
      const farewell = stopping ? "Server shutting down." : farewellOf(session);
      if (farewell !== undefined) return void sayBye(session, channel.output, farewell);
      const timeLeftMs = timer();
      const read = await channel.input.next(() => fragmenter.next(limits()), timeLeftMs);
      // A client that keeps sending never lets a wait time out.
      const outcome = await handle(timeLeftMs() <= 0 ? { kind: "timeout" } : read);
      if (outcome === "close") return;
      if (outcome === "starttls" && upgrade) channel = await startTls(channel, upgrade);
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
      if (lost.signal.aborted || channel.socket.destroyed)
        logger.debug({ session: session.id, err: error }, "imap client gone");
      else logger.error({ session: session.id, err: error }, "imap session failed");
    } finally {
      closeSession(session);
      await hangUp(channel);
      lost.abort();
      logger.info(
        { session: session.id, durationMs: Math.round(performance.now() - startedMs) },
        "imap session ended",
      );
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
