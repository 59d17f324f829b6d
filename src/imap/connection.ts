/**
 * One client connection from greeting to close: reads commands, has them run strictly one after the
 * other, keeps the caps, and says goodbye.
 *
 * What always holds
 * - A client that does not read its answers is not read from; what is held of either way is bounded.
 * - Whatever ends the connection, the session gives back what it holds.
 */
import type { Duplex } from "node:stream";
import { unreachable } from "../errors.ts";
import { type Channel, type ConnectionTimes, serveChannel } from "../wire/channel.ts";
import type { InputEnd } from "../wire/input.ts";
import type { Connection, Upgrade } from "../wire/listener.ts";
import { capabilities } from "./capabilities.ts";
import type { CommandIo } from "./command.ts";
import { formatReply, ok } from "./formatter.ts";
import { type CommandText, createFragmenter, type Fragment, type FragmentLimits } from "./fragments.ts";
import { type Outcome, refuseCommand, runCommand, sayBye } from "./session.ts";
import { closeSession, farewellOf, type Session } from "./state.ts";
import { ParseError } from "./tokens.ts";
import { prepareMessage, takePiece } from "./upload.ts";

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

export function serveConnection(
  socket: Duplex,
  session: Session,
  times: ConnectionTimes,
  upgrade: Upgrade | undefined,
): Connection {
  const { logger, hostname } = session.options;
  const fragmenter = createFragmenter();
  const isLoggedIn = (): boolean => session.state.kind !== "not-authenticated";
  const limits = (): FragmentLimits => (isLoggedIn() ? limitsAfterLogin : limitsBeforeLogin);

  const linesOf = (channel: Channel): Pick<CommandIo, "readLine" | "readLineOrWake"> => ({
    async readLine() {
      if (channel.isStopping) return undefined;
      const { input } = channel;
      const read = await input.next(() => fragmenter.nextLine(limits()), channel.timer(isLoggedIn));
      if (read.kind === "refused") throw new ParseError(read.reason);
      if (read.kind === "interrupted") input.interrupt();
      return read.kind === "command" ? read.command.texts[0] : undefined;
    },
    async readLineOrWake(timeLeftMs) {
      if (channel.isStopping) return undefined;
      const read = await channel.input.next(() => fragmenter.nextLine(limits()), timeLeftMs);
      if (read.kind === "refused") throw new ParseError(read.reason);
      if (read.kind === "command") return { kind: "line", text: read.command.texts[0] ?? "" };
      if (read.kind !== "interrupted" || channel.isStopping) return undefined;
      return { kind: "woken" };
    },
  });

  const handle = async (channel: Channel, read: Fragment | InputEnd): Promise<Outcome> => {
    const { output, lost: signal } = channel;
    const run = (text: CommandText): Promise<Outcome> =>
      runCommand(session, text, { output, ...linesOf(channel), signal });
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

  const serve = async (channel: Channel): Promise<void> => {
    session.wake = () => channel.input.interrupt();
    channel.output.write(
      formatReply("*", ok(`${hostname} Mailferry ready.`, `CAPABILITY ${capabilities(session)}`)),
    );
    for (;;) {
      channel.output.send();
      if (channel.lost.aborted) return;
      // A client that does not read its answers is asked for no more commands.
      await channel.output.flushed();
      const farewell = channel.isStopping ? "Server shutting down." : farewellOf(session);
      if (farewell !== undefined) return void sayBye(session, channel.output, farewell);
      const timeLeftMs = channel.timer(isLoggedIn);
      const read = await channel.input.next(() => fragmenter.next(limits()), timeLeftMs);
      // A client that keeps sending never lets a wait time out.
      const outcome = await handle(channel, timeLeftMs() <= 0 ? { kind: "timeout" } : read);
      if (outcome === "close") return;
      if (outcome === "starttls" && upgrade) {
        await channel.startTls(upgrade);
        session.peer = { ...session.peer, secure: true };
      }
    }
  };

  const options = { protocol: "imap", session: session.id, buffer: fragmenter, times, logger } as const;
  return serveChannel(socket, options, serve, () => closeSession(session));
}
