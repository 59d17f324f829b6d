/**
 * One client connection from greeting to close: reads commands and has them run strictly one after the other.
 * Whatever ends the connection, the maildrop is given back and nothing is removed but by QUIT.
 */
import type { Duplex } from "node:stream";
import { type Channel, type ConnectionTimes, serveChannel } from "../wire/channel.ts";
import type { Connection, Upgrade } from "../wire/listener.ts";
import { formatReply } from "./command.ts";
import { createLineBuffer, type Line } from "./lines.ts";
import { countBad, type Outcome, runCommand } from "./session.ts";
import { closeSession, type Session } from "./state.ts";

export function serveConnection(
  socket: Duplex,
  session: Session,
  times: ConnectionTimes,
  upgrade: Upgrade | undefined,
): Connection {
  const { logger, hostname } = session.options;
  const lines = createLineBuffer();
  const isLoggedIn = (): boolean => session.state.kind !== "authorization";

  const step = async (channel: Channel): Promise<Outcome> => {
    const { input, output, lost: signal } = channel;
    const refuse = (text: string): void => output.write(formatReply({ ok: false, text }));
    const readLine = async (): Promise<string | undefined> => {
      const read = await input.next<Line>(() => lines.next(), channel.timer(isLoggedIn));
      return read.kind === "line" && !channel.isStopping ? read.text : undefined;
    };
    const timeLeftMs = channel.timer(isLoggedIn);
    const read = await input.next<Line>(() => lines.next(), timeLeftMs);
    if (channel.isStopping) {
      refuse("Server shutting down.");
      return "close";
    }
    switch (read.kind) {
      case "line":
        if (timeLeftMs() <= 0) return "close";
        return runCommand(session, read.text, { output, readLine, signal });
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

  const serve = async (channel: Channel): Promise<void> => {
    channel.output.write(formatReply({ ok: true, text: `${hostname} Mailferry ready.` }));
    for (;;) {
      channel.output.send();
      await channel.output.flushed();
      if (channel.lost.aborted) return;
      const outcome = await step(channel);
      if (outcome === "close") return;
      if (outcome === "tls" && upgrade) {
        await channel.startTls(upgrade);
        session.peer = { ...session.peer, secure: true };
      }
    }
  };

  const options = { protocol: "pop3", session: session.id, buffer: lines, times, logger } as const;
  return serveChannel(socket, options, serve, () => closeSession(session));
}
