/** One POP3 command, from its line to its answer: what they all do alike. */
import { MailError, OutcomeUnknown, TooSoon } from "../errors.ts";
import { ClientGone, disconnected } from "../wire/output.ts";
import { BadCommand, BrokenAnswer, type CommandIo, formatReply, type Reply } from "./command.ts";
import { commandNamed } from "./commands/table.ts";
import { closeSession, type Session } from "./state.ts";

export type Outcome = "continue" | "tls" | "close";

/** Bad commands in a row before the client is sent away. */
const maxBadCommands = { before: 3, after: 20 } as const;
const maxLoginFailures = 10;

export async function runCommand(session: Session, line: string, io: CommandIo): Promise<Outcome> {
  const startedMs = performance.now();
  const space = line.indexOf(" ");
  const name = (space < 0 ? line : line.slice(0, space)).toUpperCase();
  const argument = space < 0 ? "" : line.slice(space + 1);
  const command = commandNamed(name);
  const beforeBytes = io.output.writtenBytes;
  const { reply, error } = await replyOf(session, command, argument, io);
  const { logger } = session.options;
  const entry = {
    session: session.id,
    // Never what the client wrote: an unknown command may be a password that lost its way.
    command: command?.name ?? "unknown",
    result: reply.ok ? "+OK" : `-ERR${reply.code ? ` [${reply.code}]` : ""}`,
    durationMs: Math.round(performance.now() - startedMs),
    bytes: io.output.writtenBytes - beforeBytes,
  };
  if (error instanceof ClientGone || error === undefined || error instanceof BadCommand)
    logger.info(entry, "pop3 command");
  else if (error instanceof MailError) logger.warn({ ...entry, err: error }, "pop3 command");
  else logger.error({ ...entry, err: error }, "pop3 command");
  if (error instanceof BrokenAnswer) return "close";
  if (!reply.isWritten) io.output.write(formatReply(reply));
  return next(session, reply, error);
}

function next(session: Session, reply: Reply, error: unknown): Outcome {
  if (error instanceof BadCommand) return countBad(session);
  session.badCommands = 0;
  if (reply.next !== undefined) return reply.next;
  const { state } = session;
  if (state.kind === "ended") return "close";
  return state.kind === "authorization" && state.failures >= maxLoginFailures ? "close" : "continue";
}

export function countBad(session: Session): Outcome {
  session.badCommands++;
  const limit = session.state.kind === "authorization" ? maxBadCommands.before : maxBadCommands.after;
  if (session.badCommands < limit) return "continue";
  closeSession(session);
  return "close";
}

async function replyOf(
  session: Session,
  command: ReturnType<typeof commandNamed>,
  argument: string,
  io: CommandIo,
): Promise<{ readonly reply: Reply; readonly error?: unknown }> {
  try {
    if (!command) throw new BadCommand("Unknown command.");
    return { reply: await command.start(session, argument, io) };
  } catch (error) {
    const told = io.signal.aborted ? disconnected(error) : error;
    return { reply: replyToError(told), error: told };
  }
}

/** RFC 3206: whether another try may do is told apart from a wrong password. */
function replyToError(error: unknown): Reply {
  if (error instanceof BadCommand) return { ok: false, text: error.message };
  if (error instanceof TooSoon) return { ok: false, code: "LOGIN-DELAY", text: error.message };
  if (error instanceof OutcomeUnknown) return { ok: false, code: "SYS/TEMP", text: error.message };
  if (!(error instanceof MailError)) return { ok: false, code: "SYS/TEMP", text: "Internal error" };
  switch (error.code) {
    case "AUTHENTICATIONFAILED":
    case "AUTHORIZATIONFAILED":
      return { ok: false, code: "AUTH", text: error.message };
    case "INUSE":
    case "LIMIT":
      return { ok: false, code: "IN-USE", text: error.message };
    case "UNAVAILABLE":
      return { ok: false, code: "SYS/TEMP", text: error.message };
    default:
      return { ok: false, text: error.message };
  }
}
